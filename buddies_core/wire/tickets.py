"""Tickets and invites: texts that one person gives another to let them into a room.

ticket := base32 of the JSON below, RFC 4648, lower case, no padding
{"room": text, "topic": [32 numbers], "endpoints": [{"id": 64 hex digits, "addrs": [addr …]} …]}
addr := {"Relay": url} | {"Ip": "1.2.3.4:5"} | {"Ip": "[::1]:5"}

Tickets are written byte for byte as buddies 0.1.4 writes them, because it refuses a whole ticket
for one unknown kind of address. Reading accepts everything that Rust's serde takes for these types
(an array in place of an object, say), and ignores additions of newer versions.

The ticket of a private room is an invite. It differs only in having the invite in place of the
topic, which stays secret. 0.1.4 reports that its topic is missing.

{"room": text, "invite": invite, "endpoints": [as above]}
invite := {"founder": 64 hex digits, "nonce": 64 hex digits, "token": 64 hex digits,
           "expires_at": Unix time, "uses": count}

The room's id follows from its name, its founder and the nonce. So nobody can make an invite to a
room of their own that carries another room's id. Older invites had a `room_id` instead, and are
refused.
"""

import json
from base64 import b32decode, b32encode
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import NoReturn

from buddies_core.errors import InvalidInput, WireError
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.ids import EndpointId, RoomName, TopicId
from buddies_core.model.private import INVITE_USES_MAX, TOKEN_BYTES, Founding, Invite
from buddies_core.model.room import Ticket
from buddies_core.wire.address_info import decode_address_info, encode_address_info
from buddies_core.wire.endpoint_ids import endpoint_id
from buddies_core.wire.pasted import ticket_in

TICKET_CHARS_MAX = 16_384
PASTED_CHARS_MAX = 4 * TICKET_CHARS_MAX
"""The most characters of a ticket together with the text pasted around it."""
_EXPIRES_AT_S_MAX = 253_402_300_799
"""The last second that can be shown as a date: 9999-12-31 23:59:59 UTC."""


class _Unreadable(Exception):
    """The text can't be read; says why, in words that follow a colon."""


def encode_ticket(ticket: Ticket) -> str:
    """Return the ticket's text, which `decode_ticket` and buddies 0.1.4 can read.

    An endpoint whose addresses would make the text too long is left out.
    """
    return _encode({"room": ticket.room, "topic": list(ticket.topic)}, ticket.endpoints)


def encode_invite(invite: Invite) -> str:
    """Return the invite's text, which `decode_ticket` can read. It is secret until it is used up.

    An endpoint whose addresses would make the text too long is left out.
    """
    inner = {
        "founder": invite.founding.founder.hex(),
        "nonce": invite.founding.nonce.hex(),
        "token": invite.token.hex(),
        "expires_at": invite.expires_at_s,
        "uses": invite.uses,
    }
    return _encode({"room": invite.room, "invite": inner}, invite.endpoints)


def decode_ticket(text: str) -> Ticket | Invite:
    """Return the ticket or invite in this text.

    The caller must check whether a ticket's topic is that of its room, and whether an invite has
    expired. Other text that was pasted along is ignored: see `wire.pasted`.

    Raises:
        InvalidInput: the text has neither, or it is damaged.
    """
    kind = "ticket"
    try:
        if len(text) > PASTED_CHARS_MAX:
            _refuse(f"it has {len(text)} characters, tickets have at most {TICKET_CHARS_MAX}")
        value = _decode(ticket_in(text))
        if isinstance(value, dict) and "invite" in value:
            kind = "invite"
            room, inner, endpoints = _fields(value, ("room", "invite", "endpoints"))
            return _invite(_room(room), inner, _endpoints(endpoints))
        room, topic, endpoints = _fields(value, ("room", "topic", "endpoints"))
        return Ticket(_room(room), _topic(topic), _endpoints(endpoints))
    except _Unreadable as what:
        raise InvalidInput(
            f"this {kind} can't be read: {what}. Copy it again, or ask for a new one: "
            "`buddies-cli ticket ROOM` on the other machine"
        ) from None


def _encode(head: Mapping[str, object], endpoints: tuple[PeerAddress, ...]) -> str:
    written: list[object] = []
    text = _base32_of({**head, "endpoints": written})
    for address in endpoints:
        info = _canonical(address.info)
        one_more = [*written, {"id": address.endpoint.hex(), "addrs": _addrs(info)}]
        longer = _base32_of({**head, "endpoints": one_more})
        if len(longer) <= TICKET_CHARS_MAX:
            text, written = longer, one_more
    return text


def _base32_of(value: object) -> str:
    compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return b32encode(compact.encode()).decode().rstrip("=").lower()


def _decode(text: str) -> object:
    if not text:
        _refuse("it is empty")
    if len(text) > TICKET_CHARS_MAX:
        _refuse(f"it has {len(text)} characters, tickets have at most {TICKET_CHARS_MAX}")
    try:
        decoded = _base32(text).decode()
    except ValueError:
        _refuse("it is no base32 text, or a part of it is missing")
    try:
        value: object = json.loads(decoded)
    except (ValueError, RecursionError):
        _refuse("there is no JSON in it, or a part of it is missing")
    return value


def _addrs(info: AddressInfo) -> list[dict[str, str]]:
    relay = [] if info.relay_url is None else [{"Relay": info.relay_url}]
    return relay + [{"Ip": str(address)} for address in info.direct]


def _canonical(info: AddressInfo) -> AddressInfo:
    """Return the info as peers read it: each address once, in iroh's order, the relay a URL."""
    return decode_address_info(encode_address_info(info))


def _room(value: object) -> RoomName:
    if not isinstance(value, str) or not _is_unicode(value):
        _refuse("its room is no text")
    return RoomName(value)


def _topic(value: object) -> TopicId:
    numbers = _list("topic", value)
    octets = [number for number in numbers if type(number) is int and 0 <= number <= 255]
    if not len(octets) == len(numbers) == 32:
        _refuse("its topic is not 32 numbers from 0 to 255")
    return TopicId(bytes(octets))


def _invite(room: RoomName, value: object, endpoints: tuple[PeerAddress, ...]) -> Invite:
    if isinstance(value, dict) and "room_id" in value and "founder" not in value:
        _refuse(
            "it is to a private room of an earlier version, whose id its maker could choose; that "
            "room has to be made anew with this version"
        )
    names = ("founder", "nonce", "token", "expires_at", "uses")
    founder, nonce, token, expires_at_s, uses = _fields(value, names)
    return Invite(
        room=room,
        founding=Founding(
            EndpointId(_hex("founder of its room", founder)), _hex("nonce in it", nonce)
        ),
        endpoints=endpoints,
        token=_hex("token in it", token),
        expires_at_s=_number("expiry", expires_at_s, 0, _EXPIRES_AT_S_MAX),
        uses=_number("number of uses", uses, 1, INVITE_USES_MAX),
    )


def _hex(what: str, value: object) -> bytes:
    if isinstance(value, str) and len(value) == 2 * TOKEN_BYTES:
        try:
            # The length check refuses spaces, which `fromhex` ignores.
            if len(octets := bytes.fromhex(value)) == TOKEN_BYTES:
                return octets
        except ValueError:
            pass
    _refuse(f"the {what} is not 64 hex digits")


def _number(what: str, value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        _refuse(f"its {what} is not a number from {least} to {most}")
    return value


def _endpoints(value: object) -> tuple[PeerAddress, ...]:
    return tuple(_endpoint(endpoint) for endpoint in _list("endpoints", value))


def _endpoint(value: object) -> PeerAddress:
    id, addrs = _fields(value, ("id", "addrs"))
    relays = []
    direct = []
    for addr in _list("addrs", addrs):
        match addr:
            case {"Relay": str(url)} if _is_unicode(url):
                relays.append(url)
            case {"Ip": str(address)}:
                direct.append(_socket_address(address))
            case {"Relay": _} | {"Ip": _}:
                _refuse("an address in it is no text")
            case _:
                pass  # A kind from a newer version; the other addresses may suffice.
    try:
        info = _canonical(AddressInfo(next(iter(relays), None), tuple(direct)))
    except WireError:
        _refuse("the relay in it is no URL")
    return PeerAddress(_endpoint_id(id), info)


def _endpoint_id(value: object) -> EndpointId:
    """Return the id written in 64 hex digits, or in base32 as some versions of iroh write it."""
    try:
        match value:
            case str() if len(value) == 64:
                return endpoint_id(bytes.fromhex(value))
            case str() if len(value) == 52:
                return endpoint_id(_base32(value))
    except (ValueError, WireError):
        pass
    _refuse("the id of an endpoint in it is not the public key of anyone")


def _socket_address(text: str) -> SocketAddress:
    """Return the address without its zone, which has a meaning only on the writer's machine."""
    host, _, port = text.rpartition(":")
    try:
        if host.startswith("[") and host.endswith("]"):
            ip: IPv4Address | IPv6Address = IPv6Address(host[1:-1].partition("%")[0])
        else:
            ip = IPv4Address(host)
        if port.isascii() and port.isdigit() and int(port) < 1 << 16:
            return SocketAddress(str(ip), int(port))
    except ValueError:
        pass
    _refuse(f"{text[:80]!r} in it is no address such as 192.0.2.1:4433")


def _fields(value: object, names: tuple[str, ...]) -> list[object]:
    """Return these fields of an object, or of an array with the fields in this order."""
    if isinstance(value, list) and len(value) == len(names):
        return value
    fields = value if isinstance(value, dict) else {}
    missing = [name for name in names if name not in fields]
    if missing:
        _refuse(f"it lacks {' and '.join(missing)}")
    return [fields[name] for name in names]


def _list(what: str, value: object) -> list[object]:
    if not isinstance(value, list):
        _refuse(f"its {what} is no list")
    return value


def _base32(text: str) -> bytes:
    """Decode base32 letters of either case; raise ValueError if they are not valid."""
    raw = b32decode(text + "=" * (-len(text) % 8), casefold=True)
    # Python ignores leftover bits at the end; Rust refuses them.
    if b32encode(raw).decode().rstrip("=") != text.upper():
        raise ValueError("bits are left over")
    return raw


def _is_unicode(text: str) -> bool:
    """Return whether the text has no lone surrogates, which JSON has but UTF-8 does not."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _refuse(what: str) -> NoReturn:
    raise _Unreadable(what)
