"""Private rooms: the state that their members share, and invites."""

import hashlib
from dataclasses import dataclass, field

from buddies_core.model.address import PeerAddress
from buddies_core.model.ids import EndpointId, EpochId, RoomId, RoomName

SECRET_BYTES = 32
TOKEN_BYTES = 32
NONCE_BYTES = 32
EPOCH_NUMBER_MAX = 2**32 - 1
MEMBERS_MAX = 500
"""The most members of a private room, so that a roster fits into one request of 128 KiB."""
PAST_MAX = 256
"""The most past epochs that a node remembers. A node that missed more needs an invite."""
INVITE_USES_MAX = 64


@dataclass(frozen=True, slots=True)
class Founding:
    """A value that determines a private room's id, together with its name. Members know it."""

    founder: EndpointId
    nonce: bytes
    """32 random bytes."""


def private_room_id(name: RoomName, founding: Founding) -> RoomId:
    """Return the id of a private room: a hash, so that nobody can choose it.

    It differs for each name, and never equals an open room's id, which hashes other words.
    """
    context = b"buddies/2 private room\0"
    hashed = hashlib.sha256(context + founding.founder + founding.nonce + name.encode())
    return RoomId(hashed.digest())


@dataclass(frozen=True, slots=True)
class Epoch:
    """A private room's secret between two rotations. It grants access, and is never shown."""

    number: int
    """From 0 to `EPOCH_NUMBER_MAX`; each rotation makes a higher one."""
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sponsorship:
    """A member's statement that it has let another one in."""

    member: EndpointId
    by: EndpointId
    """The member that let it in. The founder of the room is its own sponsor."""
    during: EpochId
    """The epoch in which that happened."""
    signature: bytes = field(repr=False)
    """The signature by `by`, not yet verified. The founder's is empty: the room's id proves it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The members with which an epoch begins, as stated by the member that began it."""

    room_id: RoomId
    number: int
    """The number of the epoch."""
    id: EpochId
    rotator: EndpointId
    entries: tuple[Sponsorship, ...]
    """One for each member, including the rotator, ascending by member."""
    gone: tuple[Sponsorship, ...] = ()
    """Those of former members that let in current members; ascending."""
    signature: bytes = field(repr=False)
    """Not yet verified: see `wire.private.verify_roster`."""

    @property
    def members(self) -> tuple[EndpointId, ...]:
        """Return the members on the roster, ascending."""
        return tuple(entry.member for entry in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateState:
    """A node's knowledge of a private room that it is in, or was in."""

    founding: Founding
    epoch: Epoch
    """The newest epoch. Older secrets are not kept."""
    roster: Roster
    """The roster with which that epoch began."""
    admitted: tuple[Sponsorship, ...] = ()
    """The members let in since, ascending by member."""
    past: tuple[EpochId, ...] = ()
    """Epochs that this node has been in or has skipped, the newest last; `PAST_MAX` at most."""

    @property
    def members(self) -> tuple[EndpointId, ...]:
        """Return the members on the roster and those let in since, ascending."""
        since = (entry.member for entry in self.admitted)
        return tuple(sorted((*self.roster.members, *since)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """An invite to a private room, which lets its holder in once the inviter accepts the token."""

    room: RoomName
    founding: Founding
    endpoints: tuple[PeerAddress, ...]
    token: bytes = field(repr=False)
    """Random. The inviter gives the room's secret to anyone that shows it."""
    expires_at_s: int
    """Unix time."""
    uses: int
    """How many endpoints may join with it."""

    @property
    def room_id(self) -> RoomId:
        """Return the id of the room, which follows from its name and its founding."""
        return private_room_id(self.room, self.founding)


def token_hash(token: bytes) -> bytes:
    """Return the SHA-256 of a token, which is all that an inviter keeps of it."""
    return hashlib.sha256(token).digest()
