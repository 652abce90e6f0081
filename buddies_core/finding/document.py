"""What the engine knows of memories, skills and whatever else is to be found. Pure.

A document has labels, which a filter can ask for: its room, its kind, each tag, each name of its
author and its agent. A scope holds groups of labels; a document passes if it has one of each group
and is not too old.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from buddies_core.model.labels import groups_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text to be found."""

    key: bytes
    """What it is stored under."""
    title: str
    text: str
    tags: tuple[str, ...]
    labels: tuple[str, ...]
    """See `model.labels`."""
    created_at_s: int


@dataclass(frozen=True, slots=True)
class Erasure:
    """That nothing of the document with this key is to be kept."""

    key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a search is limited to."""

    groups: tuple[tuple[str, ...], ...] = ()
    """A document must have one label of each group."""
    created_from_s: int | None = None
    """The first second that is not too old; None if all are."""
    include_superseded: bool = False
    """Also what others have taken the place of, which only its owner knows."""

    def admits(self, labels: Iterable[str], created_at_s: int) -> bool:
        """Return whether a document with these labels, made then, passes."""
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
    """Return the scope that asks for all of these, and for any of the tags; None asks for nothing.

    Seconds are whole and have 64 bits: what began before that is all of time.
    """
    groups = groups_of(room=room, kind=kind, tags=tags, author=author, agent=agent)
    created_from_s = None if since_ms is None else min(max(0, -(-since_ms // 1000)), 2**64 - 1)
    return Scope(
        groups=groups, created_from_s=created_from_s, include_superseded=include_superseded
    )
