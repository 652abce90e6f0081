"""Valid room names, statuses and names of members."""

import unicodedata
from collections.abc import Mapping, Sequence

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import EndpointId, RoomName, short, topic_of
from buddies_core.model.private import Invite
from buddies_core.model.room import ROOM_NAME_BYTES_MAX, STATUS_BYTES_MAX, Ticket, typed_room
from buddies_core.model.unseen import find_unseen
from buddies_core.wire.tickets import decode_ticket

ID_CHARS_MIN = 8
"""The fewest digits of an endpoint id that can name a member."""


def room_name(text: str) -> RoomName:
    """Return the room name that a text means; see `model.room.typed_room`.

    Raises:
        InvalidInput: it is empty, too long, or looks like another name.
    """
    name = typed_room(text)
    if not name:
        raise InvalidInput("room is empty; give the name of a room, such as feature-a")
    blanks = (f"U+{ord(char):04X}" for char in name if char.isspace() and char != " ")
    if bad := next(blanks, None) or next((unseen.name for unseen in find_unseen(name)), None):
        raise InvalidInput(
            f"room {name!r} contains {bad}, which cannot be seen or told from a space, so others "
            "would not find the room; write the name without it"
        )
    _check_length(name)
    return name


def _check_length(name: RoomName) -> None:
    if (size := len(name.encode())) > ROOM_NAME_BYTES_MAX:
        raise InvalidInput(
            f"room is {size} bytes long, {ROOM_NAME_BYTES_MAX} are allowed; use a shorter name"
        )


def way_into(room: RoomName, text: str, *, private: bool) -> Ticket | Invite:
    """Return the ticket, or the invite to a private room, after checking that it is for this room.

    The ticket's spelling of the room's name counts: the topic of a room from before names were in
    NFC comes from that.

    Raises:
        InvalidInput: it is neither, or is for another room.
    """
    given = decode_ticket(text)
    if given.room != room and unicodedata.normalize("NFC", given.room) != room:
        raise InvalidInput(
            f"the ticket is for room {given.room!r}, not {room!r}; "
            f"join {given.room!r}, or ask for a ticket of {room!r}"
        )
    if isinstance(given, Ticket) and private:
        raise InvalidInput(
            f"the ticket is for the open room {room!r}; leave out --private to join that, or ask "
            "for an invite to a private one"
        )
    _check_length(given.room)
    if isinstance(given, Ticket) and given.topic != topic_of(given.room):
        raise InvalidInput(
            f"the ticket names room {room!r} but leads elsewhere; it is damaged or made up: "
            f"ask for a new one (buddies-cli ticket {room})"
        )
    if not given.endpoints:
        raise InvalidInput(
            f"the ticket names nobody who is in room {room!r}; ask for a new one "
            f"(buddies-cli ticket {room})"
        )
    return given


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


def members_named(
    texts: Sequence[str], members: Mapping[EndpointId, str], me: EndpointId
) -> tuple[EndpointId, ...]:
    """Return the members that these texts mean: each a name, or the start of an endpoint id.

    Raises:
        InvalidInput: a text matches nobody, several members, or this node itself.
    """
    meant: dict[EndpointId, None] = {}
    for text in texts:
        wanted = text.strip()
        is_id = len(wanted) >= ID_CHARS_MIN and set(wanted.lower()) <= set("0123456789abcdef")
        found = [
            member
            for member, name in members.items()
            if name == wanted or (is_id and member.hex().startswith(wanted.lower()))
        ]
        if found == [me]:
            raise InvalidInput(
                f"{text!r} is this machine; to go, leave the room: buddies-cli leave"
            )
        if len(found) != 1:
            known = ", ".join(f"{members[it]} ({short(it)})" for it in found or members if it != me)
            raise InvalidInput(
                f"{text!r} is {'more than one member' if found else 'no member of the room'}; name "
                f"one by how its endpoint id begins, {ID_CHARS_MIN} digits or more: "
                f"{known or 'there is nobody else'}"
            )
        meant[found[0]] = None
    return tuple(meant)
