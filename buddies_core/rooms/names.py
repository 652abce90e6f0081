"""What may be the name of a room, or the text of a status."""

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import RoomName, topic_of
from buddies_core.model.private import Invite
from buddies_core.model.room import ROOM_NAME_BYTES_MAX, STATUS_BYTES_MAX, Ticket
from buddies_core.wire.tickets import decode_ticket


def room_name(text: str) -> RoomName:
    """Return the text as a room's name.

    Raises:
        InvalidInput: it is empty, too long, or would look like another name.
    """
    if not text.strip():
        raise InvalidInput("room is empty; give the name of a room, such as feature-a")
    if text != text.strip() or not text.isprintable():
        raise InvalidInput(
            f"room {text!r} begins or ends with a space or holds control characters; "
            "others would not find it: leave them out"
        )
    if len(text.encode()) > ROOM_NAME_BYTES_MAX:
        raise InvalidInput(
            f"room is {len(text.encode())} bytes long, {ROOM_NAME_BYTES_MAX} are allowed; "
            "use a shorter name"
        )
    return RoomName(text)


def ticket_for(room: RoomName, text: str) -> Ticket:
    """Return the ticket, once it is known to be for this room.

    Raises:
        InvalidInput: it is no ticket, or one for another room.
    """
    ticket = decode_ticket(text)
    if isinstance(ticket, Invite):
        raise InvalidInput(
            f"the ticket is an invite to a private room, {room!r} is an open one; "
            f"ask for a ticket of {room!r}"
        )
    if ticket.room != room:
        raise InvalidInput(
            f"the ticket is for room {ticket.room!r}, not {room!r}; "
            f"join {ticket.room!r}, or ask for a ticket of {room!r}"
        )
    if ticket.topic != topic_of(room):
        raise InvalidInput(
            f"the ticket names room {room!r} but leads elsewhere; it is damaged or made up: "
            f"ask for a new one (buddies-cli ticket {room})"
        )
    if not ticket.endpoints:
        raise InvalidInput(
            f"the ticket names nobody who is in room {room!r}; ask for a new one "
            f"(buddies-cli ticket {room})"
        )
    return ticket


def status_text(text: str) -> str:
    """Return the text of a status.

    Raises:
        InvalidInput: it is empty or too long.
    """
    if not text.strip():
        raise InvalidInput("text is empty; say in a few words what you are doing")
    if len(text.encode()) > STATUS_BYTES_MAX:
        raise InvalidInput(
            f"text is {len(text.encode())} bytes long, {STATUS_BYTES_MAX} are allowed; "
            "store what is longer as a memory"
        )
    return text
