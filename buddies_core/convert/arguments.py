"""Parses callers' arguments; InvalidInput names the field and the values that it takes."""

import math
import re
from collections.abc import Callable, Sequence
from uuid import UUID

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import MemoryId, RoomName, TaskId
from buddies_core.model.limits import (
    CLAIMS_DEFAULT,
    CLAIMS_MAX,
    LIST_ITEMS_DEFAULT,
    LIST_ITEMS_MAX,
    PAGE_CHARS_DEFAULT,
    PAGE_CHARS_MAX,
    QUERY_CHARS_MAX,
    SEARCH_TIMEOUT_S_MAX,
    SEARCH_TIMEOUT_S_MIN,
    TASK_TIMEOUT_S_MIN,
)
from buddies_core.model.memory import TAGS_MAX, MemoryFilter, MemoryKind
from buddies_core.model.room import KeptHistory
from buddies_core.model.skill import HASH_HEX_CHARS, is_hash
from buddies_core.model.task import TIMEOUT_S_MAX, WAIT_S_MAX, TaskState
from buddies_core.pb import memory_pb2
from buddies_core.wire.pasted import bare

_HEX = re.compile(r"[0-9A-Fa-f]{1,98}", re.ASCII)


def memory_kind(text: str) -> MemoryKind:
    """Return the kind of a memory that is to be stored; none given means context."""
    return _kind(text) if text else MemoryKind.CONTEXT


def memory_id(text: str, field: str = "id") -> MemoryId:
    """Return a memory's id."""
    return MemoryId(_uuid(text, field))


def author_part(text: str, field: str = "id") -> tuple[str, str]:
    """Return the id and the beginning of the author's id of what may be id@author.

    The author is empty if it is not given.
    """
    id, _, author = bare(text).partition("@")
    if author and not _HEX.fullmatch(author):
        raise InvalidInput(
            f"{field} {text[:120]!r} has something else than hex digits behind the @; put the "
            "beginning of the author's id there, or leave it out"
        )
    return id, author.lower()


def task_id(text: str, field: str = "task_id") -> TaskId:
    """Return a task's id."""
    return TaskId(_uuid(text, field))


def task_state(text: str) -> TaskState | None:
    """Return the state that a list of tasks is limited to; None for all of them."""
    try:
        return TaskState(text) if text else None
    except ValueError:
        known = ", ".join(TaskState)
        raise InvalidInput(f"state {text!r} is unknown; use one of {known}") from None


def task_timeout_s(value: float) -> float | None:
    """Return a task's overall deadline in seconds; 0 means that it has the usual limits."""
    if value == 0:
        return None
    if not (math.isfinite(value) and TASK_TIMEOUT_S_MIN <= value <= TIMEOUT_S_MAX):
        raise InvalidInput(
            f"the task's timeout is {value:g} s; give {TASK_TIMEOUT_S_MIN:g} to {TIMEOUT_S_MAX:g}"
            " seconds, or none for the usual limits"
        )
    return value


def wait_s(value: float) -> float:
    """Return how long a call may wait, in seconds; 0 for an answer at once."""
    if not (math.isfinite(value) and 0 <= value <= WAIT_S_MAX):
        raise InvalidInput(f"the wait is {value:g} s; give 0 to {WAIT_S_MAX:g} seconds")
    return value


def skill_hash(text: str, field: str = "hash") -> str:
    """Return a skill's hash, in lower case."""
    value = bare(text).lower()
    if not is_hash(value):
        raise InvalidInput(
            f"{field} {text[:80]!r} is no skill's hash, which has {HASH_HEX_CHARS} hex digits;"
            " search_skills shows them"
        )
    return value


def agent_id(text: str) -> UUID:
    """Return the id that an agent got when it attached."""
    return _uuid(text, "agent")


def limit(value: int) -> int:
    """Return how many results to give; 0 means the default."""
    if value > LIST_ITEMS_MAX:
        raise InvalidInput(f"limit is {value}, at most {LIST_ITEMS_MAX} are given at once")
    return value or LIST_ITEMS_DEFAULT


def claims(value: int) -> int:
    """Return how many tasks to claim; 0 means the default."""
    if value > CLAIMS_MAX:
        raise InvalidInput(f"limit is {value}, at most {CLAIMS_MAX} tasks are claimed at once")
    return value or CLAIMS_DEFAULT


def page_chars(value: int) -> int:
    """Return how long a page of a content is to be; 0 means the default."""
    if value > PAGE_CHARS_MAX:
        raise InvalidInput(f"limit is {value}, a page has at most {PAGE_CHARS_MAX} characters")
    return value or PAGE_CHARS_DEFAULT


def query(text: str) -> str:
    """Return the text to search for."""
    if len(text) > QUERY_CHARS_MAX:
        raise InvalidInput(
            f"query has {len(text)} characters, at most {QUERY_CHARS_MAX} are allowed; ask for"
            " less at once"
        )
    return text


def search_timeout_s(value: float) -> float:
    """Return how long a search may take, in seconds."""
    if not (math.isfinite(value) and SEARCH_TIMEOUT_S_MIN <= value <= SEARCH_TIMEOUT_S_MAX):
        raise InvalidInput(
            f"timeout is {value:g} s; give {SEARCH_TIMEOUT_S_MIN:g} to {SEARCH_TIMEOUT_S_MAX:g}"
            " seconds"
        )
    return value


def filter_tags(values: Sequence[str]) -> tuple[str, ...]:
    """Return the tags of a list or a search, of which an item must have any."""
    if len(values) > TAGS_MAX:
        raise InvalidInput(
            f"{len(values)} tags are asked for, and at most {TAGS_MAX} can be at once;"
            " ask for fewer"
        )
    return tuple(values)


def memory_filter(
    filter: memory_pb2.Filter, named: Callable[[str], RoomName] = RoomName
) -> MemoryFilter:
    """Return what a list or a search is limited to. An empty text is a limit that was left out.

    `named` returns the name of the room that a caller means.
    """
    return MemoryFilter(
        room=named(filter.room) if filter.room else None,
        kind=_kind(filter.kind) if filter.kind else None,
        tags=filter_tags(filter.tags),
        author=filter.author or None,
        agent=filter.agent or None,
        since_ms=filter.since_ms if filter.HasField("since_ms") else None,
        include_superseded=filter.include_superseded,
        oldest_first=filter.oldest_first,
    )


def _kind(text: str) -> MemoryKind:
    try:
        return MemoryKind(text)
    except ValueError:
        known = ", ".join(MemoryKind)
        raise InvalidInput(f"kind {text!r} is unknown; use one of {known}") from None


def _uuid(text: str, field: str) -> UUID:
    try:
        return UUID(bare(text))
    except ValueError:
        raise InvalidInput(
            f"{field} {text!r} is no id; one looks like 8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e61"
        ) from None


def kept_history(text: str) -> KeptHistory | None:
    """Return how much of a room's history is to be kept; None if nothing is said of it.

    Raises:
        InvalidInput: there is no such choice.
    """
    try:
        return KeptHistory(text) if text else None
    except ValueError:
        raise InvalidInput(
            f"history is {text[:80]!r}; it must be one of {', '.join(KeptHistory)}"
        ) from None
