"""The first step of a join: an open room by its name, a new private one, or one by its invite."""

import secrets
from typing import TypeAlias

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import RoomName, open_room_id
from buddies_core.model.private import (
    NONCE_BYTES,
    SECRET_BYTES,
    Founding,
    Invite,
    PrivateState,
    private_room_id,
)
from buddies_core.model.room import KeptHistory, Ticket
from buddies_core.rooms.claims import check_claim
from buddies_core.rooms.joining import others_on
from buddies_core.rooms.ports import Host
from buddies_core.rooms.private.invites import redeem, seat_of
from buddies_core.rooms.private.membership import founded
from buddies_core.rooms.room import Room
from buddies_core.store.records import RoomRecord

WayIn: TypeAlias = Ticket | Invite | None


async def record_of(
    name: RoomName,
    way_in: WayIn,
    host: Host,
    until_s: float,
    *,
    private: bool,
    history: KeptHistory | None,
) -> RoomRecord:
    """Return the record of a room that this node is about to enter; nothing is stored yet.

    Raises:
        InvalidInput: data of another private room is stored here under the invite's name.
        NotAllowed: the inviter refuses the invite.
        Unreachable: no inviter answered by `until_s`, in the event loop's time.
    """
    room_id = open_room_id(name)
    state: PrivateState | None = None
    if isinstance(way_in, Invite):
        room_id = way_in.room_id
        await check_claim(name, room_id, host.store)  # Before a use is spent.
        state = await redeem(way_in, host, until_s)
    elif private:
        founding = Founding(host.endpoint, secrets.token_bytes(NONCE_BYTES))
        room_id = private_room_id(name, founding)
        state = founded(seat_of(host, room_id), founding, secrets.token_bytes(SECRET_BYTES))
    return RoomRecord(
        name=name,
        room_id=room_id,
        joined_at_ms=host.clock.wall_ms(),
        bootstrap=others_on(way_in, host.endpoint),
        private=state,
        history=history or host.history,
    )


def check_same(known: Room, way_in: WayIn, *, private: bool) -> None:
    """Check that the requested room is the one this node is in under that name.

    Raises:
        InvalidInput: it is a different room.
    """
    name = known.name
    leave = f"leave it first (buddies-cli leave {name}), or choose another name"
    if known.epochs is None and (private or isinstance(way_in, Invite)):
        raise InvalidInput(
            f"this machine is in the open room {name!r}, and a room stays what it is: {leave}"
        )
    if isinstance(way_in, Ticket) and known.epochs is not None:
        raise InvalidInput(
            f"the ticket is for the open room {name!r}, but this machine is in a private one of "
            f"that name: {leave}"
        )
    if isinstance(way_in, Invite) and way_in.room_id != known.room_id:
        raise InvalidInput(
            f"the invite is for another private room named {name!r} than the one that this "
            f"machine is in: {leave}"
        )
