"""The ports that asking, and the packages that ask, need from the layers below."""

import asyncio
from collections.abc import Sequence
from typing import Protocol, TypeVar

from buddies_core.finding.document import Scope
from buddies_core.finding.embedder import Vectors
from buddies_core.finding.feeding import IndexProgress
from buddies_core.finding.index import IndexHit
from buddies_core.model.bodies import Body
from buddies_core.model.contact import Contact
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import MemoryFilter, Whole
from buddies_core.model.provenance import Trust
from buddies_core.model.room import BroadcastAnswer, Member
from buddies_core.pb import peer_pb2
from buddies_core.trust.admitted import Admitted

HeadT = TypeVar("HeadT", covariant=True)


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in."""

    def members(self, room: RoomName) -> tuple[Member, ...]:
        """Return who is present, this node included."""

    def name_of(self, endpoint: EndpointId) -> str:
        """Return a peer's display name, or the start of its id."""

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return the signer that vouches for this endpoint's messages, if any."""

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


class SearchPort(AskPort, Protocol):
    """Asking, for searches that wait no longer than worthwhile; see `rooms.rooms.Rooms`."""

    def contact(self, peer: EndpointId) -> Contact | None:
        """Return what this node's connections tell of a peer; None if it never had one."""

    def key_for(self, peer: EndpointId, room: RoomName) -> peer_pb2.RoomKey | None:
        """Return how to name one more room in a request; None if the peer is no member of it."""


class LocalPort(Protocol[HeadT]):
    """The search on this machine alone; see `finding.local_search.LocalSearch`."""

    @property
    def model_id(self) -> bytes:
        """The model that our vectors are made by."""

    async def vector(self, query: str, patience_s: float) -> tuple[Vectors | None, str]:
        """Return the query's vector, or None and the reason for its absence."""

    def vector_of_peer(self, data: bytes, model: bytes) -> Vectors | None:
        """Return the vector that a peer sent, if it can be compared with ours."""

    def progress(self) -> IndexProgress:
        """Return how much of what is stored a search can find now."""

    async def find(
        self, query: str, vector: Vectors | None, scope: Scope, limit: int, timeout_s: float
    ) -> tuple[Sequence[tuple[HeadT, IndexHit]], int]:
        """Return what this machine holds, best first, and how many records were damaged.

        Raises:
            TimeoutError: it took too long.
            StoreError: the index can't be read.
        """


class LegacyPort(Protocol):
    """Members that can't be asked directly; see `legacy.asking`."""

    async def search(
        self,
        query: str,
        filter: MemoryFilter,
        rooms: Sequence[RoomName],
        direct_done: asyncio.Event,
        until_s: float,
    ) -> list[BroadcastAnswer]:
        """Return what they answer until all have, a while after the direct answers, or the end."""
