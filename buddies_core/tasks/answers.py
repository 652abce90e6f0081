"""What one poll returns: tasks to do, as many as one answer to a model holds. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from buddies_core.model.budget import ANSWER_COST_MAX, fitting_chars, json_cost
from buddies_core.model.task import TaskView, TextPage
from buddies_core.model.task_json import claimed_json

RESERVE = 1000
"""What the claim itself adds to a task, such as its worker, and other parts of the answer."""
CLAIMS_COST_MAX = ANSWER_COST_MAX - RESERVE
BEGINNING_CHARS = 200
"""The least that is shown of a description."""


def fits(tasks: Sequence[TaskView]) -> bool:
    """Return whether an answer holds these tasks whole. One alone always fits: it can be cut."""
    return len(tasks) == 1 or _cost(tasks) <= CLAIMS_COST_MAX


def fitted(tasks: Sequence[TaskView]) -> tuple[TaskView, ...]:
    """Return the tasks with as much of their descriptions as fits, the first ones first.

    If there are too many for that, the last ones are left out.
    """
    shown = [_cut(task, BEGINNING_CHARS) for task in tasks]
    while len(shown) > 1 and _cost(shown) > CLAIMS_COST_MAX:
        shown.pop()
    for index, task in enumerate(tasks[: len(shown)]):
        left = CLAIMS_COST_MAX - _cost(shown) + json_cost(shown[index].description)
        shown[index] = _cut(task, max(BEGINNING_CHARS, fitting_chars(task.description, left)))
    return tuple(shown)


def _cost(tasks: Sequence[TaskView]) -> int:
    return json_cost(claimed_json(tasks))


def _cut(task: TaskView, chars: int) -> TaskView:
    total = len(task.description)
    if chars >= total:
        return task
    page = TextPage(offset=0, total=total)
    return replace(task, description=task.description[:chars], description_page=page)
