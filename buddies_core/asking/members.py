"""The members of rooms, as far as they can be asked."""

from buddies_core.asking.ports import RoomsPort
from buddies_core.errors import NotFound
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.room import Member

MEMBERS_ASKED_MAX = 64
"""One search or fetch asks at most so many members."""


def members_to_ask(rooms: RoomsPort, room: RoomName) -> tuple[Member, ...]:
    """Return the other members that are present and can be asked; none in a room that was left."""
    if room not in rooms.joined():
        return ()
    return tuple(it for it in rooms.members(room) if it.speaks_direct and not it.is_self)


def endpoints_to_ask(rooms: RoomsPort, room: RoomName) -> tuple[EndpointId, ...]:
    """Return the endpoints of `members_to_ask`."""
    return tuple(it.endpoint for it in members_to_ask(rooms, room))


def check_joined(rooms: RoomsPort, room: RoomName, note: str = "") -> None:
    """Return if this node is in the room; raises NotFound, and says how to join, if it is not."""
    if room not in rooms.joined():
        raise NotFound(
            f"room {room!r} is not joined; join it first: join_room, or buddies-cli join ROOM{note}"
        )


def check_known(rooms: RoomsPort, room: RoomName) -> None:
    """Return if this node is in a room of which nothing is kept; raises as `check_joined` does."""
    check_joined(rooms, room, "; nothing of it is kept here")
