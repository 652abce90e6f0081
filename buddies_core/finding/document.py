"""The search engine's view of memories, skills and anything else that it finds. Pure.

A document has labels for filters: its room, its kind, each tag, each name of its author and its
agent. A scope has groups of labels; a document passes if it has a label of each group and is not
too old.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from buddies_core.model.labels import groups_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text that searches can find."""

    key: bytes
    """The key under which the store has it."""
    title: str
    text: str
    tags: tuple[str, ...]
    labels: tuple[str, ...]
    """See `model.labels`."""
    created_at_s: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """An order to keep nothing of the document with this key."""

    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The limits of a search."""

    groups: tuple[tuple[str, ...], ...] = ()
    """A document must have one label of each group."""
    created_from_s: int | None = None
    """The earliest time of creation to include; None for any."""
    include_superseded: bool = False
    """Whether to include superseded items; only the items' owner knows which those are."""

    def admits(self, labels: Iterable[str], created_at_s: int) -> bool:
        """Return whether a document with these labels and this time of creation passes."""
        has = set(labels)
        return all(not has.isdisjoint(group) for group in self.groups) and (
            self.created_from_s is None or created_at_s >= self.created_from_s
        )


def scope(
    *,
    room: str | None = None,
    kind: str | None = None,
    tags: Iterable[str] = (),
    author: str | None = None,
    agent: str | None = None,
    since_ms: int | None = None,
    include_superseded: bool = False,
) -> Scope:
    """Return the scope that requires all of these, and any one of the tags; None requires nothing.

    `since_ms` is rounded up to whole seconds and limited to 64 bits; below 0 it admits any time.
    """
    groups = groups_of(room=room, kind=kind, tags=tags, author=author, agent=agent)
    created_from_s = None if since_ms is None else min(max(0, -(-since_ms // 1000)), 2**64 - 1)
    return Scope(
        groups=groups, created_from_s=created_from_s, include_superseded=include_superseded
    )
