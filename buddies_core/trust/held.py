"""Broadcasts that wait until it is known who vouches for their sender. One event loop owns this."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from buddies_core.model.ids import EndpointId
from buddies_core.trust.fetching_bindings import BindingFetcher, RoomPort

HELD_FOR_S = 5.0
MESSAGES_MAX = 64
"""Of one sender; further ones are dropped."""
SENDERS_MAX = 64
"""At once; what others say meanwhile is dropped, but for their presences, which need not wait."""

SENDERS_PER_DELIVERER_MAX = 16
"""Senders of these whose messages one neighbor passed on: anyone can make keys."""

Hear = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """The messages of one sender, and whom to ask for its binding."""

    room: RoomPort
    sender: EndpointId
    deliverer: EndpointId
    messages: list[Hear] = field(default_factory=list)


class HeldMessages:
    """Holds messages while their sender's binding is fetched, outside of what works on others."""

    def __init__(self, fetcher: BindingFetcher, counters: Counter[str]) -> None:
        self._fetcher = fetcher
        self._counters = counters
        self._held: dict[EndpointId, _Waiting] = {}
        self._begun: asyncio.Queue[EndpointId] = asyncio.Queue(SENDERS_MAX)  # one each in _held

    def hold(self, sender: EndpointId, deliverer: EndpointId, room: RoomPort, hear: Hear) -> None:
        """Have a message heard when more is known, or after 5 s.

        `hear` is called either way, those of one sender one after the other in the order in which
        they came; it asks the policy again. Sender and deliverer are asked for the binding.
        """
        waiting = self._held.get(sender)
        if waiting is None and self._has_room_for(deliverer):
            waiting = self._held[sender] = _Waiting(room, sender, deliverer)
            self._begun.put_nowait(sender)
        if waiting is None or len(waiting.messages) >= MESSAGES_MAX:
            self._counters["held_too_many"] += 1
            return
        waiting.messages.append(hear)

    def _has_room_for(self, deliverer: EndpointId) -> bool:
        brought = sum(waiting.deliverer == deliverer for waiting in self._held.values())
        return len(self._held) < SENDERS_MAX and brought < SENDERS_PER_DELIVERER_MAX

    async def run(self) -> None:
        """Fetch bindings and hear what was held until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._settle(await self._begun.get()))

    async def _settle(self, sender: EndpointId) -> None:
        waiting = self._held[sender]
        known = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_FOR_S):
                peers = (waiting.sender, waiting.deliverer)
                known = await self._fetcher.fetch(sender, waiting.room, peers)
        if not known:
            self._fetcher.give_up(sender)
        del self._held[sender]  # From here on the policy decides by itself.
        for hear in waiting.messages:
            await hear()
