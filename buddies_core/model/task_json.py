"""The answers of the task tools, beyond the task itself; see `json_view`."""

from collections.abc import Sequence
from dataclasses import replace

from buddies_core.model.json_view import JsonObject, json_of
from buddies_core.model.task import (
    SubmitVerdict,
    TaskFailed,
    TaskState,
    TaskSucceeded,
    TaskView,
    TextPage,
)


def settled_json(task: TaskView) -> JsonObject:
    """Return the answer for an agent that has just changed a task: no text by other agents."""
    return {"task_id": str(task.id), "room": task.room, "state": task.state.value}


def outcome_json(task: TaskView) -> JsonObject:
    """Return the answer of delegate_task and wait_task: a page of the result, or the status.

    `status` is completed, error or pending; for an error `state` says which and `error` why.
    """
    shown = json_of(task) | {"status": _status(task.state)}
    if task.result is not None:
        shown |= _page_json(task.result_text, task.result_page)
    if task.state.is_terminal and not isinstance(task.result, TaskSucceeded):
        shown["error"] = ending(task)
    return shown


def description_json(task: TaskView) -> JsonObject:
    """Return wait_task's answer to a request for a page of the description."""
    shown = json_of(replace(task, result=None)) | {"status": _status(task.state)}
    return shown | _page_json(task.description, task.description_page)


def _page_json(text: str, page: TextPage | None) -> JsonObject:
    page = page or TextPage(0, len(text))
    end = page.offset + len(text)
    return {
        "offset": page.offset,
        "next_offset": end if end < page.total else None,
        "total": page.total,
    }


def _status(state: TaskState) -> str:
    if state is TaskState.COMPLETED:
        return "completed"
    return "error" if state.is_terminal else "pending"


def ending(task: TaskView) -> str:
    """Return in words why a task is over without an output."""
    match task.result:
        case TaskFailed(message) if message:
            return message
        case _:
            how = f"the task {_ENDINGS.get(task.state, task.state)}"
            return f"{how}: {task.reason}" if task.reason else how


_ENDINGS = {
    TaskState.FAILED: "failed",
    TaskState.CANCELED: "was canceled",
    TaskState.REJECTED: "was rejected by all who were asked",
    TaskState.EXPIRED: "has expired",
}


def claimed_json(tasks: Sequence[TaskView]) -> JsonObject:
    """Return poll_pending_tasks' answer.

    A description that is cut has the keys of a page; wait_task reads the rest of it.
    """
    return {
        "count": len(tasks),
        "tasks": [
            json_of(task) | (_page_json(task.description, page) if page else {})
            for task, page in ((task, task.description_page) for task in tasks)
        ],
    }


def submitted_json(task_id: str, verdict: SubmitVerdict) -> JsonObject:
    """Return submit_task_result's answer; `submitted` is false for a late result."""
    return {
        "submitted": verdict.verdict != "late",
        "task_id": task_id,
        "verdict": verdict.verdict,
        "text": verdict.text,
    }
