"""Size limits of memories: errors for our callers, and rejection of peers' entries."""

from buddies_core.errors import InvalidInput, WireError
from buddies_core.model.memory import (
    CONTENT_BYTES_MAX,
    REFERENCES_MAX,
    TAG_BYTES_MAX,
    TAGS_MAX,
    TITLE_BYTES_MAX,
    MemoryEntry,
    Whole,
)

CREATED_AT_S_MAX = 253_402_300_799
"""The end of the year 9999. Programs may fail to show a later time."""


def check_own(entry: MemoryEntry) -> None:
    """Check that an entry of ours may be stored.

    Raises:
        InvalidInput: a field is empty or too large; the text names it and its limit.
    """
    if not entry.content.strip():
        raise InvalidInput("content is empty; write down what the team should know")
    if not all(tag.strip() for tag in entry.tags):
        raise InvalidInput("tags holds an empty one; leave it out")
    excess = _excess(entry, None)
    if excess:
        raise InvalidInput(f"{excess}; shorten it, or store several memories")


def check_received(entry: MemoryEntry, whole: Whole | None) -> None:
    """Check that a peer's entry may be kept.

    Raises:
        WireError: a field is too large.
    """
    excess = _excess(entry, whole)
    if excess:
        raise WireError(f"memory {entry.id}: {excess}")


def _excess(entry: MemoryEntry, whole: Whole | None) -> str | None:
    content = max(len(entry.content.encode()), whole.size if whole else 0)
    longest_tag = max((len(tag.encode()) for tag in entry.tags), default=0)
    sizes = (
        ("title", len(entry.title.encode()), TITLE_BYTES_MAX, "bytes"),
        ("content", content, CONTENT_BYTES_MAX, "bytes"),
        ("tags", len(entry.tags), TAGS_MAX, "tags"),
        ("a tag", longest_tag, TAG_BYTES_MAX, "bytes"),
        ("references", len(entry.references), REFERENCES_MAX, "references"),
        ("created_at", entry.created_at_s, CREATED_AT_S_MAX, "seconds"),
    )
    for field, size, size_max, unit in sizes:
        if size > size_max:
            return f"{field} has {size} {unit}, at most {size_max} are allowed"
    return None
