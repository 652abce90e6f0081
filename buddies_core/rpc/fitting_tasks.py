"""Cuts answers about tasks to what a model can take; see `fitting`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from buddies_core.convert.cursors import task_cursor
from buddies_core.errors import InvalidInput
from buddies_core.model.budget import fitting_chars, json_cost
from buddies_core.model.json_view import json_of
from buddies_core.model.limits import PAGE_CHARS_MAX
from buddies_core.model.memory import SNIPPET_CHARS_MAX
from buddies_core.model.task import TaskList, TaskView, TextPage, result_with
from buddies_core.model.task_json import description_json, outcome_json
from buddies_core.rpc.fitting import FITTING_COST_MAX, fit_items, next_cursor


def task_list(tasks: Sequence[TaskView], limit: int, waiting: int) -> TaskList:
    """Return up to `limit` of the tasks; one more says that the list goes on."""
    room = FITTING_COST_MAX - json_cost(json_of(TaskList((), waiting)))
    fitting = fit_items(tasks[:limit], _short_task, json_of, room)
    cursors = [task_cursor(task.place) for task in tasks]
    return TaskList(fitting, waiting, next_cursor(cursors, len(fitting)))


def brief(task: TaskView) -> TaskView:
    """Return a task with the beginnings of its description and of its result."""
    task = _with_description(task, 0, SNIPPET_CHARS_MAX)
    return _with_result(task, 0, SNIPPET_CHARS_MAX)


def outcome(task: TaskView, offset: int) -> TaskView:
    """Return a task with the page of its result that begins at `offset`.

    Raises:
        InvalidInput: the result is over before.
    """
    if task.result is None:
        return _with_description(task, 0, SNIPPET_CHARS_MAX)
    _check("result", task.result_text, offset)
    brief = _with_description(task, 0, SNIPPET_CHARS_MAX)
    room = FITTING_COST_MAX - json_cost(outcome_json(_with_result(brief, offset, 0)))
    shown = task.result_text[offset : offset + PAGE_CHARS_MAX]
    return _with_result(brief, offset, fitting_chars(shown, room))


def description(task: TaskView, offset: int) -> TaskView:
    """Return a task with the page of its description that begins at `offset`, without its result.

    Raises:
        InvalidInput: the description is over before.
    """
    _check("description", task.description, offset)
    bare = _with_result(task, 0, 0)
    room = FITTING_COST_MAX - json_cost(description_json(_with_description(bare, offset, 0)))
    shown = task.description[offset : offset + PAGE_CHARS_MAX]
    return _with_description(bare, offset, fitting_chars(shown, room))


def _short_task(task: TaskView, chars: int) -> TaskView:
    task = _with_result(_with_description(task, 0, chars), 0, chars)
    if max(len(task.progress), len(task.reason)) <= chars:
        return task
    return replace(task, progress=_cut(task.progress, chars), reason=_cut(task.reason, chars))


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[:chars]}…"


def _with_description(task: TaskView, offset: int, chars: int) -> TaskView:
    text = task.description
    if not offset and len(text) <= chars:
        return task
    page = TextPage(offset, len(text))
    return replace(task, description=text[offset : offset + chars], description_page=page)


def _with_result(task: TaskView, offset: int, chars: int) -> TaskView:
    text = task.result_text
    if not offset and len(text) <= chars:
        return task
    shown, page = text[offset : offset + chars], TextPage(offset, len(text))
    return replace(task, result=result_with(task.result, shown), result_page=page)


def _check(what: str, text: str, offset: int) -> None:
    if offset > len(text):
        raise InvalidInput(f"offset is {offset}, but the {what} has {len(text)} characters")
