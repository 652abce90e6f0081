"""Memories as they are shown: a snippet, or a page."""

from typing import Protocol

from buddies_core.memory.links import Linked
from buddies_core.model.excerpt import Match
from buddies_core.model.identity import SignerIdentity, Verified
from buddies_core.model.ids import EndpointId
from buddies_core.model.memory import SNIPPET_CHARS_MAX, Memory, MemoryHead
from buddies_core.model.views import Link, MemoryPage, MemoryView


class Bindings(Protocol):
    """The signers that vouch for endpoints; see `rooms.rooms.Rooms`."""

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return the signer whose key vouches for this endpoint, if there is one."""


def snippet(memory: Memory | MemoryHead, bindings: Bindings, linked: Linked) -> MemoryView:
    """Return the memory with the beginning of its content."""
    return view(memory, memory.entry.content[:SNIPPET_CHARS_MAX], bindings, linked)


def page(
    memory: Memory,
    bindings: Bindings,
    offset: int,
    limit: int,
    linked: Linked,
    links: tuple[Link, ...],
) -> MemoryPage:
    """Return `limit` characters of the content, from the `offset`-th on.

    If the content is incomplete, a page beyond its end here is empty and is its own successor.
    """
    content = memory.entry.content
    shown = content[offset : offset + limit]
    end = offset + len(shown)
    # The number of missing characters can't be known; each byte is at most one.
    total = memory.whole.size if memory.whole and memory.truncated else len(content)
    return MemoryPage(
        memory=view(memory, shown, bindings, linked),
        offset=offset,
        next_offset=end if end < total else None,
        total=total,
        links=links,
    )


def view(
    memory: Memory | MemoryHead,
    shown: str,
    bindings: Bindings,
    linked: Linked,
    match: Match | None = None,
) -> MemoryView:
    """Return the memory with this part of its content."""
    entry, size = memory.entry, memory.size
    # Looked up now, not on arrival: the binding may have come after the memory.
    signer = None
    if memory.verified is Verified.PEER:
        signer = bindings.signer_of(EndpointId(bytes.fromhex(entry.author)))
    return MemoryView(
        id=entry.id,
        author=entry.author,
        author_name=memory.author_name,
        agent=memory.agent,
        verified=Verified.SIGNER if signer else memory.verified,
        room=entry.room,
        kind=entry.kind,
        title=entry.title,
        content=shown,
        tags=entry.tags,
        references=entry.references,
        created_at_s=memory.at_s,
        truncated=memory.truncated or len(shown.encode()) < size,
        size=memory.whole.size if memory.whole else size,
        signed_by=signer.label if signer else memory.signed_by,
        match=match,
        supersedes=linked.supersedes,
        superseded_by=linked.superseded_by,
        proposals=linked.proposals,
        proposed_for=linked.proposed_for,
    )
