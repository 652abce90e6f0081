"""Rooms as users see them: who is there, and how one got in."""

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
    """Return the name that a typed or pasted text means.

    In NFC, as the same name typed on another system must be the same room, and without the white
    space and the invisible characters around it.
    """
    return RoomName(unicodedata.normalize("NFC", trimmed(text)))


@dataclass(frozen=True, slots=True)
class Ticket:
    """What brings somebody into an open room: its name, its topic and some who are in it."""

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
    """False for a 0.1.4 peer, which knows the gossip protocol alone."""
    heard_at_ms: int = 0
    verified: Verified = Verified.UNVERIFIED
    signed_by: str = ""
    """The label of the signer that vouches for it."""
    silent_since_ms: int = 0
    """Since when nothing has come from it, though it is present; 0 while it is heard."""
    path: Path | None = None
    """How packets get to it; None without a connection of this node to it."""
    round_trip_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AwayMember:
    """A member that was in a room, and is not now."""

    endpoint: EndpointId
    name: str
    last_seen_ms: int


class KeptHistory(StrEnum):
    """What this machine fetches of what was said in a room while it was not there."""

    ALL = "all"
    SINCE_JOIN = "since-join"
    """What was said since it joined the room."""
    NONE = "none"
    """Nothing; it gives others what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatchingUp:
    """An exchange of history that is under way, and has things to fetch."""

    room: RoomName
    name: str
    """The member's."""
    received: int
    expected: int
    """As far as is known by now."""


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """A place in a list of members: behind so many of one member's agents."""

    is_self: bool
    name: str
    endpoint: EndpointId
    agents: int

    @property
    def order(self) -> tuple[bool, str, bytes]:
        """What members are sorted by: this node first, then by name."""
        return not self.is_self, self.name.casefold(), self.endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStatus:
    """A room as this node sees it now. Members come sorted by name, this node first."""

    room: RoomName
    private: bool = False
    topic: TopicId
    """Of an open room; empty of a private one, as nobody but its members is to know it."""
    joined_at_ms: int
    neighbors: int
    members: tuple[Member, ...]
    members_total: int = 0
    """How many there are in all, where a cursor says that these are not all of them."""
    warnings: tuple[str, ...] = ()
    history: KeptHistory = KeptHistory.ALL
    catching_up: tuple[CatchingUp, ...] = ()
    next_cursor: str | None = None
    """Gives the rest of the members; None at their end."""
    away: tuple[AwayMember, ...] = ()
    """Those that were here last, the latest first; none behind a cursor."""


@dataclass(frozen=True, slots=True)
class RoomList:
    """Rooms that this node is in, sorted."""

    rooms: tuple[RoomName, ...]
    next_cursor: str | None = None
    """Gives the rest of the list; None at its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastAnswer:
    """What a 0.1.4 member broadcast in a room when it was asked; or, in `silence`, why it did not.

    Each copy is as 0.1.4 would have broadcast it, so that it is admitted by the same rules.
    """

    room: RoomName
    member: Member
    copies: tuple[bytes, ...] = ()
    came_at_s: float = 0.0
    silence: str = ""


@dataclass(frozen=True, slots=True)
class DialAttempt:
    """One peer that a join tried, and what came of it in words."""

    endpoint: EndpointId
    reached: bool
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinReport:
    """What a join gives."""

    room: RoomName
    ticket: str
    endpoint: EndpointId
    private: bool = False
    """The ticket is empty then: each invite is made by itself."""
    already_joined: bool
    members: tuple[Member, ...]
    tried: tuple[DialAttempt, ...]
    warnings: tuple[str, ...] = ()
    history: KeptHistory = KeptHistory.ALL
    catching_up: tuple[CatchingUp, ...] = ()


@dataclass(frozen=True, slots=True)
class TicketReport:
    """What brings others into a room."""

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
    """What became of a private room's new secret."""

    room: RoomName
    epoch: int
    removed: tuple[NamedPeer, ...]
    told: tuple[NamedPeer, ...]
    """Who has it already."""
    waiting: tuple[NamedPeer, ...]
    """Who is away, and is handed it by the first member it meets."""
    brought: tuple[NamedPeer, ...] = ()
    """Who stays, though the removed have brought them in."""


@dataclass(frozen=True, slots=True)
class LeaveReport:
    """What a leave did: the node may stay because of other agents."""

    room: RoomName
    node_left: bool
    still_joined_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotifyReport:
    """How many members a status went to, as far as this node knows."""

    room: RoomName
    text: str
    members: int
