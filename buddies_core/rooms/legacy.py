"""Peers of 0.1.4: who of them is here, and whether they want each message signed.

They know of no binding, announce themselves once, and want to be answered.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from buddies_core.errors import BuddiesError
from buddies_core.model.bodies import Body, Join, Leave, SearchResponse
from buddies_core.model.ids import EndpointId, RoomId
from buddies_core.rooms.ports import Host
from buddies_core.rooms.presence import Presences

WANT_SIGNATURES_MS = 24 * 3600 * 1000
"""After one was last heard in the room."""
ANSWER_WITHIN_S = 2.0
"""A newcomer is answered by everybody: not all at the same instant."""

log = logging.getLogger(__name__)


class Watermarks(Protocol):
    """Marks that survive a restart and only ever rise."""

    def watermark(self, name: bytes) -> int:
        """Return the mark, 0 if there is none."""

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise the mark to `value`, if it is lower."""


class LegacyPeers:
    """When one of them was last heard in one room."""

    def __init__(self, room_id: RoomId, marks: Watermarks) -> None:
        self._mark = b"legacy" + room_id
        self._marks = marks
        self._heard_at_ms = marks.watermark(self._mark)

    def heard(self, wall_ms: int) -> None:
        """Take note of a message without a trailer."""
        self._heard_at_ms = wall_ms

    def want_signatures(self, wall_ms: int) -> bool:
        """Whether one was heard lately enough."""
        return bool(self._heard_at_ms) and wall_ms - self._heard_at_ms < WANT_SIGNATURES_MS

    async def keep(self) -> None:
        """Have it known after a restart, too."""
        if self._heard_at_ms > self._marks.watermark(self._mark):
            await self._marks.raise_watermark(self._mark, self._heard_at_ms)


class LegacyMembers:
    """Which of them are in one room, from what they say of themselves."""

    def __init__(
        self,
        peers: LegacyPeers,
        presences: Presences,
        host: Host,
        say_join: Callable[[], Awaitable[None]],
    ) -> None:
        self._peers = peers
        self._presences = presences
        self._host = host
        self._say_join = say_join
        self._newcomer = asyncio.Event()

    def heard(self, body: Body, endpoint: EndpointId | None) -> None:
        """Take in what a message without a trailer tells; a Join wants one in return.

        `endpoint` is given where it came straight from its author.
        """
        now_s, wall_ms = self._host.clock.now_s(), self._host.clock.wall_ms()
        self._peers.heard(wall_ms)
        match body:
            case Join(name, agent):
                if self._presences.legacy_heard(
                    name, agent, endpoint, now_s=now_s, wall_ms=wall_ms
                ):
                    self._newcomer.set()
            case Leave(name):
                if not self._presences.legacy_left(name):
                    self._host.counters["leaves_of_strangers"] += 1
            case SearchResponse(peer_name=name):
                self._presences.legacy_alive(name, now_s=now_s, wall_ms=wall_ms)
            case _:
                if endpoint is not None:
                    self._presences.legacy_alive(endpoint, now_s=now_s, wall_ms=wall_ms)

    async def keep(self) -> None:
        """Have it known after a restart, too, that some were heard."""
        await self._peers.keep()

    async def keep_answering(self) -> None:
        """Answer newcomers until cancelled."""
        while True:
            await self._newcomer.wait()
            await asyncio.sleep(self._host.rng.uniform(0, ANSWER_WITHIN_S))
            self._newcomer.clear()
            try:
                await self._say_join()
            except BuddiesError as error:
                log.warning("join_not_answered: %s", error)
