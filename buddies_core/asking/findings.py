"""Reads the copies in members' answers to one question."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Generic

from buddies_core.asking.ports import RoomsPort
from buddies_core.asking.question import Hit, ItemT, credible
from buddies_core.errors import BuddiesError
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.pb import peer_pb2
from buddies_core.trust.admitted import Admitted

CHECKED_AT_ONCE = 16
"""Copies or votes, before others get a turn: to check a signature takes 0.1 ms."""

_log = logging.getLogger(__name__)


class Findings(ABC, Generic[ItemT]):
    """Reads the answers to one question. One event loop owns this."""

    def __init__(self, rooms: RoomsPort, counters: Counter[str]) -> None:
        self._rooms = rooms
        self._counters = counters
        self._by_copy: dict[tuple[RoomName, bytes], ItemT | None] = {}

    @abstractmethod
    async def read(self, admitted: Admitted) -> ItemT | None:
        """Return the item in an admitted copy; None if it must not be shown.

        Raises:
            BuddiesError: the copy is not valid.
        """

    async def take(
        self, room: RoomName, source: EndpointId | None, copies: Sequence[peer_pb2.Found]
    ) -> list[Hit[ItemT]]:
        """Return the items in a member's copies, without those that must not be shown.

        Copies that can't be believed are counted. `source` is the member, if it can be asked about
        them.
        """
        hits = []
        for number, copy in enumerate(copies, start=1):
            item = await self._item(room, source, copy.proof)
            if item is not None:
                passage = copy.passage if copy.HasField("passage") else None
                hits.append(Hit(item, credible(copy.score), passage))
            if number % CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)  # lets other tasks run
        return hits

    async def _item(self, room: RoomName, source: EndpointId | None, proof: bytes) -> ItemT | None:
        """Return what a copy holds. Every replica sends the same bytes: they are checked once.

        One that was refused is checked again: whether it can be believed may depend on its source.
        """
        copy = (room, proof)
        if copy not in self._by_copy:
            try:
                admitted = await self._rooms.admit(room, proof, source)
                self._by_copy[copy] = await self.read(admitted)
            except BuddiesError as error:
                self._counters["search_copies_rejected"] += 1
                _log.info("copy_rejected room=%s: %s", room, error)
                return None
        return self._by_copy[copy]
