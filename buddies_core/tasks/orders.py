"""Turns an agent's request into a task, and compares it with an earlier request."""

from dataclasses import dataclass
from random import Random
from uuid import UUID

from buddies_core.clock import Clock
from buddies_core.errors import InvalidInput, NotAllowed, NotFound
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.task import (
    DESCRIPTION_BYTES_MAX,
    HOPS_MAX,
    NAME_BYTES_MAX,
    Caller,
    TaskLimits,
    TaskOrder,
    TaskTarget,
)
from buddies_core.store.task_records import OfferState
from buddies_core.tasks.eligibility import find_target
from buddies_core.tasks.inbox import Inbox
from buddies_core.tasks.paths import agent_path
from buddies_core.tasks.ports import RoomsPort

KEY_BYTES_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The arguments of a call to `delegate_task`."""

    room: RoomName
    description: str
    timeout_s: float | None
    peer: str
    agent: str
    capability: str
    idempotency_key: str
    retryable: bool
    parent: TaskId | None


class Orders:
    """Makes orders. It only reads state that other parts own."""

    def __init__(
        self, *, rooms: RoomsPort, inbox: Inbox, endpoint: EndpointId, clock: Clock, rng: Random
    ) -> None:
        """Take ids from `rng`, so it should not be guessable."""
        self._rooms = rooms
        self._inbox = inbox
        self._endpoint = endpoint
        self._clock = clock
        self._rng = rng

    def make(self, wish: Wish, caller: Caller) -> TaskOrder:
        """Return a new order.

        Raises:
            NotFound: this node is not in the room, or there is no such peer or parent.
            InvalidInput: the task was handed on too often, or the peer can't be asked directly.
            NotAllowed: the agent it is for has handed it on before.
        """
        members = self._rooms.members(wish.room)
        target = find_target(wish.room, members, wish.peer, wish.agent, wish.capability)
        id = TaskId(UUID(int=self._rng.getrandbits(128), version=4))
        trace_id, path = self._trace(id, wish.parent, target, caller)
        return TaskOrder(
            id=id,
            room=wish.room,
            description=wish.description,
            requester=self._endpoint,
            requester_user=caller.user or self._rooms.name_of(self._endpoint),
            requester_agent=caller.agent,
            target=target,
            limits=TaskLimits(overall_s=wish.timeout_s),
            retryable=wish.retryable,
            trace_id=trace_id,
            path=path,
            created_at_ms=self._clock.wall_ms(),
        )

    def check_same(self, wish: Wish, known: TaskOrder) -> None:
        """Return if a repeated wish with the same idempotency key matches the known order.

        Raises:
            InvalidInput: it is not; the text says what differs.
        """
        same = {
            "room": wish.room == known.room,
            "description": wish.description == known.description,
            "timeout_secs": wish.timeout_s == known.limits.overall_s,
            "peer": self._is_same_peer(wish, known.target.peer),
            "agent": wish.agent.strip() == known.target.agent,
            "capability": wish.capability.strip() == known.target.capability,
            "retryable": wish.retryable == known.retryable,
            "parent_task_id": self._is_same_parent(wish.parent, known),
        }
        others = [field for field, is_same in same.items() if not is_same]
        if others:
            raise InvalidInput(
                f"idempotency_key {wish.idempotency_key!r} belongs to task {known.id}, which was "
                f"delegated with another {' and another '.join(others)}; use a new key for a new "
                "task, or wait_task for the result of that one"
            )

    def _is_same_peer(self, wish: Wish, known: EndpointId | None) -> bool:
        if not wish.peer.strip() or known is None:
            return not wish.peer.strip() and known is None
        try:
            members = self._rooms.members(wish.room)
            return find_target(wish.room, members, wish.peer, "", "").peer == known
        except (NotFound, InvalidInput):
            return True  # Nobody of that name is here now to tell.

    def _is_same_parent(self, parent: TaskId | None, known: TaskOrder) -> bool:
        ancestors = known.path[:-1]
        record = None if parent is None else self._inbox.find(parent)
        if record is None:  # A parent that is forgotten by now is taken for the same.
            return (parent is None) == (not ancestors)
        return (known.trace_id, ancestors) == (record.order.trace_id, record.order.path)

    def _trace(
        self, id: TaskId, parent: TaskId | None, target: TaskTarget, caller: Caller
    ) -> tuple[TaskId, tuple[str, ...]]:
        """Return the trace id and the path of a new task."""
        me = agent_path(self._endpoint, caller.agent)
        trace_id = id
        path: tuple[str, ...] = (me,)
        if parent is not None:
            held = self._inbox.get(parent)
            if held is None or held.record.state is not OfferState.CLAIMED:
                raise NotFound(
                    f"parent_task_id {parent} is no task that is being worked on here; leave it "
                    "out, or give the id of the task you have claimed"
                )
            if held.record.agent != caller.agent:
                raise NotAllowed(f"parent task {parent} is {held.record.agent}'s")
            trace_id, path = held.record.order.trace_id, (*held.record.order.path, me)
        if len(path) - 1 > HOPS_MAX:
            raise InvalidInput(
                f"this task was handed on {HOPS_MAX} times already, which is the most; do it "
                "yourself, or submit that it can't be done"
            )
        if target.peer is not None and agent_path(target.peer, target.agent) in path:
            raise NotAllowed(
                f"agent {target.agent} there has handed on this task itself, so it would go in "
                "circles; choose another agent, or do it yourself"
            )
        return trace_id, path


def check_wish(wish: Wish) -> None:
    """Return if each field is within its limits, as at the peers that will be asked.

    Raises:
        InvalidInput: one is empty or too large.
    """
    check_text("description", wish.description, DESCRIPTION_BYTES_MAX)
    check_text("idempotency_key", wish.idempotency_key, KEY_BYTES_MAX, may_be_empty=True)
    for field, name in (
        ("peer", wish.peer),
        ("agent", wish.agent),
        ("capability", wish.capability),
    ):
        if (size := len(name.strip().encode())) > NAME_BYTES_MAX:
            raise InvalidInput(
                f"{field} has {size} bytes, and no name has more than {NAME_BYTES_MAX}; "
                "get_room_status shows who is present and what they can do"
            )


def check_text(field: str, text: str, bytes_max: int, *, may_be_empty: bool = False) -> None:
    """Return if a text is within its limit.

    Raises:
        InvalidInput: it is empty or too large.
    """
    if not text.strip() and not may_be_empty:
        raise InvalidInput(f"{field} is empty; say what is to be told")
    if len(text.encode()) > bytes_max:
        raise InvalidInput(
            f"{field} has {len(text.encode())} bytes, at most {bytes_max} are allowed; shorten "
            "it, and store what is longer as a memory"
        )
