"""Tells the client that a task waits. Each way is a hint: the inbox itself is at the daemon.

Most clients ignore all of these, so the number of tasks that wait also comes with every result.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import mcp_types as mcp
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.session import ServerSession

    from buddies_core.model.task import InboxChange, InboxTask

INBOX_URI = "buddies://inbox"
CHANNEL_CAPABILITY = "claude/channel"
"""Declared in the handshake; Claude Code shows its messages to the model at once."""


class Waking:
    """The ways to one client. Before it is ready it is told nothing."""

    def __init__(self) -> None:
        self._session: ServerSession | None = None
        self._subscribed = False
        self._listening = 0
        # How clients of 2026-07-28 and later subscribe.
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus)

    @property
    def is_heard(self) -> bool:
        """Whether a client has an open stream for changes."""
        return self._listening > 0

    async def listen(
        self, context: ServerRequestContext[None], params: mcp.SubscriptionsListenRequestParams
    ) -> mcp.SubscriptionsListenResult:
        """Tell a client by the stream of this request until it has had enough."""
        self._listening += 1
        try:
            return await self._listen(context, params)
        finally:
            self._listening -= 1

    def ready(self, session: ServerSession) -> None:
        """Take in that the client has shaken hands."""
        self._session = session

    def subscribe(self, *, subscribed: bool) -> None:
        """Take in whether the client wants to hear of changes of the resource."""
        self._subscribed = subscribed

    async def tell(self, change: InboxChange) -> None:
        """Tell the client what has changed."""
        await self._bus.publish(ResourceUpdated(uri=INBOX_URI))
        if self._session is None:
            return
        if change.newest is not None:
            for method, params in (
                ("notifications/claude/channel", _channel(change.newest, change.waiting)),
                ("notifications/buddies/taskArrived", _arrival(change.newest, change.waiting)),
            ):
                notification = mcp.Notification[dict[str, Any], str](method=method, params=params)
                # The SDK's type lists the standard's own; it sends any.
                await self._session.send_notification(notification)  # type: ignore[arg-type]
        if self._subscribed:
            await self._session.send_resource_updated(INBOX_URI)


def _channel(task: InboxTask, waiting: int) -> dict[str, Any]:
    # This reaches a model as it is: what others wrote stands in quotes that it can't end.
    who = json.dumps(f"{task.requester_agent} of {task.requester_user}", ensure_ascii=False)
    summary = json.dumps(task.summary, ensure_ascii=False)
    return {
        "content": (
            f"A task waits for you, from {who}: {summary}. Claim it with poll_pending_tasks when"
            " you can, then answer with submit_task_result or reject_task."
        ),
        "meta": {"task_id": str(task.id), "waiting": str(waiting)},
    }


def _arrival(task: InboxTask, waiting: int) -> dict[str, Any]:
    return {
        "task_id": str(task.id),
        "room": task.room,
        "requester_user": task.requester_user,
        "requester_agent": task.requester_agent,
        "summary": task.summary,
        "waiting": waiting,
    }
