"""The origin of a table's entries, and which of them is evicted when the table is full.

Anyone can make keys, and sign with each of them, at no cost. So no table that peers can fill may
be bounded by its size alone: a stranger could fill it and push out all other entries. Each entry
records its trust and the neighbor that brought it in; the number per neighbor is limited.
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
    """Another peer has said it."""
    SIGNED = 1
    """The peer itself has said it, signed or over a connection of its own."""
    DIALLED = 2
    """This node has reached the peer this way, or its user gave it."""


class Trust(IntEnum):
    """How well the author of an item is known in a room; the least first.

    It decides which entries are evicted, not what is true: a signature holds in any case.
    """

    STRANGER = 0
    """An unknown key. Anybody can make any number of them."""
    MEMBER = 1
    """The author is present in the room, or this node remembers it as a member."""
    VOUCHED = 2
    """A person's key vouches for the author."""
    NAMED = 3
    """A policy of this machine names that person; or it is this machine itself."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of an item that is kept on disk."""

    rank: int = 0
    """A rank such as a `Trust`: the higher, the later the item is evicted."""
    neighbor: EndpointId | None = None
    """The neighbor that brought it in; None if none did, or it is no longer known."""


class Provenance(Generic[KeyT]):
    """The keys of one table, each with its rank and with the neighbor that brought it in.

    It only decides; the owner keeps the table itself. A rank is any number: the higher, the later
    the entry is evicted.
    """

    def __init__(self, entries_max: int, per_neighbor_max: int) -> None:
        self._entries_max = entries_max
        self._per_neighbor_max = per_neighbor_max
        self._ranks: dict[KeyT, int] = {}
        self._neighbors: dict[KeyT, EndpointId] = {}
        # Oldest first, both here and for each neighbor.
        self._of_rank: dict[int, OrderedDict[KeyT, None]] = {}
        self._of_neighbor: dict[EndpointId, dict[KeyT, None]] = {}

    def __contains__(self, key: KeyT) -> bool:
        return key in self._ranks

    def rank(self, key: KeyT) -> int | None:
        """Return the rank of an entry; None if there is no such entry."""
        return self._ranks.get(key)

    def admit(self, key: KeyT, rank: int, neighbor: EndpointId | None = None) -> tuple[KeyT, ...]:
        """Add an entry, or note that it came again; return the entries to be evicted for it.

        The new entry is among them if all entries that could make way for it are trusted more. An
        entry keeps its highest rank so far, and counts for the neighbor that first brought it in;
        without a neighbor it counts for none.
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
        """Return whether one more entry of this neighbor would evict no other."""
        brought = self._of_neighbor.get(neighbor, {})
        return len(brought) < self._per_neighbor_max and len(self._ranks) < self._entries_max

    def forget(self, key: KeyT) -> None:
        """Note that an entry is gone; calling again does nothing."""
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
