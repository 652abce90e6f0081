"""Defines a skill's hash, the payload of its signature, and its size limits. Pure.

    hash    := hex SHA-256("buddies:skill:" · title · 00 · content · 00 · (tag · 00) for each tag)
               tags sorted by their UTF-8
    payload := hash · author · room · version:u32 · parent_hash:option · created_at_s:u64 (postcard)

Both are 0.1.4's. There the payload covers the content only as far as the hash is recomputed, which
0.1.4 never does and we always do; and a NUL in a field would let two contents share one hash, so a
skill with one is refused.
"""

import hashlib

from buddies_core.errors import InvalidInput, WireError
from buddies_core.model.memory import (
    CONTENT_BYTES_MAX,
    TAG_BYTES_MAX,
    TAGS_MAX,
    TITLE_BYTES_MAX,
    Whole,
)
from buddies_core.model.skill import VERSION_MAX, SkillEntry, is_hash
from buddies_core.wire.postcard import option, text, u32, u64

NAMESPACE = "buddies"
"""The namespace of SSH signatures, which 0.1.4 uses for messages and skills alike."""
CREATED_AT_S_MAX = 253_402_300_799
"""The end of the year 9999; code that shows a later time may fail."""


class SkillRejected(WireError):
    """A peer's skill or vote that is not believed; `reason` is the counter that goes up."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def skill_hash(title: str, content: str, tags: tuple[str, ...]) -> str:
    """Return the hash that names this content."""
    ordered = sorted(tag.encode() for tag in tags)
    canonical = b"buddies:skill:" + b"".join(
        part + b"\0" for part in (title.encode(), content.encode(), *ordered)
    )
    return hashlib.sha256(canonical).hexdigest()


def signing_payload(entry: SkillEntry) -> bytes:
    """Return the payload of the signature inside an entry."""
    return (
        text(entry.hash)
        + text(entry.author)
        + text(entry.room)
        + u32(entry.version)
        + option(entry.parent_hash, text)
        + u64(entry.created_at_s)
    )


def check_own(entry: SkillEntry) -> None:
    """Return if an entry of ours may be published.

    Raises:
        InvalidInput: a field is empty or too large; the text names it and its limit.
    """
    if not entry.title:
        raise InvalidInput("title is empty; say in a few words what the skill does")
    if not entry.content.strip():
        raise InvalidInput("content is empty; write down how it is done, step by step")
    if not all(tag.strip() for tag in entry.tags):
        raise InvalidInput("tags holds an empty one; leave it out")
    if entry.version < 1:
        raise InvalidInput(f"version is {entry.version}; the first one is 1")
    if entry.parent_hash == entry.hash:
        raise InvalidInput("the content is that of its parent; change it, or publish nothing")
    excess = _excess(entry, None)
    if excess:
        raise InvalidInput(f"{excess}; change it, or publish several skills")


def check_received(entry: SkillEntry, whole: Whole | None) -> None:
    """Return if a peer's entry has the form of a skill; of its content nothing is checked yet.

    Raises:
        SkillRejected: it does not have it.
    """
    if not is_hash(entry.hash):
        raise SkillRejected("form", f"skill {entry.hash[:80]!r}: that is no hash")
    if entry.parent_hash is not None and not is_hash(entry.parent_hash):
        raise SkillRejected("form", f"skill {entry.hash}: its parent's hash is none")
    excess = _excess(entry, whole)
    if excess:
        raise SkillRejected("form", f"skill {entry.hash}: {excess}")


def check_hash(entry: SkillEntry) -> None:
    """Return if the entry's content has the hash that names it.

    Raises:
        SkillRejected: it is not.
    """
    found = skill_hash(entry.title, entry.content, entry.tags)
    if found != entry.hash:
        raise SkillRejected("hash", f"skill {entry.hash}: its content has the hash {found}")


def _excess(entry: SkillEntry, whole: Whole | None) -> str | None:
    content = max(len(entry.content.encode()), whole.size if whole else 0)
    longest_tag = max((len(tag.encode()) for tag in entry.tags), default=0)
    sizes = (
        ("title", len(entry.title.encode()), TITLE_BYTES_MAX, "bytes"),
        ("content", content, CONTENT_BYTES_MAX, "bytes"),
        ("tags", len(entry.tags), TAGS_MAX, "tags"),
        ("a tag", longest_tag, TAG_BYTES_MAX, "bytes"),
        ("version", entry.version, VERSION_MAX, "as its number"),
        ("created_at", entry.created_at_s, CREATED_AT_S_MAX, "seconds"),
    )
    for field, size, size_max, unit in sizes:
        if size > size_max:
            return f"{field} has {size} {unit}, at most {size_max} are allowed"
    for field, value in (("title", entry.title), ("content", entry.content), *_named(entry.tags)):
        if "\0" in value:
            return f"{field} holds a NUL character, which no skill may"
    return None


def _named(tags: tuple[str, ...]) -> list[tuple[str, str]]:
    return [("a tag", tag) for tag in tags]
