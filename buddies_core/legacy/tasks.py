"""Tasks with 0.1.4 peers: broadcasts without an arbiter, whose sender nobody can verify."""

from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.bodies import Body, TaskClaimed, TaskRequest, TaskResponse
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.task import (
    TaskFailed,
    TaskLimits,
    TaskOrder,
    TaskResult,
    TaskSucceeded,
    TaskTarget,
)
from buddies_core.tasks.broadcasts import NOBODY
from buddies_core.tasks.lifecycle import result_text
from buddies_core.wire.bodies import encode_body

LEGACY_TASK_S_MAX = 24 * 3600.0
REQUEST_ENVELOPE_BYTES = 260
"""The part of a broadcast's 4057 bytes for trailer and vouching, with names of 64 bytes."""
RESULT_ENVELOPE_BYTES = 300
"""The part of a broadcast's 4057 bytes around a result, without the sender's name."""
_CUT = "\n[cut off: buddies 0.1.4 takes no more in one message]"


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    @property
    def endpoint(self) -> EndpointId:
        """This node's endpoint."""

    def name_of(self, endpoint: EndpointId) -> str:
        """Return a peer's display name, or the start of its id."""

    async def publish(self, room: RoomName, body: Body) -> bytes:
        """Broadcast a body to the room."""


class TaskBroadcasts:
    """Broadcasts to 0.1.4 peers for `tasks`."""

    def __init__(self, rooms: RoomsPort, clock: Clock) -> None:
        self._rooms = rooms
        self._clock = clock

    def can_offer(self, order: TaskOrder) -> bool:
        """Return whether a task of ours can be broadcast: it must be for anybody, and fit."""
        size = len(encode_body(self._request(order, order.limits.start_s)))
        return order.target == TaskTarget() and size + REQUEST_ENVELOPE_BYTES <= CONTENT_BYTES_MAX

    async def offer(self, order: TaskOrder, left_s: float) -> None:
        """Broadcast a task of ours.

        Raises:
            BuddiesError: the broadcast failed.
        """
        await self._rooms.publish(order.room, self._request(order, left_s))

    async def begin(self, order: TaskOrder) -> None:
        """Broadcast that this node works on a 0.1.4 peer's task; raise as `offer` does."""
        await self._rooms.publish(order.room, TaskClaimed(order.id, self._own_name()))

    async def finish(self, order: TaskOrder, result: TaskResult) -> None:
        """Broadcast the result of a 0.1.4 peer's task; raise as `offer` does."""
        name = self._own_name()
        response = TaskResponse(order.id, _shortened(result, name), name)
        await self._rooms.publish(order.room, response)

    def _own_name(self) -> str:
        return self._rooms.name_of(self._rooms.endpoint)

    def _request(self, order: TaskOrder, left_s: float) -> TaskRequest:
        return TaskRequest(
            task_id=order.id,
            source_peer=order.requester_user,
            room=order.room,
            description=order.description,
            timeout_s=max(1, round(left_s)),
            created_at_s=self._clock.wall_ms() // 1000,
        )


def order_of(request: TaskRequest, room: RoomName, now_ms: int) -> TaskOrder:
    """Return the task that a 0.1.4 peer asks for. It begins now: the peer's clock may be wrong."""
    time_s = min(LEGACY_TASK_S_MAX, float(request.timeout_s))
    return TaskOrder(
        id=request.task_id,
        room=room,
        description=request.description,
        requester=NOBODY,
        requester_user=request.source_peer,
        requester_agent="",
        target=TaskTarget(),
        limits=TaskLimits(start_s=time_s, finish_s=time_s),
        retryable=True,
        trace_id=request.task_id,
        path=(f"/{request.source_peer}",),
        created_at_ms=now_ms,
    )


def _shortened(result: TaskResult, name: str) -> TaskResult:
    """Return as much of a result as one broadcast carries, with a note if it was cut off."""
    size_max = CONTENT_BYTES_MAX - RESULT_ENVELOPE_BYTES - 2 * len(name.encode())
    content = result_text(result).encode()
    if len(content) <= size_max:
        return result
    # Only the last character can be incomplete: "ignore" drops it.
    text = content[: size_max - len(_CUT)].decode(errors="ignore") + _CUT
    return TaskSucceeded(text) if isinstance(result, TaskSucceeded) else TaskFailed(text)
