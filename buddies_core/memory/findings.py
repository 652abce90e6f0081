"""What a search found, here and at peers: one memory once, in one order."""

import asyncio
import logging
import math
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from sys import getsizeof
from typing import TypeVar

from buddies_core.errors import BuddiesError, StoreError
from buddies_core.finding.ranking import RELEVANCE_MAX
from buddies_core.memory.copies import claimed_author, received_memory
from buddies_core.memory.ports import HiddenPort, RoomsPort, StorePort
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName
from buddies_core.model.memory import (
    Memory,
    MemoryFilter,
    MemoryHead,
    MemoryKey,
    prevails,
    same_words,
    verified_key,
)

K = TypeVar("K")

_KEPT_MAX = 1000
_KEPT_BYTES_MAX = 16 << 20
"""Of memory: a text may take four bytes for each of its characters."""
_CHECKED_AT_ONCE = 16
"""Copies, before others get a turn: to check a signature takes 0.1 ms."""

_log = logging.getLogger(__name__)


def merge(lists: Iterable[Sequence[tuple[K, float]]]) -> list[tuple[K, float]]:
    """Return what the lists name, best first, each with its greatest relevance. Pure.

    A relevance means the same at every node (`finding.ranking`), so it makes no difference which of
    them holds a memory.
    """
    best: dict[K, float] = {}
    for key, relevance in (hit for ranked in lists for hit in ranked):
        best[key] = max(relevance, best.get(key, relevance))
    return sorted(best.items(), key=lambda item: -item[1])


def credible(relevance: float) -> float:
    """Return a relevance that a peer claims, within what there can be."""
    return min(max(relevance, 0.0), RELEVANCE_MAX) if math.isfinite(relevance) else 0.0


class Findings:
    """Collects the answers to one question."""

    def __init__(
        self,
        filter: MemoryFilter,
        store: StorePort,
        rooms: RoomsPort,
        hidden: HiddenPort,
        counters: Counter[str],
    ) -> None:
        # Whom an author's name means only those know who have heard it: the answering peer decides.
        self._filter = replace(filter, author=None)
        self._store = store
        self._rooms = rooms
        self._hidden = hidden
        self._counters = counters
        self._memories: dict[MemoryKey, Memory | MemoryHead] = {}
        self._lists: list[list[tuple[MemoryKey, float]]] = []
        self._by_copy: dict[tuple[RoomName, bytes], Memory | None] = {}

    def add(self, ranked: Sequence[tuple[Memory | MemoryHead, float]]) -> None:
        """Take in what one node knows of one room, best first."""
        for memory, _ in ranked:
            known = self._memories.get(memory.key)
            if known is None or prevails(memory, known):
                self._memories[memory.key] = memory
        self._lists.append([(memory.key, score) for memory, score in ranked])

    async def believed(
        self,
        room: RoomName,
        source: EndpointId | None,
        copies: Iterable[tuple[bytes, float]],
        now_ms: int,
    ) -> list[tuple[Memory, float]]:
        """Return the memories in the copies of a peer, without those that are hidden here.

        What is not to be believed is counted.
        """
        ranked = []
        for number, (proof, score) in enumerate(copies, start=1):
            memory = await self._admit(room, source, proof, now_ms)
            if memory is not None:
                ranked.append((memory, credible(score)))
            if number % _CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return ranked

    def ranked(self, limit: int) -> list[tuple[Memory | MemoryHead, float]]:
        """Return the best of all that was taken in."""
        known = {key: self._proven(memory) for key, memory in self._memories.items()}
        lists = [[(known[key].key, score) for key, score in ranked] for ranked in self._lists]
        by_key = {memory.key: memory for memory in known.values()}
        return [(by_key[key], score) for key, score in merge(lists)[:limit]]

    async def _admit(
        self, room: RoomName, source: EndpointId | None, proof: bytes, now_ms: int
    ) -> Memory | None:
        """Return the memory in a copy; every replica sends the same ones, so each is read once."""
        copy = (room, proof)
        if copy not in self._by_copy:
            try:
                admitted = await self._rooms.admit(room, proof, source)
                memory = received_memory(admitted, self._rooms, now_ms)
            except BuddiesError as error:
                self._counters["search_copies_rejected"] += 1
                _log.info("copy_rejected room=%s: %s", room, error)
                self._by_copy[copy] = None
            else:
                shown = self._filter.admits(memory) and not self._hides(memory)
                self._by_copy[copy] = memory if shown else None
        return self._by_copy[copy]

    def _hides(self, memory: Memory) -> bool:
        """Whether a copy is of what is hidden here; what is kept of it is older, and decides."""
        if memory.verified is not Verified.UNVERIFIED and not self._hidden.hides(memory):
            return False
        try:
            kept = self._store.get_memory(memory.key)
        except StoreError:
            kept = None
        known = kept if kept is not None and same_words(kept, memory) else self._proven(memory)
        return self._hidden.hides(known)

    def _proven(self, memory: Memory | MemoryHead) -> Memory | MemoryHead:
        """Return the memory that this one is an unproven copy of, if its author's bytes are known.

        0.1.4 peers hand on our own memories without them.
        """
        author = claimed_author(memory.entry)
        if memory.verified is not Verified.UNVERIFIED or author is None:
            return memory
        key = verified_key(author, memory.entry.id)
        try:
            proven = self._memories.get(key) or self._store.get_head(key)
        except StoreError:
            return memory
        return memory if proven is None or self._hidden.hides(proven) else proven


class RecentFinds:
    """Memories found at peers lately, so that they can be read whole. Nothing of it is on disk."""

    def __init__(self) -> None:
        self._memories: OrderedDict[MemoryKey, Memory] = OrderedDict()
        self._bytes = 0

    def keep(self, memory: Memory) -> None:
        """Keep a memory, in place of what was known of it; of many the oldest are forgotten."""
        self._forget(memory.key)
        self._memories[memory.key] = memory
        self._bytes += _bytes_of(memory)
        while len(self._memories) > _KEPT_MAX or self._bytes > _KEPT_BYTES_MAX:
            self._forget(next(iter(self._memories)))

    def find(self, id: MemoryId) -> tuple[Memory, ...]:
        """Return those with this id."""
        return tuple(memory for memory in self._memories.values() if memory.entry.id == id)

    def _forget(self, key: MemoryKey) -> None:
        memory = self._memories.pop(key, None)
        if memory is not None:
            self._bytes -= _bytes_of(memory)


def _bytes_of(memory: Memory) -> int:
    return getsizeof(memory.entry.content) + getsizeof(memory.proof)
