"""Has the rest of long contents fetched, for memories that arrive and for those on disk."""

import asyncio
import logging
from contextlib import suppress

from buddies_core.asking.completion import CHECK_EVERY_S, Completion
from buddies_core.errors import StoreError
from buddies_core.memory.ports import StorePort
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import MemoryKey, author_of_key

TRUNCATED_AT_ONCE = 100
"""How many memories are looked at before other tasks get a turn."""
LEFT_OUT_EVERY_S = 10.0
LEFT_OUT_PAUSE_MAX_S = 600.0
"""To look costs some 20 µs for each incomplete content."""

_log = logging.getLogger(__name__)


class Remainders:
    """Requests the missing parts of memories, as far as there is room for requests."""

    def __init__(self, store: StorePort, completion: Completion[MemoryKey]) -> None:
        self._store = store
        self._completion = completion

    async def want(
        self, key: MemoryKey, room: RoomName, neighbor: EndpointId | None = None
    ) -> bool:
        """Have the rest of a memory fetched; return False if there are too many just now."""
        return await self._completion.want(key, room, author_of_key(key), neighbor)

    async def run(self) -> None:
        """Request what is incomplete on disk, and again what had to make way, until cancelled.

        A newcomer receives more contents of one author at once than are requested at a time.
        """
        await self._want_truncated()
        pause_s = LEFT_OUT_EVERY_S
        while True:
            await asyncio.sleep(pause_s)
            if not self._completion.has_left_out:
                continue
            self._completion.has_left_out = False
            has_found_room = await self._want_truncated()
            # Contents that nobody has may take up the room for as long as they are requested.
            pause_s = LEFT_OUT_EVERY_S if has_found_room else min(2 * pause_s, LEFT_OUT_PAUSE_MAX_S)

    async def _want_truncated(self) -> bool:
        """Request memories that are incomplete on disk; return whether there was room for any."""
        after: MemoryKey | None = None
        has_found_room = False
        while True:
            try:
                keys = self._store.truncated_memories(TRUNCATED_AT_ONCE, after)
            except StoreError as error:
                _log.warning("contents_not_looked_for: %s", error)
                await asyncio.sleep(CHECK_EVERY_S)
                continue
            for key in keys:
                if self._completion.is_wanted(key):
                    continue
                if not self._completion.has_room_for(author_of_key(key)):
                    self._completion.has_left_out = True
                    continue
                with suppress(StoreError):
                    if (head := self._store.get_head(key)) is not None:
                        has_found_room |= await self.want(key, head.entry.room)
            if len(keys) < TRUNCATED_AT_ONCE:
                return has_found_room
            after = keys[-1]
            await asyncio.sleep(0)  # let other tasks run
