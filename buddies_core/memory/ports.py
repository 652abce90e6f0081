"""What memories and search need from the layers below, as small as that is."""

from collections.abc import Callable, Sequence
from typing import Protocol

from buddies_core.model.bodies import Body
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, MemoryId, RoomName
from buddies_core.model.memory import (
    Memory,
    MemoryFilter,
    MemoryHead,
    MemoryKey,
    MemoryPlace,
    Whole,
)
from buddies_core.model.provenance import Trust
from buddies_core.model.revocation import Revocation
from buddies_core.model.room import Member
from buddies_core.pb import peer_pb2
from buddies_core.trust.admitted import Admitted


class StorePort(Protocol):
    """The memories on disk; see `store.rocks.RocksStore`."""

    async def put_memory(self, memory: Memory) -> bool:
        """Keep it unless one that prevails is kept, and return whether it is kept now."""

    def get_memory(self, key: MemoryKey) -> Memory | None:
        """Return the memory under this key."""

    def get_head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of the memory under this key."""

    def find_heads(self, id: MemoryId) -> tuple[MemoryHead, ...]:
        """Return the heads of all memories with this id."""

    async def list_memories(
        self,
        filter: MemoryFilter,
        limit: int,
        hides: Callable[[MemoryHead], bool],
        after: MemoryPlace | None,
    ) -> tuple[tuple[MemoryHead, ...], int]:
        """Return the newest to be shown that pass the filter; and how many damaged were skipped."""

    def truncated_memories(
        self, limit: int, after: MemoryKey | None = None
    ) -> tuple[MemoryKey, ...]:
        """Return the keys of memories whose content is not all there, in order, after this one."""


class HiddenPort(Protocol):
    """What a person has had hidden; see `trust.revocations.Revocations`."""

    def hides(self, item: Memory | MemoryHead) -> bool:
        """Return whether this memory is not to be shown, nor to be handed on."""

    def hiding(self, item: Memory | MemoryHead) -> Revocation | None:
        """Return why, if it is not to be."""


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in."""

    def members(self, room: RoomName) -> tuple[Member, ...]:
        """Return who is present, this node included."""

    def name_of(self, endpoint: EndpointId) -> str:
        """Return a peer's display name, or the start of its id."""

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return whose key vouches for what this endpoint says, if anybody's does."""

    def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
        """Return how far an endpoint is known in the room."""

    async def admit(
        self, room: RoomName, proof: bytes, source: EndpointId | None = None
    ) -> Admitted:
        """Return the message that a copy holds; raises WireError if it is not to be believed."""

    def message_bytes_max(self, room: RoomName) -> int:
        """Return how large a message of ours, with its trailer, may be in this room now."""

    async def compose(
        self,
        room: RoomName,
        body: Body,
        *,
        agent: str = "",
        user: str = "",
        whole: Whole | None = None,
    ) -> bytes:
        """Return a message of ours, signed, without sending it."""

    async def send(self, room: RoomName, proof: bytes) -> None:
        """Broadcast what `compose` returned."""

    async def publish(self, room: RoomName, body: Body) -> bytes:
        """Compose and send."""


class AskPort(Protocol):
    """Asking the members of a room; see `rooms.rooms.Rooms`."""

    @property
    def endpoint(self) -> EndpointId:
        """This node."""

    async def ask(
        self, peer: EndpointId, room: RoomName, request: peer_pb2.PeerRequest, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        """Ask a peer and return its whole answer; raises BuddiesError, with the reason in words."""
