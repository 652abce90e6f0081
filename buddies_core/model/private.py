"""Private rooms: what their members share, and what lets somebody in."""

import hashlib
from dataclasses import dataclass, field

from buddies_core.model.address import PeerAddress
from buddies_core.model.ids import EndpointId, RoomId, RoomName

SECRET_BYTES = 32
TOKEN_BYTES = 32
EPOCH_NUMBER_MAX = 2**32 - 1
EPOCHS_KEPT_MAX = 16
"""Older ones open nothing that is still on its way."""
ROSTER_MEMBERS_MAX = 4000
"""So that a roster fits into one direct request of 128 KiB."""
INVITE_USES_MAX = 64


@dataclass(frozen=True, slots=True)
class Epoch:
    """A private room's secret between two rotations. Whoever knows it is in; it is never shown."""

    number: int
    """From 0 to `EPOCH_NUMBER_MAX`; each rotation makes a higher one."""
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """Who stayed at a rotation, in the words of the member that rotated."""

    room_id: RoomId
    epoch: int
    """The number of the epoch that the rotation began."""
    members: tuple[EndpointId, ...]
    """Ascending, the rotator among them."""
    rotator: EndpointId
    signature: bytes
    """Not verified by being there: see `wire.private.verify_roster`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateState:
    """What a node knows of a private room that it is in, or was in."""

    epochs: tuple[Epoch, ...]
    """The newest last, at most `EPOCHS_KEPT_MAX`."""
    roster: Roster | None = None
    """Of the newest epoch; None if nobody has rotated yet."""
    members: tuple[EndpointId, ...] = ()
    """Whoever was let in and has not been left out since, as far as this node knows."""
    removed: tuple[EndpointId, ...] = ()
    """Whom rotations have left out and nobody has let in since, those of the last one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """What brings somebody into a private room, once its inviter has taken the token."""

    room: RoomName
    room_id: RoomId
    endpoints: tuple[PeerAddress, ...]
    token: bytes = field(repr=False)
    """Random; whoever shows it is given the secret."""
    expires_at_s: int
    """Unix time."""
    uses: int
    """How many endpoints may come in by it."""


def token_hash(token: bytes) -> bytes:
    """Return what an inviter keeps of a token: its SHA-256."""
    return hashlib.sha256(token).digest()
