"""Cursors: texts that say where a list continues; callers return them unchanged.

    memory   := at_s "." hex of the memory's key
    skill    := hash "." room
    task     := created_at_ms "." id
    member   := "0." agents passed | "1." agents passed "." hex of the endpoint "." name
    room     := name
    identity := the first 16 hex digits of the label's SHA-256

An empty one stands for the beginning of a list.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar
from uuid import UUID

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.limits import CURSOR_CHARS_MAX
from buddies_core.model.memory import MemoryKey, MemoryPlace
from buddies_core.model.room import MemberPlace
from buddies_core.model.skill import SkillKey, hash_of_key, is_hash, room_of_key, skill_key
from buddies_core.model.task import TaskPlace

PlaceT = TypeVar("PlaceT")


def memory_cursor(place: MemoryPlace) -> str:
    """Return the cursor that leads on from a memory."""
    return f"{place.at_s}.{place.key.hex()}"


def memory_place(cursor: str) -> MemoryPlace | None:
    """Return the place that a cursor names; None for the beginning of the list."""

    def parse() -> MemoryPlace:
        at_s, key = cursor.split(".")
        return MemoryPlace(_number(at_s), MemoryKey(bytes.fromhex(key)))

    return _parsed(cursor, parse)


def skill_cursor(key: SkillKey) -> str:
    """Return the cursor that leads on from a skill."""
    return f"{hash_of_key(key)}.{room_of_key(key)}"


def skill_place(cursor: str) -> SkillKey | None:
    """Return the skill that a cursor names; None for the beginning of the list."""

    def parse() -> SkillKey:
        hash, room = cursor.split(".", 1)
        if not is_hash(hash):
            raise ValueError(hash)
        return skill_key(hash, RoomName(room))

    return _parsed(cursor, parse)


def task_cursor(place: TaskPlace) -> str:
    """Return the cursor that leads on from a task."""
    return f"{place.created_at_ms}.{place.id}"


def task_place(cursor: str) -> TaskPlace | None:
    """Return the place that a cursor names; None for the beginning of the list."""

    def parse() -> TaskPlace:
        created_at_ms, id = cursor.split(".")
        return TaskPlace(_number(created_at_ms), TaskId(UUID(id)))

    return _parsed(cursor, parse)


def member_cursor(place: MemberPlace) -> str:
    """Return the cursor that leads on from a member, or from one of its agents."""
    if place.is_self:
        return f"0.{place.agents}"
    return f"1.{place.agents}.{place.endpoint.hex()}.{place.name}"


def member_place(cursor: str) -> MemberPlace | None:
    """Return the place that a cursor names; None for the beginning of the list."""

    def parse() -> MemberPlace:
        match cursor.split(".", 3):
            case ["0", agents]:
                return MemberPlace(True, "", EndpointId(b""), _number(agents))
            case ["1", agents, endpoint, name]:
                endpoint_id = EndpointId(bytes.fromhex(endpoint))
                return MemberPlace(False, name, endpoint_id, _number(agents))
            case _:
                raise ValueError(cursor)

    return _parsed(cursor, parse)


def room_place(cursor: str) -> RoomName | None:
    """Return the room that a cursor names; None for the beginning of the list."""
    return _parsed(cursor, lambda: RoomName(cursor))


def identity_cursor(label: str) -> str:
    """Return the cursor that leads on from an identity on a whitelist."""
    return sha256(label.encode()).hexdigest()[:16]


def refused(cursor: str) -> InvalidInput:
    """Return the error for a cursor from which this list can't continue."""
    return InvalidInput(
        f"cursor {cursor[:80]!r} is not one that this list has given; leave it out to begin anew"
    )


def _parsed(cursor: str, parse: Callable[[], PlaceT]) -> PlaceT | None:
    if not cursor:
        return None
    if len(cursor) > CURSOR_CHARS_MAX:
        raise refused(cursor)
    try:
        return parse()
    except (ValueError, OverflowError):
        raise refused(cursor) from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 1 << 63):
        raise ValueError(text)
    return int(text)
