"""Tasks, verdicts and what is told of the inbox, to protobuf and back."""

from typing import cast
from uuid import UUID

from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.task import (
    InboxChange,
    InboxTask,
    SubmitVerdict,
    TaskFailed,
    TaskList,
    TaskResult,
    TaskState,
    TaskSucceeded,
    TaskView,
    TextPage,
    VerdictWord,
)
from buddies_core.pb import daemon_pb2, task_pb2


def task_to_pb(task: TaskView) -> task_pb2.TaskView:
    """Return the task as the socket carries it."""
    shown = task_pb2.TaskView(
        id=str(task.id),
        room=task.room,
        description=task.description,
        state=task.state,
        mine=task.mine,
        requester=task.requester,
        requester_user=task.requester_user,
        requester_agent=task.requester_agent,
        worker=task.worker or b"",
        worker_user=task.worker_user,
        worker_agent=task.worker_agent,
        attempt=task.attempt,
        progress=task.progress,
        reason=task.reason,
        late_results=task.late_results,
        left_s=task.left_s,
        created_at_ms=task.created_at_ms,
        warning=task.warning,
        already_yours=task.already_yours,
        description_page=_page_to_pb(task.description_page),
        result_page=_page_to_pb(task.result_page),
    )
    if task.description_page is not None:
        page = task.description_page
        shown.description_page.CopyFrom(task_pb2.TextPage(offset=page.offset, total=page.total))
    match task.result:
        case TaskSucceeded(output):
            shown.output = output
        case TaskFailed(message):
            shown.error = message
        case None:
            pass
    return shown


def task_from_pb(task: task_pb2.TaskView) -> TaskView:
    """Return the task."""
    return TaskView(
        id=TaskId(UUID(task.id)),
        room=RoomName(task.room),
        description=task.description,
        state=TaskState(task.state),
        mine=task.mine,
        requester=EndpointId(task.requester),
        requester_user=task.requester_user,
        requester_agent=task.requester_agent,
        worker=EndpointId(task.worker) if task.worker else None,
        worker_user=task.worker_user,
        worker_agent=task.worker_agent,
        attempt=task.attempt,
        progress=task.progress,
        result=_result(task),
        reason=task.reason,
        late_results=task.late_results,
        left_s=task.left_s if task.HasField("left_s") else None,
        created_at_ms=task.created_at_ms,
        warning=task.warning,
        already_yours=task.already_yours,
        description_page=_page(task.description_page)
        if task.HasField("description_page")
        else None,
        result_page=_page(task.result_page) if task.HasField("result_page") else None,
    )


def _page_to_pb(page: TextPage | None) -> task_pb2.TextPage | None:
    return None if page is None else task_pb2.TextPage(offset=page.offset, total=page.total)


def _page(page: task_pb2.TextPage) -> TextPage:
    return TextPage(page.offset, page.total)


def _result(task: task_pb2.TaskView) -> TaskResult | None:
    match task.WhichOneof("result"):
        case "output":
            return TaskSucceeded(task.output)
        case "error":
            return TaskFailed(task.error)
        case _:
            return None


def task_list_to_pb(tasks: TaskList) -> task_pb2.ListReply:
    """Return the list as the socket carries it."""
    return task_pb2.ListReply(
        tasks=map(task_to_pb, tasks.tasks),
        waiting=tasks.waiting,
        next_cursor=tasks.next_cursor or "",
    )


def task_list_from_pb(reply: task_pb2.ListReply) -> TaskList:
    """Return the list."""
    return TaskList(tuple(map(task_from_pb, reply.tasks)), reply.waiting, reply.next_cursor or None)


def verdict_to_pb(task: TaskId, verdict: SubmitVerdict) -> task_pb2.SubmitReply:
    """Return the verdict as the socket carries it."""
    return task_pb2.SubmitReply(task_id=str(task), verdict=verdict.verdict, text=verdict.text)


def verdict_from_pb(reply: task_pb2.SubmitReply) -> SubmitVerdict:
    """Return the verdict."""
    return SubmitVerdict(cast("VerdictWord", reply.verdict), reply.text)


def inbox_to_pb(change: InboxChange) -> daemon_pb2.InboxChanged:
    """Return the change as the socket carries it."""
    told = daemon_pb2.InboxChanged(waiting=change.waiting)
    if change.newest is not None:
        told.task_id = str(change.newest.id)
        told.room = change.newest.room
        told.requester_user = change.newest.requester_user
        told.requester_agent = change.newest.requester_agent
        told.summary = change.newest.summary
    return told


def inbox_from_pb(told: daemon_pb2.InboxChanged) -> InboxChange:
    """Return the change."""
    return InboxChange(
        waiting=told.waiting,
        newest=InboxTask(
            id=TaskId(UUID(told.task_id)),
            room=RoomName(told.room),
            requester_user=told.requester_user,
            requester_agent=told.requester_agent,
            summary=told.summary,
        )
        if told.task_id
        else None,
    )
