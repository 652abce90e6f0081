"""Private rooms: what their members share, and what lets somebody in."""

import hashlib
from dataclasses import dataclass, field

from buddies_core.model.address import PeerAddress
from buddies_core.model.ids import EndpointId, EpochId, RoomId, RoomName

SECRET_BYTES = 32
TOKEN_BYTES = 32
NONCE_BYTES = 32
EPOCH_NUMBER_MAX = 2**32 - 1
MEMBERS_MAX = 500
"""So that a roster fits into one direct request of 128 KiB."""
PAST_MAX = 256
"""Epochs that a node remembers to have been in. One that missed more of them needs an invite."""
INVITE_USES_MAX = 64


@dataclass(frozen=True, slots=True)
class Founding:
    """What a private room's id follows from, together with its name. Members know it."""

    founder: EndpointId
    nonce: bytes
    """32 random bytes."""


def private_room_id(name: RoomName, founding: Founding) -> RoomId:
    """Return the id of a private room: a hash, so that nobody can choose it.

    It is different for each name, and never that of an open room, which hashes other words.
    """
    context = b"buddies/2 private room\0"
    hashed = hashlib.sha256(context + founding.founder + founding.nonce + name.encode())
    return RoomId(hashed.digest())


@dataclass(frozen=True, slots=True)
class Epoch:
    """A private room's secret between two rotations. Whoever knows it is in; it is never shown."""

    number: int
    """From 0 to `EPOCH_NUMBER_MAX`; each rotation makes a higher one."""
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sponsorship:
    """A member's word that it has let somebody in."""

    member: EndpointId
    by: EndpointId
    """The member that let it in. The founder of the room is there by itself."""
    during: EpochId
    """The epoch in which that was."""
    signature: bytes = field(repr=False)
    """By `by`, not verified by being there. The founder's is empty: the room's id shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """The members with which an epoch begins, in the words of the member that began it."""

    room_id: RoomId
    number: int
    """The epoch's."""
    id: EpochId
    rotator: EndpointId
    entries: tuple[Sponsorship, ...]
    """One for each member, ascending by member, the rotator among them."""
    gone: tuple[Sponsorship, ...] = ()
    """Of those who are no members any more, but have let in some who are; ascending."""
    signature: bytes = field(repr=False)
    """Not verified by being there: see `wire.private.verify_roster`."""

    @property
    def members(self) -> tuple[EndpointId, ...]:
        """Return who is on it, ascending."""
        return tuple(entry.member for entry in self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateState:
    """What a node knows of a private room that it is in, or was in."""

    founding: Founding
    epoch: Epoch
    """The newest. Older secrets are not kept."""
    roster: Roster
    """With which that epoch began."""
    admitted: tuple[Sponsorship, ...] = ()
    """Those let in since, ascending by member."""
    past: tuple[EpochId, ...] = ()
    """Epochs that this node has been in, or has gone past, the newest last; `PAST_MAX` at most."""

    @property
    def members(self) -> tuple[EndpointId, ...]:
        """Return those that began the epoch or were let in since, ascending."""
        since = (entry.member for entry in self.admitted)
        return tuple(sorted((*self.roster.members, *since)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """What brings somebody into a private room, once its inviter has taken the token."""

    room: RoomName
    founding: Founding
    endpoints: tuple[PeerAddress, ...]
    token: bytes = field(repr=False)
    """Random; whoever shows it is given the secret."""
    expires_at_s: int
    """Unix time."""
    uses: int
    """How many endpoints may come in by it."""

    @property
    def room_id(self) -> RoomId:
        """Return the id of the room, which follows from its name and its founding."""
        return private_room_id(self.room, self.founding)


def token_hash(token: bytes) -> bytes:
    """Return what an inviter keeps of a token: its SHA-256."""
    return hashlib.sha256(token).digest()
