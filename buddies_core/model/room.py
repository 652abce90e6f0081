"""Rooms as users see them: their members, and how members join."""

import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from buddies_core.model.address import PeerAddress
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.contact import Path
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomName, TopicId
from buddies_core.model.unseen import trimmed

ROOM_NAME_BYTES_MAX = 256
STATUS_BYTES_MAX = 1024


def typed_room(text: str) -> RoomName:
    """Return the room name that a typed or pasted text means.

    The name is in NFC, so that it means the same room on every system, and has no white space or
    invisible characters around it.
    """
    return RoomName(unicodedata.normalize("NFC", trimmed(text)))


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket to an open room: the room's name, its topic and some of its members."""

    room: RoomName
    topic: TopicId
    endpoints: tuple[PeerAddress, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A peer in a room."""

    endpoint: EndpointId
    """Empty for a 0.1.4 peer that has not been heard directly."""
    name: str
    agents: tuple[AgentPresence, ...] = ()
    is_self: bool = False
    speaks_direct: bool = True
    """False for a 0.1.4 peer, which knows only the gossip protocol."""
    heard_at_ms: int = 0
    verified: Verified = Verified.UNVERIFIED
    signed_by: str = ""
    """The label of the signer that vouches for it."""
    silent_since_ms: int = 0
    """When a present member was last heard, if it has fallen silent; 0 while it is heard."""
    path: Path | None = None
    """The way that packets take to it; None if this node has no connection to it."""
    round_trip_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AwayMember:
    """A member that was present in a room, and is not now."""

    endpoint: EndpointId
    name: str
    last_seen_ms: int


class KeptHistory(StrEnum):
    """Which messages this machine fetches that were sent in a room while it was away."""

    ALL = "all"
    SINCE_JOIN = "since-join"
    """Messages sent since it joined the room."""
    NONE = "none"
    """None; it still gives its own items to other members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchingUp:
    """An exchange of history that is under way, and has things to fetch."""

    room: RoomName
    name: str
    """The name of the member."""
    received: int
    expected: int
    """The number of items to fetch, as far as is known by now."""


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """A place in a list of members: after a given number of one member's agents."""

    is_self: bool
    name: str
    endpoint: EndpointId
    agents: int

    @property
    def order(self) -> tuple[bool, str, bytes]:
        """The sort key of members: this node first, then by name."""
        return not self.is_self, self.name.casefold(), self.endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStatus:
    """A room as this node sees it now. Members come sorted by name, this node first."""

    room: RoomName
    private: bool = False
    topic: TopicId
    """The topic of an open room; empty for a private one, as only its members may know it."""
    joined_at_ms: int
    neighbors: int
    members: tuple[Member, ...]
    members_total: int = 0
    """The number of all members, where a cursor shows that the list is incomplete."""
    warnings: tuple[str, ...] = ()
    history: KeptHistory = KeptHistory.ALL
    catching_up: tuple[CatchingUp, ...] = ()
    next_cursor: str | None = None
    """Gives the rest of the members; None at their end."""
    away: tuple[AwayMember, ...] = ()
    """Members that were here recently, the latest first; empty after a cursor."""


@dataclass(frozen=True, slots=True)
class RoomList:
    """Rooms that this node is in, sorted."""

    rooms: tuple[RoomName, ...]
    next_cursor: str | None = None
    """Gives the rest of the list; None at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastAnswer:
    """A 0.1.4 member's broadcast in answer to a question; or, in `silence`, why there is none.

    Each copy is as 0.1.4 would have broadcast it, so that it is admitted by the same rules.
    """

    room: RoomName
    member: Member
    copies: tuple[bytes, ...] = ()
    came_at_s: float = 0.0
    silence: str = ""


@dataclass(frozen=True, slots=True)
class DialAttempt:
    """One peer that a join tried, and the outcome in words."""

    endpoint: EndpointId
    reached: bool
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinReport:
    """The result of a join."""

    room: RoomName
    ticket: str
    endpoint: EndpointId
    private: bool = False
    """If true, the ticket is empty: each invite is made separately."""
    already_joined: bool
    members: tuple[Member, ...]
    tried: tuple[DialAttempt, ...]
    warnings: tuple[str, ...] = ()
    history: KeptHistory = KeptHistory.ALL
    catching_up: tuple[CatchingUp, ...] = ()


@dataclass(frozen=True, slots=True)
class TicketReport:
    """A ticket or an invite that brings others into a room."""

    room: RoomName
    ticket: str
    """An invite, where the room is private."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NamedPeer:
    """A peer and the display name last heard of it."""

    endpoint: EndpointId
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateReport:
    """How far a private room's new secret has been distributed."""

    room: RoomName
    epoch: int
    removed: tuple[NamedPeer, ...]
    told: tuple[NamedPeer, ...]
    """Members that have it already."""
    waiting: tuple[NamedPeer, ...]
    """Members that are away; the first member they meet hands it to them."""
    brought: tuple[NamedPeer, ...] = ()
    """Members that stay, although removed members brought them in."""


@dataclass(frozen=True, slots=True)
class LeaveReport:
    """The result of a leave: the node may stay because of other agents."""

    room: RoomName
    node_left: bool
    still_joined_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotifyReport:
    """The number of members that a status went to, as far as this node knows."""

    room: RoomName
    text: str
    members: int
