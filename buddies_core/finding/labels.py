"""What a filter asks for as strings that both halves of the index can look up. Pure.

A memory has a label for its room, its kind, each tag and each name of its author. A filter asks for
groups of labels; a memory passes if it has one of each group, which is what `MemoryFilter.admits`
says, but for time.
"""

from buddies_core.model.memory import Memory, MemoryFilter


def labels_of(memory: Memory) -> tuple[str, ...]:
    """Return what a filter can ask of this memory, each label once."""
    entry = memory.entry
    labels = [
        f"room:{entry.room}",
        f"kind:{entry.kind}",
        f"author:{entry.author.casefold()}",
        f"author:{memory.author_name.casefold()}",
        *(f"tag:{tag}" for tag in entry.tags),
    ]
    return tuple(dict.fromkeys(labels))


def groups_of(filter: MemoryFilter) -> tuple[tuple[str, ...], ...]:
    """Return the groups of labels of which a memory must have one each."""
    groups = [
        (f"room:{filter.room}",) if filter.room is not None else (),
        (f"kind:{filter.kind}",) if filter.kind is not None else (),
        (f"author:{filter.author.casefold()}",) if filter.author is not None else (),
        tuple(f"tag:{tag}" for tag in filter.tags),
    ]
    return tuple(group for group in groups if group)


def created_from_s(filter: MemoryFilter) -> int | None:
    """Return the first second that is not too old, as far as 64 bits go; None if all are."""
    if filter.since_ms is None:
        return None
    return min(max(0, -(-filter.since_ms // 1000)), 2**64 - 1)
