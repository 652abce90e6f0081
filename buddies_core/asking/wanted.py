"""Decides which members to ask for announced contents that this node lacks, and when. Pure.

Anybody can announce any number of contents that nobody has, and asking for them must not cost a
member much. So the table is bounded, by who brought a content in and by who announced it; each
content is asked for a few times, ever more seldom; and asking in vain has a budget of its own for
the contents of strangers. The contents of those who are known better go first.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Provenance, Trust

WANTED_MAX = 1000
WANTED_PER_NEIGHBOR_MAX = 256
WANTED_PER_AUTHOR_MAX = 64
WANTED_FOR_S = 7 * 24 * 3600.0
"""A content that nobody gave in a week never existed, or is gone."""
MEMBERS_ASKED_MAX = 8
"""The most members that one attempt asks: the author first, then members not asked before."""
MEMBERS_REMEMBERED_MAX = 64
"""So many members that do not have a content are remembered. Further ones are not asked for it."""
ATTEMPTS_MAX = 6
RETRY_AFTER_S = 5.0
RETRY_FACTOR = 6
"""5 s, 30 s, 3 min, 18 min and 108 min after an attempt; then only a newcomer is asked."""
FAILURES_PER_S = 2.0
FAILURES_BURST = 200.0
"""So often a member may be asked in vain: one request takes both sides some 3 ms (measured). Those
for the contents of strangers are counted apart from the others."""
ASIDE_FOR_S = 300.0
"""So long a member that has not answered in time is not asked for anything in the background."""

KeyT = TypeVar("KeyT")


@dataclass(slots=True)
class _Wanted:
    room: RoomName
    author: EndpointId | None
    trust: Trust
    since_s: float
    again_at_s: float
    attempts: int = 0
    has_newcomer: bool = True
    """Whether a member may be present that has not been asked."""
    without: dict[EndpointId, None] = field(default_factory=dict)
    """The members that were asked in vain."""

    @property
    def is_strangers(self) -> bool:
        return self.trust is Trust.STRANGER


@dataclass(frozen=True, slots=True)
class Attempt(Generic[KeyT]):
    """A content to be asked for now, and the members to ask, one after the other."""

    key: KeyT
    room: RoomName
    members: tuple[EndpointId, ...]
    trust: Trust


class Wanted(Generic[KeyT]):
    """The contents that are to be asked for."""

    def __init__(self, present: Callable[[RoomName], tuple[EndpointId, ...]]) -> None:
        """Begin with none.

        Args:
            present: Returns the members of a room that may be asked.
        """
        self._present = present
        self._wanted: dict[KeyT, _Wanted] = {}
        self._by_neighbor: Provenance[KeyT] = Provenance(WANTED_MAX, WANTED_PER_NEIGHBOR_MAX)
        self._by_author: Provenance[KeyT] = Provenance(WANTED_MAX, WANTED_PER_AUTHOR_MAX)
        self._members: dict[RoomName, frozenset[EndpointId]] = {}
        self._aside: dict[EndpointId, float] = {}
        # Whether they are strangers' → how many more requests in vain, and since when.
        self._failures_left = dict.fromkeys((True, False), (FAILURES_BURST, 0.0))

    def __len__(self) -> int:
        return len(self._wanted)

    def __contains__(self, key: KeyT) -> bool:
        return key in self._wanted

    def add(
        self,
        key: KeyT,
        room: RoomName,
        author: EndpointId | None,
        trust: Trust,
        neighbor: EndpointId | None,
        now_s: float,
    ) -> tuple[KeyT, ...]:
        """Take in a content; return those that are not asked for any more, maybe this one.

        Args:
            key: Names it. One that is known already stays as it is.
            room: Where it was announced.
            author: Who announced it.
            trust: How far that one is known.
            neighbor: Who brought it in; None if that is not known any more.
            now_s: The monotonic time.
        """
        if key in self._wanted:
            return ()
        by_neighbor = self._by_neighbor.admit(key, trust, neighbor)
        by_author = self._by_author.admit(key, trust, author)
        gone = tuple(dict.fromkeys((*by_neighbor, *by_author)))
        self._wanted[key] = _Wanted(room, author, trust, since_s=now_s, again_at_s=now_s)
        for it in gone:
            self.forget(it)
        return gone

    def has_room_for(self, author: EndpointId) -> bool:
        """Return whether one more content of this author would displace no other."""
        return len(self._wanted) < WANTED_MAX and self._by_author.has_room_for(author)

    def forget(self, key: KeyT) -> None:
        """Ask no more for a content; again is fine."""
        self._wanted.pop(key, None)
        self._by_neighbor.forget(key)
        self._by_author.forget(key)

    def expired(self, now_s: float) -> tuple[KeyT, ...]:
        """Forget, and return, what was wanted for too long."""
        old = tuple(k for k, it in self._wanted.items() if now_s - it.since_s > WANTED_FOR_S)
        for key in old:
            self.forget(key)
        return old

    def look_around(self) -> None:
        """Note the members that have come since the last time."""
        rooms = {it.room for it in self._wanted.values()}
        present = {room: frozenset(self._present(room)) for room in rooms}
        come = {room: there - self._members.get(room, set()) for room, there in present.items()}
        self._members = present
        for wanted in self._wanted.values():
            newcomers = come[wanted.room]
            if wanted.author in newcomers:
                wanted.without.pop(wanted.author, None)
                wanted.has_newcomer = True
            elif newcomers and len(wanted.without) < MEMBERS_REMEMBERED_MAX:
                wanted.has_newcomer = True

    def next_attempt(
        self, under_way: Mapping[KeyT, Trust], strangers_max: int, now_s: float
    ) -> Attempt[KeyT] | None:
        """Return what to ask for next; None if nothing is due.

        Those who are known better come first, then what was asked for least often, then the newest.

        Args:
            under_way: What is being asked for, and how far its author is known.
            strangers_max: How many of those may be of strangers.
            now_s: The monotonic time.
        """
        self._aside = {peer: until for peer, until in self._aside.items() if until > now_s}
        strangers = sum(trust is Trust.STRANGER for trust in under_way.values())
        may_ask = {
            True: strangers < strangers_max and self._patience(True, now_s) >= 1,
            False: self._patience(False, now_s) >= 1,
        }
        due = [
            (-wanted.trust, wanted.attempts, -wanted.since_s, key)
            for key, wanted in self._wanted.items()
            if key not in under_way
            and may_ask[wanted.is_strangers]
            and (wanted.has_newcomer or self._is_due(wanted, now_s))
        ]
        due.sort(key=lambda item: item[:3])
        for *_, key in due:
            wanted = self._wanted[key]
            members = tuple(islice(self._to_ask(key, wanted, now_s), MEMBERS_ASKED_MAX))
            wanted.has_newcomer = False
            if members:
                if self._is_due(wanted, now_s):
                    pause_s = RETRY_AFTER_S * RETRY_FACTOR**wanted.attempts
                    wanted.attempts, wanted.again_at_s = wanted.attempts + 1, now_s + pause_s
                return Attempt(key, wanted.room, members, wanted.trust)
        return None

    def failed(self, key: KeyT, member: EndpointId, now_s: float, *, late: bool) -> bool:
        """Take note that a member was asked in vain; return whether to go on with the next.

        `late` is one that has not answered in time.
        """
        if late:
            self._aside[member] = now_s + ASIDE_FOR_S
        wanted = self._wanted.get(key)
        if wanted is None:
            return False
        wanted.without[member] = None
        if len(wanted.without) > MEMBERS_REMEMBERED_MAX:
            del wanted.without[next(iter(wanted.without))]
        left = self._patience(wanted.is_strangers, now_s) - 1
        self._failures_left[wanted.is_strangers] = (left, now_s)
        return left >= 1

    def _is_due(self, wanted: _Wanted, now_s: float) -> bool:
        return wanted.attempts < ATTEMPTS_MAX and wanted.again_at_s <= now_s

    def _to_ask(self, key: KeyT, wanted: _Wanted, now_s: float) -> Iterator[EndpointId]:
        there = self._members.get(wanted.room, frozenset()) - self._aside.keys()
        new = there - wanted.without.keys()
        if wanted.author in new:
            yield wanted.author
        # In an order that nobody can foresee: strangers must not always come first.
        yield from sorted(new - {wanted.author}, key=lambda it: hash((key, it)))
        if self._is_due(wanted, now_s):  # Those who lacked it may have it by now.
            yield from sorted(there - new, key=lambda it: hash((key, it)))

    def _patience(self, of_strangers: bool, now_s: float) -> float:
        left, since_s = self._failures_left[of_strangers]
        return min(FAILURES_BURST, left + (now_s - since_s) * FAILURES_PER_S)
