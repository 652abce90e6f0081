"""What is fuzzed: each decoder with the errors that it may raise, and bytes that it understands.

The law is the same for all: any bytes are decoded or refused with one of those errors, and what is
written of a decoded value is read as what writes the same bytes. A new decoder is one more line of
TARGETS.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from buddies_cli.setup import json_text, toml_text
from buddies_core import settings
from buddies_core.convert import cursors
from buddies_core.errors import InvalidInput, WireError
from buddies_core.history import reconcile
from buddies_core.identity.labels import parse_label
from buddies_core.identity.ssh_keys import parse_ssh_key
from buddies_core.identity.sshsig import WrongSignature, verify_sshsig
from buddies_core.model.front_matter import read_skill_text
from buddies_core.model.private import Invite
from buddies_core.model.room import Ticket
from buddies_core.net.exchange import _decoded
from buddies_core.store import memory_records, records, skill_records, task_records
from buddies_core.transfer.lines import parse_line
from buddies_core.wire.address_info import decode_address_info, encode_address_info
from buddies_core.wire.amendments import decode_amendment, encode_amendment
from buddies_core.wire.frames import FrameReader
from buddies_core.wire.gossip_messages import decode_message, decode_stream_header, encode_message
from buddies_core.wire.private import (
    decode_epoch,
    decode_past,
    decode_roster,
    decode_sponsorship,
    encode_roster,
    encode_sponsorship,
    epoch_of,
)
from buddies_core.wire.room_messages import encode_room_message, has_trailer, open_envelope
from buddies_core.wire.tickets import decode_ticket, encode_invite, encode_ticket
from buddies_mcp.lines import read_line
from buddies_mcp.server import TOOLS
from tests.support.items import InMemoryItems, an_item
from tests.support.memories import DEMO, a_memory

CORPUS = Path(__file__).parent / "corpus"

V = TypeVar("V")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(Generic[V]):
    """A decoder, as a function of bytes."""

    name: str
    decode: Callable[[bytes], V]
    refusals: tuple[type[Exception], ...]
    """What it may raise. Anything else is a crash."""
    again: Callable[[V], bytes] | None = None
    """Writes what was decoded; read and written once more that must be the same bytes."""

    def try_out(self, data: bytes) -> None:
        """Return if the law holds for these bytes.

        Raises:
            Exception: it does not; whatever the decoder has raised.
        """
        try:
            value = self.decode(data)
        except self.refusals:
            return
        if self.again is not None:
            written = self.again(value)
            assert self.again(self.decode(written)) == written, "it is read as another value"

    def corpus(self) -> list[bytes]:
        """Return the bytes that are kept for it."""
        text = (CORPUS / f"{self.name}.hex").read_text("ascii")
        return [bytes.fromhex(line) for line in text.splitlines()]


def _text(data: bytes) -> str:
    """Return these bytes as a text, whatever they are: as much as possible of it is Unicode."""
    return data.decode("utf-8", "replace")


def _verified(data: bytes) -> None:
    """Verify an SSH signature that is `key · line break · armored signature`."""
    key, _, armored = data.partition(b"\n")
    verify_sshsig(parse_ssh_key(_text(key)), b"payload", armored, "buddies")


def _frames(data: bytes) -> list[bytes]:
    """Read a stream in two parts, cut where its first byte says."""
    reader, at = FrameReader(), data[0] if data else 0
    bodies = reader.feed(data[1 : 1 + at]) + reader.feed(data[1 + at :])
    reader.end()
    return bodies


def _ticket(data: bytes) -> Ticket | Invite:
    return decode_ticket(_text(data))


def _written_ticket(ticket: Ticket | Invite) -> bytes:
    text = encode_invite(ticket) if isinstance(ticket, Invite) else encode_ticket(ticket)
    return text.encode()


def _settings(data: bytes) -> object:
    return settings._checked(_text(data), Path("config.toml"))


def _set_up_json(data: bytes) -> object:
    """Configure a client in its JSON file, and take that out again."""
    text = _text(data)
    keys = ("mcpServers", "buddies")
    return json_text.remove(json_text.put(text, keys, {"command": "buddies"}), keys)


def _set_up_toml(data: bytes) -> object:
    """Configure a client in its TOML file, and take that out again."""
    text = _text(data)
    keys = ("mcp_servers", "buddies")
    return toml_text.remove(toml_text.put(text, keys, {"command": "buddies"}), keys)


def _arguments(data: bytes) -> object:
    """Check the arguments of a call: a tool's name, a line break, JSON."""
    name, _, text = _text(data).partition("\n")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return None
    tool = TOOLS.get(name)
    return tool.check(given) if tool and isinstance(given, dict) else None


def _content(begin: str, _size: int) -> str:
    return begin


def _cursor(data: bytes) -> object:
    """Read a cursor as each list does."""
    text = _text(data)
    found: list[object] = []
    for place in (
        cursors.memory_place,
        cursors.skill_place,
        cursors.task_place,
        cursors.member_place,
        cursors.room_place,
    ):
        try:
            found.append(place(text))
        except InvalidInput:
            found.append(None)
    return found


MEMORY_KEY = a_memory().key
ITEMS = InMemoryItems(map(an_item, range(40)))
"""What this node has of a room, when a member compares it with what it has itself."""

TARGETS: tuple[Target[Any], ...] = (
    Target(name="frames", decode=_frames, refusals=(WireError,)),
    Target(name="stream-header", decode=decode_stream_header, refusals=(WireError,)),
    Target(
        name="gossip-message", decode=decode_message, refusals=(WireError,), again=encode_message
    ),
    Target(
        name="address-info",
        decode=decode_address_info,
        refusals=(WireError,),
        again=encode_address_info,
    ),
    Target(
        name="room-message",
        decode=lambda data: (has_trailer(data), open_envelope(data))[1].message,
        refusals=(WireError,),
        again=encode_room_message,
    ),
    Target(
        name="amendment",
        decode=decode_amendment,
        refusals=(WireError,),
        again=lambda change: encode_amendment(change) if change else b"",
    ),
    Target(name="direct-reply", decode=_decoded, refusals=(WireError,)),
    Target(
        name="reconcile-question",
        decode=lambda data: reconcile.answer(ITEMS, data, 4096),
        refusals=(WireError,),
    ),
    Target(
        name="reconcile-answer",
        decode=lambda data: reconcile.learn(ITEMS, data, 4096),
        refusals=(WireError,),
    ),
    Target(name="epoch", decode=lambda data: decode_epoch(7, data), refusals=(WireError,)),
    Target(name="past-epochs", decode=decode_past, refusals=(WireError,)),
    Target(name="sealed-content", decode=epoch_of, refusals=(WireError,)),
    Target(
        name="sponsorship",
        decode=decode_sponsorship,
        refusals=(WireError,),
        again=encode_sponsorship,
    ),
    Target(name="roster", decode=decode_roster, refusals=(WireError,), again=encode_roster),
    Target(name="ticket", decode=_ticket, refusals=(InvalidInput,), again=_written_ticket),
    Target(
        name="stored-memory",
        decode=lambda data: memory_records.decode_memory(MEMORY_KEY, data, _content),
        refusals=(ValueError,),
        again=lambda read: memory_records.encode_memory(read[1], read[0]),
    ),
    Target(
        name="stored-skill",
        decode=lambda data: skill_records.decode_skill(data, _content),
        refusals=(ValueError,),
        again=lambda read: skill_records.encode_skill(read[1], read[0]),
    ),
    Target(
        name="stored-vote",
        decode=skill_records.decode_vote,
        refusals=(ValueError,),
        again=lambda read: skill_records.encode_vote(*read),
    ),
    Target(
        name="stored-amendment",
        decode=records.decode_amendment,
        refusals=(ValueError,),
        again=records.encode_amendment,
    ),
    Target(
        name="stored-room",
        decode=records.decode_room,
        refusals=(ValueError,),
        again=records.encode_room,
    ),
    Target(
        name="stored-presence",
        decode=records.decode_presence,
        refusals=(ValueError,),
        again=records.encode_presence,
    ),
    Target(
        name="stored-binding",
        decode=records.decode_binding,
        refusals=(ValueError,),
        again=records.encode_binding,
    ),
    Target(
        name="stored-revocation",
        decode=records.decode_revocation,
        refusals=(ValueError,),
        again=records.encode_revocation,
    ),
    Target(
        name="stored-task",
        decode=task_records.decode_task,
        refusals=(ValueError,),
        again=task_records.encode_task,
    ),
    Target(
        name="stored-offer",
        decode=task_records.decode_offer,
        refusals=(ValueError,),
        again=task_records.encode_offer,
    ),
    Target(
        name="exported-line",
        decode=lambda data: parse_line(DEMO, data),
        refusals=(InvalidInput,),
    ),
    Target(name="cursor", decode=_cursor, refusals=()),
    Target(name="mcp-line", decode=read_line, refusals=()),
    Target(name="mcp-arguments", decode=_arguments, refusals=(InvalidInput,)),
    Target(name="config-file", decode=_settings, refusals=(InvalidInput,)),
    Target(name="client-json", decode=_set_up_json, refusals=(InvalidInput,)),
    Target(name="client-toml", decode=_set_up_toml, refusals=(InvalidInput,)),
    Target(name="sshsig", decode=_verified, refusals=(InvalidInput, WrongSignature)),
    Target(
        name="ssh-key", decode=lambda data: parse_ssh_key(_text(data)), refusals=(InvalidInput,)
    ),
    Target(
        name="identity-label",
        decode=lambda data: parse_label(_text(data)),
        refusals=(InvalidInput,),
    ),
    Target(name="skill-text", decode=lambda data: read_skill_text(_text(data)), refusals=()),
)
