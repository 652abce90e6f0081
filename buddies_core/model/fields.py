"""The optional fields of requests, with the same names in every client, tool and command.

The daemon supplies the default of an omitted field. The fields of the socket's messages have the
same names, so the client passes them on unchanged.
"""

from collections.abc import Sequence
from typing import TypedDict


class MemoryFields(TypedDict, total=False):
    """The optional fields of a memory to be stored, besides its room and its content."""

    title: str
    """The title; if empty, the first line of the content is used."""
    kind: str
    """One of `MemoryKind`; if empty, context."""
    tags: Sequence[str]
    """Tags by which it can be filtered."""
    references: Sequence[str]
    """Ids of memories that it builds on."""
    supersedes: str
    """The id of the memory that it replaces; empty if none."""


class FilterFields(TypedDict, total=False):
    """The filters of a list or a search of memories; None and empty mean no limit."""

    room: str | None
    kind: str | None
    tags: Sequence[str]
    """An item passes if it has any of these tags."""
    author: str | None
    agent: str | None
    since_ms: int | None
    include_superseded: bool
    """Whether to include memories that were replaced by others."""


class SkillFields(TypedDict, total=False):
    """The optional fields of a skill to be published, besides its room, title and content."""

    tags: Sequence[str]
    version: int
    """The version; 0 means one more than the parent's, or 1 without a parent."""
    parent_hash: str
    """The version that it improves; empty if none."""


class TaskFields(TypedDict, total=False):
    """The optional fields of a delegated task, besides its room, its description and its limit."""

    peer: str
    """The only machine that may do it: a user name or an endpoint id."""
    agent: str
    """The only agents that may do it, by their name."""
    capability: str
    """The capability that an agent must have."""
    idempotency_key: str
    """Repeating a key from the same agent refers to the same task."""
    parent_task_id: str
    """The task that it is a part of."""
