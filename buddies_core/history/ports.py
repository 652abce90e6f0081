"""What the history of a room needs from the layers below."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from buddies_core.asking import ports
from buddies_core.history.items import ItemSet
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.room import KeptHistory
from buddies_core.trust.admitted import Admitted

T = TypeVar("T")


class StorePort(Protocol):
    """The store of all rooms' items; see `store.rocks.RocksStore`."""

    @property
    def items_complete(self) -> bool:
        """Whether all records are among the items; False while an older store is being upgraded."""

    async def read(self, work: Callable[[], T]) -> T:
        """Run `work` on a reading thread, and return its result."""

    def items(self, room: RoomName) -> ItemSet:
        """Return a live view of a room's items."""


class RoomsPort(ports.RoomsPort, ports.AskPort, Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    @property
    def moves(self) -> int:
        """How often this machine has changed networks or been asleep."""

    def history_of(self, room: RoomName) -> tuple[KeptHistory, int]:
        """Return which history of a room is fetched, and when this node joined it, in ms.

        Raises NotFound if this node is not in the room.
        """

    async def learn_signer(self, room: RoomName, endpoint: EndpointId, source: EndpointId) -> None:
        """Ask a member for the signer of an endpoint, unless that is known; 2 s at most."""

    def policy_revision(self) -> int:
        """Return a number that changes whenever this machine's policies do."""


class MemoriesPort(Protocol):
    """The keeper of memories; see `memory.service.Memories`."""

    async def receive(self, admitted: Admitted, neighbor: EndpointId | None = None) -> None:
        """Take in an admitted memory that this neighbor has handed on."""


class SkillsPort(Protocol):
    """The keeper of skills and votes; see `skills.service.Skills`."""

    async def receive(self, admitted: Admitted, neighbor: EndpointId | None = None) -> None:
        """Take in an admitted skill that this neighbor has handed on."""

    async def receive_vote(self, admitted: Admitted, neighbor: EndpointId | None = None) -> None:
        """Take in an admitted vote that this neighbor has handed on."""


class LegacyPort(Protocol):
    """The budget for messages of 0.1.4 peers; see `legacy.service.Legacy`."""

    def may_keep_copy(self, content: bytes, neighbor: EndpointId) -> bool:
        """Return whether a message without a trailer that this neighbor handed on may be kept."""
