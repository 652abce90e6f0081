"""Turns filters into strings that an index can look up. Pure.

An item has a label for its room, its kind, its agent, each tag and each name of its author. A
filter asks for groups of labels; an item passes if it has one of each group.
"""

from collections.abc import Iterable


def labels_of(
    *,
    room: str,
    kind: str = "",
    tags: Iterable[str] = (),
    authors: Iterable[str] = (),
    agent: str = "",
) -> tuple[str, ...]:
    """Return the labels of an item, each once; authors and agents are compared without case."""
    labels = (
        f"room:{room}",
        *([f"kind:{kind}"] if kind else ()),
        *([f"agent:{agent.casefold()}"] if agent else ()),
        *(f"author:{author.casefold()}" for author in authors),
        *(f"tag:{tag}" for tag in tags),
    )
    return tuple(dict.fromkeys(labels))


def rooms_group(rooms: Iterable[str]) -> tuple[str, ...]:
    """Return the group that asks for any of these rooms."""
    return tuple(f"room:{room}" for room in rooms)


def groups_of(
    *,
    room: str | None = None,
    kind: str | None = None,
    tags: Iterable[str] = (),
    author: str | None = None,
    agent: str | None = None,
) -> tuple[tuple[str, ...], ...]:
    """Return the groups that require all of these, and any of the tags; None requires nothing."""
    groups = (
        () if room is None else (f"room:{room}",),
        () if kind is None else (f"kind:{kind}",),
        () if agent is None else (f"agent:{agent.casefold()}",),
        () if author is None else (f"author:{author.casefold()}",),
        tuple(f"tag:{tag}" for tag in tags),
    )
    return tuple(group for group in groups if group)
