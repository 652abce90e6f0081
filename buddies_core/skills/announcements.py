"""Skills too long for a broadcast: announced, kept aside, and shown once their content is here."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress

from buddies_core.asking.completion import Completion
from buddies_core.asking.fetching import BACKGROUND_ASK_S
from buddies_core.asking.ports import RoomsPort
from buddies_core.asking.wanted import WANTED_FOR_S
from buddies_core.clock import Clock
from buddies_core.errors import WireError
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.skill import Skill
from buddies_core.skills.copies import Copies
from buddies_core.skills.fetching import SkillFetcher
from buddies_core.skills.keeping import Keeper
from buddies_core.store.skill_keys import AnnouncementId, announcement_id
from buddies_core.store.skills import SkillStore

_log = logging.getLogger(__name__)


class Announcements:
    """Fetches what was announced. One event loop owns this."""

    def __init__(
        self,
        rooms: RoomsPort,
        fetcher: SkillFetcher,
        copies: Copies,
        keeper: Keeper,
        store: SkillStore,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        self._fetcher = fetcher
        self._copies = copies
        self._keeper = keeper
        self._store = store
        self._clock = clock
        self._completion = Completion(
            rooms, self._complete, store.drop_announcement, clock, counters
        )

    async def run(self) -> None:
        """Fetch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._completion.run())
            for skill in self._store.announcements():
                if self._clock.wall_ms() - skill.received_at_ms > WANTED_FOR_S * 1000:
                    await self._store.drop_announcement(announcement_id(skill))
                else:
                    await self._fetch_soon(skill, None)

    async def want(self, skill: Skill, neighbor: EndpointId | None) -> None:
        """Have the content of a skill fetched that this neighbor announced.

        If there are too many, those of the least known authors are dropped.

        Raises:
            StoreError: the disk refused.
        """
        await self._store.put_announcement(skill)
        await self._fetch_soon(skill, neighbor)

    async def _fetch_soon(self, skill: Skill, neighbor: EndpointId | None) -> None:
        id, author = announcement_id(skill), EndpointId(bytes.fromhex(skill.entry.author))
        if not await self._completion.want(id, skill.entry.room, author, neighbor):
            await self._store.drop_announcement(id)

    async def _complete(self, id: AnnouncementId, room: RoomName, member: EndpointId) -> None:
        """Ask a member for what was announced; raises as `SkillFetcher.ask` does."""
        announced = self._store.get_announcement(id)
        if announced is None:
            return  # It is here by now.
        hash = announced.entry.hash
        fetched = await self._fetcher.ask(member, room, hash, BACKGROUND_ASK_S)
        # The holder's copy may be less well verified than the announced one. If the announced one
        # does not match this content, it is dropped here: its hash was false.
        with suppress(WireError):
            content = fetched.skill.entry.content.encode()
            await self._keeper.keep(self._copies.with_content(announced, content), member)
        await self._keeper.keep_fetched(fetched)
        _log.info("skill_fetched skill=%s", hash)
