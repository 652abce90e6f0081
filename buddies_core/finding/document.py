"""What the engine knows of memories, skills and whatever else is to be found. Pure.

A document has labels, which a filter can ask for: its room, its kind, each tag, each name of its
author and its agent. A scope holds groups of labels; a document passes if it has one of each group
and is not too old.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text to be found."""

    key: bytes
    """What it is stored under."""
    title: str
    text: str
    tags: tuple[str, ...]
    labels: tuple[str, ...]
    """See `labels`."""
    created_at_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a search is limited to."""

    groups: tuple[tuple[str, ...], ...] = ()
    """A document must have one label of each group."""
    created_from_s: int | None = None
    """The first second that is not too old; None if all are."""

    def admits(self, labels: Iterable[str], created_at_s: int) -> bool:
        """Return whether a document with these labels, made then, passes."""
        has = set(labels)
        return all(not has.isdisjoint(group) for group in self.groups) and (
            self.created_from_s is None or created_at_s >= self.created_from_s
        )


def labels(
    *,
    room: str,
    kind: str = "",
    tags: Iterable[str] = (),
    authors: Iterable[str] = (),
    agent: str = "",
) -> tuple[str, ...]:
    """Return what a filter can ask for, each label once; authors and agents without case."""
    made = [
        f"room:{room}",
        *([f"kind:{kind}"] if kind else ()),
        *(f"author:{author.casefold()}" for author in authors),
        *([f"agent:{agent.casefold()}"] if agent else ()),
        *(f"tag:{tag}" for tag in tags),
    ]
    return tuple(dict.fromkeys(made))


def scope(
    *,
    room: str | None = None,
    kind: str | None = None,
    tags: Iterable[str] = (),
    author: str | None = None,
    agent: str | None = None,
    since_ms: int | None = None,
) -> Scope:
    """Return the scope that asks for all of these, and for any of the tags; None asks for nothing.

    Seconds are whole and have 64 bits: what began before that is all of time.
    """
    groups = (
        (f"room:{room}",) if room is not None else (),
        (f"kind:{kind}",) if kind is not None else (),
        (f"author:{author.casefold()}",) if author is not None else (),
        (f"agent:{agent.casefold()}",) if agent is not None else (),
        tuple(f"tag:{tag}" for tag in tags),
    )
    created_from_s = None if since_ms is None else min(max(0, -(-since_ms // 1000)), 2**64 - 1)
    return Scope(groups=tuple(group for group in groups if group), created_from_s=created_from_s)
