"""Broadcasts that wait until their sender's signer is known. One event loop owns this."""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from buddies_core.model.ids import EndpointId
from buddies_core.trust.fetching_bindings import BindingFetcher, RoomPort

HELD_FOR_S = 5.0
MESSAGES_MAX = 64
"""The most messages held for one sender; further ones are dropped."""
SENDERS_MAX = 64
"""The most senders at once; messages of others are dropped, except presences, which never wait."""

SENDERS_PER_DELIVERER_MAX = 16
"""The most of these senders per delivering neighbor, because anyone can make keys."""

MessageT = TypeVar("MessageT")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[MessageT]):
    """The messages of one sender, and the peers to ask for its binding."""

    room: RoomPort
    sender: EndpointId
    deliverer: EndpointId
    messages: list[MessageT] = field(default_factory=list)


class HeldMessages(Generic[MessageT]):
    """Holds messages while their sender's binding is fetched, without delaying other messages."""

    def __init__(self, fetcher: BindingFetcher, counters: Counter[str]) -> None:
        self._fetcher = fetcher
        self._counters = counters
        self._held: dict[EndpointId, _Waiting[MessageT]] = {}

    def hold(
        self, sender: EndpointId, deliverer: EndpointId, room: RoomPort, message: MessageT
    ) -> bool:
        """Hold a message until more is known about its sender, unless there are too many.

        Return True for the first one of a sender: the caller then waits for `settle`, which returns
        this one and those that arrived meanwhile. Sender and deliverer are asked for the binding.
        """
        waiting = self._held.get(sender)
        is_first = waiting is None
        if waiting is None and self._has_room_for(deliverer):
            waiting = self._held[sender] = _Waiting(room, sender, deliverer)
        if waiting is None or len(waiting.messages) >= MESSAGES_MAX:
            self._counters["held_too_many"] += 1
            return False
        waiting.messages.append(message)
        return is_first

    async def settle(self, sender: EndpointId) -> list[MessageT]:
        """Return a sender's messages, in order, when its binding is known, or after 5 s.

        Either way the policy then decides about them.
        """
        waiting = self._held[sender]
        known = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HELD_FOR_S):
                peers = (waiting.sender, waiting.deliverer)
                known = await self._fetcher.fetch(sender, waiting.room, peers)
        if not known:
            self._fetcher.give_up(sender)
        del self._held[sender]
        return waiting.messages

    def _has_room_for(self, deliverer: EndpointId) -> bool:
        brought = sum(waiting.deliverer == deliverer for waiting in self._held.values())
        return len(self._held) < SENDERS_MAX and brought < SENDERS_PER_DELIVERER_MAX
