"""The ports that exports and imports need from the layers below."""

from typing import Protocol

from buddies_core.model.ids import EndpointId, MemoryId, RoomName
from buddies_core.model.item import Bound, Item
from buddies_core.model.memory import Memory, MemoryHead, MemoryKey, MemoryKind
from buddies_core.model.skill import Skill, Vote
from buddies_core.model.views import MemoryView
from buddies_core.store.item_records import Record
from buddies_core.store.items import ItemSet
from buddies_core.trust.admitted import Admitted


class StorePort(Protocol):
    """The records on disk; see `store.rocks.RocksStore`."""

    def items(self, room: RoomName) -> ItemSet:
        """Return the items of a room."""

    def get_head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of the memory under this key."""

    async def records(
        self, room: RoomName, lower: Item | Bound, limit: int
    ) -> list[tuple[Item, Record]]:
        """Return the records of the items from `lower` on."""


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    @property
    def endpoint(self) -> EndpointId:
        """This node."""

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in."""

    async def admit(
        self, room: RoomName, proof: bytes, source: EndpointId | None = None
    ) -> Admitted:
        """Return the message that a copy holds; raises WireError if it is not to be believed."""


class MemoriesPort(Protocol):
    """See `memory.service.Memories`."""

    async def store(
        self,
        room: RoomName,
        title: str,
        content: str,
        kind: MemoryKind,
        tags: tuple[str, ...],
        references: tuple[MemoryId, ...],
        *,
        agent: str,
        user: str,
        is_told: bool,
        id: MemoryId | None,
        created_at_s: int | None,
    ) -> MemoryView:
        """Keep a memory of this node's own."""

    async def receive(
        self, admitted: Admitted, neighbor: EndpointId | None = None, content: bytes | None = None
    ) -> None:
        """Keep a memory, with its content if its message holds only the beginning."""


class SkillsPort(Protocol):
    """See `skills.service.Skills`."""

    async def receive(
        self, admitted: Admitted, neighbor: EndpointId | None = None, content: bytes | None = None
    ) -> None:
        """Keep a skill, with its content if its message holds only the beginning."""

    async def receive_vote(self, admitted: Admitted, neighbor: EndpointId | None = None) -> None:
        """Keep a vote."""


class HiddenPort(Protocol):
    """The items that must not be handed on; see `memory.hidden.Hidden`."""

    def hides(self, item: Memory | Skill | Vote) -> bool:
        """Return whether this must not be shown or handed on."""
