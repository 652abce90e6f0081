"""The minimal interfaces that rooms need from the layers below."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.model.contact import Contact
from buddies_core.model.ids import EndpointId, RoomId, RoomName, TopicId
from buddies_core.model.provenance import Source
from buddies_core.model.room import KeptHistory, Member
from buddies_core.pb import peer_pb2
from buddies_core.rooms.composing import Composer
from buddies_core.store.invites import InviteStore
from buddies_core.store.records import PresenceRecord, RoomRecord
from buddies_core.trust.admission import Admission
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.gate import Gate


class NetworkPort(Protocol):
    """The swarm and the direct protocol; see `net.network.Network`."""

    def address(self) -> PeerAddress:
        """Return where this node may be reached now."""

    async def wait_reachable(self, timeout_s: float) -> bool:
        """Return whether our address is complete, after waiting for it at most this long."""

    async def next_move(self) -> None:
        """Return when the network of this machine has changed since the last call."""

    def learn(
        self,
        address: PeerAddress,
        source: Source = Source.DIALLED,
        told_by: EndpointId | None = None,
    ) -> None:
        """Remember where a peer may be reached, and which peer told us."""

    def rank(self, peer: EndpointId, rank: int) -> None:
        """Record how far a peer is trusted, if it is connected."""

    def vouched(self, endpoint: EndpointId) -> AddressInfo:
        """Return a peer's addresses that it told us itself or that we have dialled."""

    def contact(self, peer: EndpointId) -> Contact | None:
        """Return what our connections tell about a peer; None if it has none and has lost none."""

    async def reach(self, peer: PeerAddress, timeout_s: float) -> None:
        """Return once a gossip connection exists."""

    async def join(self, topic: TopicId, peers: Sequence[EndpointId]) -> None:
        """Join the topic through these peers."""

    async def quit(self, topic: TopicId) -> None:
        """Leave the topic."""

    async def broadcast(self, topic: TopicId, content: bytes) -> None:
        """Send a message to everybody in the topic."""

    def neighbors(self, topic: TopicId) -> tuple[EndpointId, ...]:
        """Return the topic's active view."""

    async def ask(
        self, peer: EndpointId, request: peer_pb2.PeerRequest, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        """Ask a peer directly and return its whole answer."""


class StorePort(Protocol):
    """What rooms keep on disk; see `store.rocks.RocksStore`."""

    async def put_room(self, record: RoomRecord) -> None:
        """Record that we are in this room."""

    async def delete_room(self, name: RoomName) -> None:
        """Record that we have left the room."""

    def rooms(self) -> tuple[RoomRecord, ...]:
        """Return the rooms we are in."""

    async def put_presence(self, record: PresenceRecord) -> None:
        """Keep the latest presence of a member."""

    def presences(self, room_id: RoomId) -> tuple[PresenceRecord, ...]:
        """Return the latest presence of each member ever heard."""

    def get_presence(self, room_id: RoomId, endpoint: EndpointId) -> PresenceRecord | None:
        """Return the latest presence of a member."""

    async def delete_presence(self, room_id: RoomId, endpoint: EndpointId) -> None:
        """Forget a member of a room."""

    async def delete_presences(self, room_id: RoomId) -> None:
        """Forget the members of a room."""

    async def keeps_any_of(self, room: RoomName) -> bool:
        """Return whether memories, skills or tasks of a room are kept."""

    def watermark(self, name: bytes) -> int:
        """Return a mark that only rises, 0 if there is none."""

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise the mark to `value`, if it is lower."""

    @property
    def invites(self) -> InviteStore:
        """The invites that this node has given out."""


class LegacyRoomPort(Protocol):
    """The 0.1.4 peers in one room; see `legacy.members.RoomOfLegacy`."""

    def members(self, neighbors: Collection[EndpointId]) -> tuple[Member, ...]:
        """Return the members present; neighbors count even if they send nothing."""

    def forget(self, name: str) -> None:
        """Remove the peer of this name."""


class LegacyPort(Protocol):
    """The 0.1.4 peers in all rooms; see `legacy.members.LegacyMembers`."""

    def enter(self, room_id: RoomId) -> LegacyRoomPort:
        """Return a room that this node enters, with nobody in it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The node that a room lives on."""

    endpoint: EndpointId
    user: str
    network: NetworkPort
    store: StorePort
    composer: Composer
    admission: Admission
    clock: Clock
    rng: Random
    counters: Counter[str]
    bindings: Bindings
    gate: Gate
    legacy: LegacyPort | None = None
    """None: no 0.1.4 peer is a member, and none is told that this node is here."""
    history: KeptHistory = KeptHistory.ALL
    """The default for rooms that are joined without another choice."""
    warnings: tuple[str, ...] = ()
    """Warnings about this node for everybody who joins a room."""
