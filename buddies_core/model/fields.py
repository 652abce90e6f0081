"""What callers may add to what they ask for: the same names in every client, tool and command.

A field that is left out has the default that the daemon gives it. The fields of the socket's
messages have these names, too, so that the client hands them on as they are.
"""

from collections.abc import Sequence
from typing import TypedDict


class MemoryFields(TypedDict, total=False):
    """What a memory that is stored may have beside its room and its content."""

    title: str
    """The first line of the content if empty."""
    kind: str
    """One of `MemoryKind`; context if empty."""
    tags: Sequence[str]
    """What it can be filtered by."""
    references: Sequence[str]
    """Ids of memories that it builds on."""
    supersedes: str
    """The id of the memory that it replaces; empty if none."""


class FilterFields(TypedDict, total=False):
    """What a list or a search of memories may be limited to; None and empty are no limit."""

    room: str | None
    kind: str | None
    tags: Sequence[str]
    """Any of them."""
    author: str | None
    agent: str | None
    since_ms: int | None
    include_superseded: bool
    """Also memories that others have taken the place of."""


class SkillFields(TypedDict, total=False):
    """What a skill that is published may have beside its room, its title and its content."""

    tags: Sequence[str]
    version: int
    """0 is one more than the parent's, or 1 without one."""
    parent_hash: str
    """The version that it improves; empty if none."""


class TaskFields(TypedDict, total=False):
    """What a task that is handed over may have beside its room, its description and its limit."""

    peer: str
    """The only machine that may do it: a user name or an endpoint id."""
    agent: str
    """The only agents that may do it, by their name."""
    capability: str
    """What an agent must be able to do."""
    idempotency_key: str
    """The same key from the same agent is the same task."""
    parent_task_id: str
    """The task that it is a part of."""
