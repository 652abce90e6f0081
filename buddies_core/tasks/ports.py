"""What tasks need from the layers below, as small as that is."""

from collections.abc import Sequence
from typing import Protocol

from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.room import Member
from buddies_core.model.task import TaskOrder, TaskResult
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from buddies_core.store.task_records import OfferRecord, TaskRecord


class StorePort(Protocol):
    """The tasks on disk; see `store.rocks.RocksStore`."""

    async def put_task(self, task: TaskRecord) -> None:
        """Keep a task that this node asked for; on return it is on disk."""

    def get_task(self, id: TaskId) -> TaskRecord | None:
        """Return the task with this id that this node asked for."""

    async def tasks(self) -> tuple[TaskRecord, ...]:
        """Return the tasks that this node asked for."""

    async def delete_task(self, id: TaskId) -> None:
        """Forget a task that this node asked for."""

    async def put_offer(self, offer: OfferRecord) -> None:
        """Keep a task that this node was asked to do; on return it is on disk."""

    def get_offer(self, id: TaskId) -> OfferRecord | None:
        """Return the task with this id that this node was asked to do."""

    async def offers(self) -> tuple[OfferRecord, ...]:
        """Return the tasks that this node was asked to do."""

    async def delete_offer(self, id: TaskId) -> None:
        """Forget a task that this node was asked to do."""


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    @property
    def endpoint(self) -> EndpointId:
        """This node."""

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in."""

    def members(self, room: RoomName) -> tuple[Member, ...]:
        """Return who is present, this node included."""

    def name_of(self, endpoint: EndpointId) -> str:
        """Return a peer's display name, or the start of its id."""

    async def ask(
        self, peer: EndpointId, room: RoomName, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        """Ask a peer and return its whole answer; raises BuddiesError, with the reason in words."""


class LegacyPort(Protocol):
    """Members that know neither offers nor leases; see `legacy.tasks.TaskBroadcasts`.

    Its methods raise BuddiesError if something could not be said.
    """

    def can_offer(self, order: TaskOrder) -> bool:
        """Return whether a task of ours can be broadcast to them."""

    async def offer(self, order: TaskOrder, left_s: float) -> None:
        """Broadcast a task of ours."""

    async def begin(self, order: TaskOrder) -> None:
        """Broadcast that this node does a task of theirs."""

    async def finish(self, order: TaskOrder, result: TaskResult) -> None:
        """Broadcast the result of a task of theirs."""
