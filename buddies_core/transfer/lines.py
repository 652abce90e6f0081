"""Records ↔ lines of JSON. Pure.

An exported line has the author's bytes in `proof`, in base64, and those alone are believed. The
other fields are for people and programs that read the file; of these only `content` counts, and
only where the proof announces a content that it does not hold.

A line without a proof is a memory of its importer's own: `content`, and maybe `title`, `kind`,
`tags`, `references` and `created_at_s`.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import MemoryId, RoomName
from buddies_core.model.memory import Memory, MemoryKind
from buddies_core.model.skill import Skill, Vote, hash_of_key, room_of_key

JsonValue: TypeAlias = str | int | bool | list[str] | None

CREATED_AT_S_MAX = 1 << 40
"""Some 35,000 years from now."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A line with its author's bytes."""

    proof: bytes
    content: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """A line without them."""

    id: MemoryId
    """It follows from the line, so that the same line is never imported twice."""
    title: str
    content: str
    kind: MemoryKind
    tags: tuple[str, ...]
    references: tuple[MemoryId, ...]
    created_at_s: int | None


Line: TypeAlias = Proven | Plain


def line_of(record: Memory | Skill | Vote) -> bytes:
    """Return the line of a record, without a line break."""
    fields: dict[str, JsonValue] = {}
    match record:
        case Memory(entry=entry):
            fields = {
                "type": "memory",
                "id": str(entry.id),
                "kind": entry.kind.value,
                "title": entry.title,
                "tags": list(entry.tags),
                "references": [str(it) for it in entry.references],
            }
        case Skill(entry=skill):
            fields = {
                "type": "skill",
                "hash": skill.hash,
                "title": skill.title,
                "tags": list(skill.tags),
                "version": skill.version,
                "parent_hash": skill.parent_hash,
            }
        case Vote():
            return _json(
                {
                    "type": "vote",
                    "skill": hash_of_key(record.skill),
                    "room": room_of_key(record.skill),
                    "voter": record.voter,
                    "score": record.score,
                    "proof": b64encode(record.proof).decode(),
                }
            )
    if not record.truncated:
        fields["content"] = record.entry.content
    return _json(
        {
            **fields,
            "room": record.entry.room,
            "author": record.entry.author,
            "author_name": record.author_name,
            "agent": record.agent,
            "created_at_s": record.entry.created_at_s,
            "verified": record.verified.value,
            "proof": b64encode(record.proof).decode(),
        }
    )


def proof_line(proof: bytes) -> bytes:
    """Return the line of a proof of which nothing else is known."""
    return _json({"type": "proof", "proof": b64encode(proof).decode()})


def parse_line(room: RoomName, line: bytes) -> Line:
    """Parse a line that is to be imported into this room.

    Raises:
        InvalidInput: the line is not valid; the text says what is wrong.
    """
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidInput("it is not a line of JSON") from None
    if not isinstance(fields, dict):
        raise InvalidInput("it is not an object of JSON")
    if "proof" in fields:
        return Proven(_proof(fields["proof"]), _text(fields, "content", None))
    content = _text(fields, "content", None)
    if content is None:
        raise InvalidInput("it has neither a proof nor a content")
    return Plain(
        id=_id(room, line),
        title=_text(fields, "title", "") or "",
        content=content,
        kind=_kind(fields),
        tags=_texts(fields, "tags"),
        references=tuple(map(_reference, _texts(fields, "references"))),
        created_at_s=_created_at_s(fields),
    )


def _json(fields: dict[str, JsonValue]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _id(room: RoomName, line: bytes) -> MemoryId:
    digest = hashlib.sha256(b"buddies imported" + room.encode() + b"\0" + line.strip()).digest()
    return MemoryId(UUID(bytes=digest[:16], version=4))


def _proof(value: object) -> bytes:
    try:
        return b64decode(value if isinstance(value, str) else "!", validate=True)
    except (NotBase64, ValueError):
        raise InvalidInput("its proof is not base64") from None


def _text(fields: dict[str, object], name: str, missing: str | None) -> str | None:
    value = fields.get(name)
    if value is None:
        return missing
    if not isinstance(value, str) or not _is_unicode(value):
        raise InvalidInput(f"its {name} is not a text")
    return value


def _texts(fields: dict[str, object], name: str) -> tuple[str, ...]:
    values = fields.get(name) or []
    if not isinstance(values, list) or not all(
        isinstance(it, str) and _is_unicode(it) for it in values
    ):
        raise InvalidInput(f"its {name} are not a list of texts")
    return tuple(values)


def _is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8; JSON can name half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(fields: dict[str, object]) -> MemoryKind:
    try:
        return MemoryKind(_text(fields, "kind", None) or MemoryKind.CONTEXT)
    except ValueError:
        known = ", ".join(it.value for it in MemoryKind)
        raise InvalidInput(f"its kind is none of {known}") from None


def _reference(text: str) -> MemoryId:
    try:
        return MemoryId(UUID(text))
    except ValueError:
        raise InvalidInput(f"its reference {text[:80]!r} is not the id of a memory") from None


def _created_at_s(fields: dict[str, object]) -> int | None:
    value = fields.get("created_at_s")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < CREATED_AT_S_MAX:
        raise InvalidInput("its created_at_s is not a time in seconds since 1970")
    return value
