"""Where the entries of a table came from, and which of them goes when the table is full.

Anyone can make keys, and sign with each of them, for nothing. So no table that peers can fill may
be bounded by its size alone: a stranger would fill it and push out everybody else. Each entry knows
how far it is trusted and which neighbor brought it in; a neighbor may bring in only so many.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

from buddies_core.model.ids import EndpointId

KeyT = TypeVar("KeyT")


class Source(IntEnum):
    """How a node came to know something about a peer; the least trusted first."""

    HEARD = 0
    """Another peer says so."""
    SIGNED = 1
    """The peer itself says so: it has signed it, or said it over a connection of its own."""
    DIALLED = 2
    """This node has reached the peer by it, or was told to by its user."""


class Trust(IntEnum):
    """How far the author of something is known in a room; the least first.

    It decides who makes way for whom, not what is true: what somebody signed is theirs in any case.
    """

    STRANGER = 0
    """A key that nothing is known of. Anybody can make any number of them."""
    MEMBER = 1
    """It is present in the room, or this node remembers it as a member."""
    VOUCHED = 2
    """A person's key vouches for it."""
    NAMED = 3
    """A policy of this machine names that person; or it is this machine itself."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something came from that is kept on disk."""

    rank: int = 0
    """Such as a `Trust`: the higher, the later it goes."""
    neighbor: EndpointId | None = None
    """Who brought it in; None if nobody did, or that is not known any more."""


class Provenance(Generic[KeyT]):
    """The keys of one table, each with its rank and with the neighbor that brought it in.

    It only decides; the table itself is its owner's. A rank is any number: the higher, the later
    the entry goes.
    """

    def __init__(self, entries_max: int, per_neighbor_max: int) -> None:
        self._entries_max = entries_max
        self._per_neighbor_max = per_neighbor_max
        self._ranks: dict[KeyT, int] = {}
        self._neighbors: dict[KeyT, EndpointId] = {}
        # Oldest first, as are those of each neighbor.
        self._of_rank: dict[int, OrderedDict[KeyT, None]] = {}
        self._of_neighbor: dict[EndpointId, dict[KeyT, None]] = {}

    def __contains__(self, key: KeyT) -> bool:
        return key in self._ranks

    def rank(self, key: KeyT) -> int | None:
        """Return the rank of an entry; None if there is no such entry."""
        return self._ranks.get(key)

    def admit(self, key: KeyT, rank: int, neighbor: EndpointId | None = None) -> tuple[KeyT, ...]:
        """Take in an entry, or that it came again; return those that have to go for it.

        The new entry is among them if everything that could go for it is trusted more. An entry
        keeps the highest rank it ever had, and counts for the neighbor that first brought it in;
        with no neighbor it counts for nobody.
        """
        if key in self._ranks:
            self._put(key, max(rank, self._ranks[key]))
            return ()
        self._put(key, rank)
        brought: dict[KeyT, None] = {}
        if neighbor is not None:
            self._neighbors[key] = neighbor
            brought = self._of_neighbor.setdefault(neighbor, {})
            brought[key] = None
        gone: list[KeyT] = []
        if len(brought) > self._per_neighbor_max:
            gone.append(min(brought, key=self._ranks.__getitem__))
        elif len(self._ranks) > self._entries_max:
            lowest = min(rank for rank, keys in self._of_rank.items() if keys)
            gone.append(next(iter(self._of_rank[lowest])))
        for it in gone:
            self.forget(it)
        return tuple(gone)

    def has_room_for(self, neighbor: EndpointId) -> bool:
        """Return whether one more entry of this neighbor makes none other go."""
        brought = self._of_neighbor.get(neighbor, {})
        return len(brought) < self._per_neighbor_max and len(self._ranks) < self._entries_max

    def forget(self, key: KeyT) -> None:
        """Take note that an entry is gone; again is fine."""
        rank = self._ranks.pop(key, None)
        if rank is None:
            return
        del self._of_rank[rank][key]
        neighbor = self._neighbors.pop(key, None)
        if neighbor is not None:
            brought = self._of_neighbor[neighbor]
            del brought[key]
            if not brought:
                del self._of_neighbor[neighbor]

    def _put(self, key: KeyT, rank: int) -> None:
        if key in self._ranks:
            del self._of_rank[self._ranks[key]][key]
        self._ranks[key] = rank
        self._of_rank.setdefault(rank, OrderedDict())[key] = None
