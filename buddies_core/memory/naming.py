"""Finds memories by id. Several authors may have used the same id."""

from collections.abc import Iterable

from buddies_core.errors import InvalidInput, NotFound
from buddies_core.memory.fetching import MemoryFetcher, preference
from buddies_core.memory.findings import RecentFinds
from buddies_core.memory.hidden import Hidden
from buddies_core.memory.ports import StorePort
from buddies_core.model.amendment import named
from buddies_core.model.memory import (
    Memory,
    MemoryHead,
    MemoryKey,
    MemoryRef,
    is_verified_key,
    proven_key,
)

GET_TIMEOUT_S = 8.0
"""Half is for finding a memory, and half for the rest of its content. To fetch 1 MiB in that time
takes 2 Mbit/s; slower transfers finish in the background."""
_SHOWN_OF_AUTHOR = 16
"""Hex digits shown of an author's id where memories share an id."""


class Naming:
    """Finds memories by id: here, among recent search results, and at members."""

    def __init__(
        self, store: StorePort, finds: RecentFinds, hidden: Hidden, fetcher: MemoryFetcher
    ) -> None:
        self._store = store
        self._finds = finds
        self._hidden = hidden
        self._fetcher = fetcher

    async def best(self, ref: MemoryRef) -> Memory | MemoryHead:
        """Return the memory that is meant; if several match, the most trustworthy one.

        Raises:
            NotFound: nobody has it, or it must not be shown; the text says why and what to do.
        """
        return max(await self._shown(ref), key=preference)

    async def one(self, ref: MemoryRef) -> Memory | MemoryHead:
        """Return the memory that is meant.

        Raises:
            NotFound: as `best` does.
            InvalidInput: several memories have this id; the text says how to choose one.
        """
        found = await self.all(ref)
        if len(found) == 1:
            return found[0]
        choices = ", ".join(
            f"{it.entry.id}@{_distinction(it)} (by {it.author_name}: {it.entry.title[:40]})"
            for it in found
        )
        raise InvalidInput(
            f"{len(found)} memories have the id {ref.id}; add @ and the beginning of the author's "
            f"id to say which one: {choices}"
        )

    async def all(self, ref: MemoryRef) -> list[Memory | MemoryHead]:
        """Return all the memories that may be meant, each once.

        Raises:
            NotFound: as `best` does.
        """
        by_key: dict[MemoryKey, Memory | MemoryHead] = {}
        for it in await self._shown(ref):
            by_key.setdefault(it.key, it)
        # An unproven copy and its original are one memory.
        return [
            it for it in by_key.values() if it.key == proven_key(it) or proven_key(it) not in by_key
        ]

    async def _shown(self, ref: MemoryRef) -> list[Memory | MemoryHead]:
        found: list[Memory | MemoryHead] = [
            *_meant(ref, self._store.find_heads(ref.id)),
            *_meant(ref, self._finds.find(ref.id)),
        ]
        if not found:
            self._check_not_deleted(ref)
            fetched = await self._fetcher.by_id(ref.id, GET_TIMEOUT_S / 2)
            self._finds.keep(fetched)
            found = _meant(ref, [fetched])
        shown = [memory for memory in found if not self._hidden.hides(memory)]
        if shown:
            return shown
        if found:
            raise NotFound(self._hidden.why(found[0]))
        raise NotFound(
            f"no memory {ref.id} by an author whose id begins with {ref.author} is known here; "
            "get_memory shows the author of the one that is"
        )

    def _check_not_deleted(self, ref: MemoryRef) -> None:
        """Check that the memory is not known to be deleted; else NotFound names the deleter."""
        for deletion in self._store.amendments.deletions(ref.id):
            raise NotFound(named(ref.id, deletion))


def _meant(ref: MemoryRef, memories: Iterable[Memory | MemoryHead]) -> list[Memory | MemoryHead]:
    return [it for it in memories if not ref.author or _is_by(it, ref.author)]


def _is_by(memory: Memory | MemoryHead, author: str) -> bool:
    return memory.entry.author.startswith(author) or memory.key.hex().startswith(author)


def _distinction(memory: Memory | MemoryHead) -> str:
    """Return a text that tells a memory from others with the same id."""
    text = memory.entry.author if is_verified_key(memory.key) else memory.key.hex()
    return text[:_SHOWN_OF_AUTHOR]
