"""Picks the member to exchange with next. Pure: time and chance come in from outside.

An exchange is wanted with a neighbor that has come up, with some members of each room after this
machine was asleep or has changed networks, and with one of each room now and then. A member with
which an exchange failed is left alone for a while; each further failure makes that longer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from buddies_core.model.ids import EndpointId, RoomName

EVERY_S = 300.0
"""The interval between exchanges of a room with a member chosen at random."""
OF_ROOM_MAX = 2
"""The most exchanges in one room at a time; with one peer there is one at a time in all rooms."""
AT_ONCE_MAX = 4
"""The most exchanges at a time in all rooms."""
WITH_SEVERAL = 2
"""How many members of a room are asked after a sleep: one may have been asleep too."""
SOON_S = 1.0
BACKOFF_S = 30.0
BACKOFF_MAX_S = 3600.0
PENDING_MAX = 1000
"""The most exchanges waiting. Further ones are dropped: their room's next turn is minutes away."""
FAILED_MAX = 4096


@dataclass(frozen=True, slots=True)
class _Failure:
    times: int
    until_s: float
    lied: bool


class Schedule:
    """The exchanges wanted and under way, and the members to be left alone."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._due_s: dict[tuple[RoomName, EndpointId], float] = {}
        self._running: set[tuple[RoomName, EndpointId]] = set()
        self._turn_s: dict[RoomName, float] = {}
        self._failed: dict[EndpointId, _Failure] = {}

    def neighbor_up(self, room: RoomName, peer: EndpointId, now_s: float, within_s: float) -> None:
        """Want an exchange with a peer that has come up, after a pause of at most `within_s`.

        Both sides want one. The pause is random, so that one is usually done before the other.
        """
        failure = self._failed.get(peer)
        if failure is not None and not failure.lied:
            del self._failed[peer]
        self._want(room, peer, now_s + self._rng.uniform(0, within_s))

    def all_again(
        self, members: Callable[[RoomName], Sequence[EndpointId]], rooms: Sequence[RoomName],
        now_s: float,
    ) -> None:  # fmt: skip
        """Want exchanges in all rooms: this machine may have missed many messages."""
        for room in rooms:
            for peer in self._some(members(room), WITH_SEVERAL, now_s):
                self._want(room, peer, now_s)

    def take_turns(
        self, members: Callable[[RoomName], Sequence[EndpointId]], rooms: Sequence[RoomName],
        now_s: float,
    ) -> None:  # fmt: skip
        """Want an exchange in each room whose turn it is."""
        self._turn_s = {room: self._turn_s.get(room, self._next_turn_s(now_s)) for room in rooms}
        for room, turn_s in self._turn_s.items():
            if turn_s <= now_s:
                self._turn_s[room] = self._next_turn_s(now_s)
                for peer in self._some(members(room), 1, now_s):
                    self._want(room, peer, now_s)

    def is_wanted(self, room: RoomName) -> bool:
        """Return whether an exchange in this room is due, or soon will be, or is under way."""
        return any(it[0] == room for it in (*self._due_s, *self._running))

    def start(self, now_s: float) -> list[tuple[RoomName, EndpointId]]:
        """Return the exchanges to begin now; they are under way until they are `ended`."""
        started = []
        for (room, peer), due_s in sorted(self._due_s.items(), key=lambda it: it[1]):
            if len(self._running) >= AT_ONCE_MAX:
                break
            of_room = sum(it[0] == room for it in self._running)
            with_peer = any(it[1] == peer for it in self._running)
            if due_s > now_s or of_room >= OF_ROOM_MAX or with_peer:
                continue
            del self._due_s[room, peer]
            if not self._is_left_alone(peer, now_s):
                self._running.add((room, peer))
                started.append((room, peer))
        return started

    def ended(self, room: RoomName, peer: EndpointId, now_s: float, *, again: bool = False) -> None:
        """Note that an exchange has ended; with `again`, it continues soon."""
        self._running.discard((room, peer))
        self._failed.pop(peer, None)
        if again:
            self._want(room, peer, now_s + SOON_S)

    def failed(
        self, room: RoomName, peer: EndpointId, others: Sequence[EndpointId], now_s: float,
        *, lied: bool,
    ) -> None:  # fmt: skip
        """Note that an exchange has failed; another member will take this one's place."""
        self._running.discard((room, peer))
        before = self._failed.pop(peer, _Failure(0, now_s, lied))
        pause_s = min(BACKOFF_S * 2**before.times, BACKOFF_MAX_S)
        self._failed[peer] = _Failure(before.times + 1, now_s + pause_s, lied or before.lied)
        if len(self._failed) > FAILED_MAX:
            del self._failed[next(iter(self._failed))]
        for other in self._some([it for it in others if it != peer], 1, now_s):
            self._want(room, other, now_s + SOON_S)

    def next_s(self, now_s: float) -> float | None:
        """Return when the next exchange becomes due; None if there is none."""
        return min((it for it in self._due_s.values() if it > now_s), default=None)

    def _want(self, room: RoomName, peer: EndpointId, due_s: float) -> None:
        known_s = self._due_s.get((room, peer))
        if known_s is not None:
            self._due_s[room, peer] = min(known_s, due_s)
        elif len(self._due_s) < PENDING_MAX:
            self._due_s[room, peer] = due_s

    def _some(self, peers: Sequence[EndpointId], count: int, now_s: float) -> list[EndpointId]:
        free = [peer for peer in peers if not self._is_left_alone(peer, now_s)]
        return self._rng.sample(free, min(count, len(free)))

    def _is_left_alone(self, peer: EndpointId, now_s: float) -> bool:
        failure = self._failed.get(peer)
        return failure is not None and failure.until_s > now_s

    def _next_turn_s(self, now_s: float) -> float:
        return now_s + EVERY_S * self._rng.uniform(0.8, 1.2)
