"""Fetches announced contents that this node lacks, in the background; see `wanted`."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from buddies_core.asking.members import endpoints_to_ask
from buddies_core.asking.ports import RoomsPort
from buddies_core.asking.wanted import Attempt, Wanted
from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, QuotaExceeded, StoreError, TimedOut
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.model.provenance import Trust

FETCHES_AT_ONCE = 4
STRANGERS_AT_ONCE = 2
"""The most of these for strangers. A member may announce a content, then take 30 s to give none."""
CHECK_EVERY_S = 2.0
"""How often to look for new members, as they come and go without notice."""
DISK_PAUSE_S = 10.0
"""The pause after the disk refused a content; members would send it repeatedly for nothing."""

_log = logging.getLogger(__name__)

KeyT = TypeVar("KeyT")


class Completion(Generic[KeyT]):
    """Asks for contents, a few at once, until each is here or given up."""

    def __init__(
        self,
        rooms: RoomsPort,
        ask: Callable[[KeyT, RoomName, EndpointId], Awaitable[None]],
        give_up: Callable[[KeyT], Awaitable[None]],
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        """Begin with nothing to ask for.

        Args:
            rooms: Who is there.
            ask: Asks a member for a content, and keeps it; raises BuddiesError if that did not
                give it. Returns at once if it is here already.
            give_up: Is told of each content that is no longer asked for.
            clock: The time.
            counters: Count what is given up.
        """
        self._rooms = rooms
        self._ask = ask
        self._give_up = give_up
        self._clock = clock
        self._counters = counters
        self._wanted: Wanted[KeyT] = Wanted(lambda room: endpoints_to_ask(rooms, room))
        self._under_way: dict[KeyT, Trust] = {}
        self._work = asyncio.Event()
        self._not_before_s = 0.0
        self.has_left_out = False
        """Whether any content was displaced since this was last dealt with."""

    async def want(
        self, key: KeyT, room: RoomName, author: EndpointId, neighbor: EndpointId | None = None
    ) -> bool:
        """Ask for a content from now on; return False if other contents take precedence.

        `neighbor` is the peer that brought it in. Contents that it displaces are given up.
        """
        trust = self._rooms.trust(room, author)
        gone = self._wanted.add(key, room, author, trust, neighbor, self._clock.now_s())
        self._work.set()
        if gone:
            self._counters["contents_announced_too_many"] += len(gone)
            self.has_left_out = True
        for it in gone:
            if it != key:
                await self._give_up(it)
        return key not in gone

    def is_wanted(self, key: KeyT) -> bool:
        """Return whether this content is asked for already."""
        return key in self._wanted

    def has_room_for(self, author: EndpointId) -> bool:
        """Return whether one more content of this author would displace no other."""
        return self._wanted.has_room_for(author)

    async def run(self) -> None:
        """Fetch until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._work.clear()
                for key in self._wanted.expired(self._clock.now_s()):
                    await self._give_up(key)
                self._wanted.look_around()
                while len(self._under_way) < FETCHES_AT_ONCE and (attempt := self._next()):
                    self._under_way[attempt.key] = attempt.trust
                    group.create_task(self._fetch(attempt))
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_EVERY_S if len(self._wanted) else None):
                        await self._work.wait()

    def _next(self) -> Attempt[KeyT] | None:
        now_s = self._clock.now_s()
        if now_s < self._not_before_s:
            return None
        return self._wanted.next_attempt(self._under_way, STRANGERS_AT_ONCE, now_s)

    async def _fetch(self, attempt: Attempt[KeyT]) -> None:
        key = attempt.key
        try:
            for member in attempt.members:
                try:
                    await self._ask(key, attempt.room, member)
                except QuotaExceeded as error:
                    self._counters["contents_over_quota"] += 1
                    _log.info("content_not_kept: %s", error)
                    self._wanted.forget(key)
                    return
                except StoreError as error:
                    _log.warning("content_not_kept: %s", error)
                    self._not_before_s = self._clock.now_s() + DISK_PAUSE_S
                    return
                except BuddiesError as error:
                    _log.info("content_missing peer=%s: %s", short(member), error)
                    late = isinstance(error, TimedOut)
                    if not self._wanted.failed(key, member, self._clock.now_s(), late=late):
                        return
                else:
                    self._wanted.forget(key)
                    return
        finally:
            del self._under_way[key]
            self._work.set()
