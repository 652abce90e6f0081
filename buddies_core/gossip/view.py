"""What both of HyParView's views are."""

import random
from collections.abc import Iterator

from buddies_core.model.ids import EndpointId


class View:
    """A set of peers that gives a random one at once; what is done to it decides its order."""

    __slots__ = ("_members", "_places")

    def __init__(self) -> None:
        self._members: list[EndpointId] = []
        self._places: dict[EndpointId, int] = {}

    def __contains__(self, peer: EndpointId) -> bool:
        return peer in self._places

    def __iter__(self) -> Iterator[EndpointId]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def add(self, peer: EndpointId) -> None:
        """Put in a peer that is not a member."""
        self._places[peer] = len(self._members)
        self._members.append(peer)

    def discard(self, peer: EndpointId) -> None:
        """Take a peer out, if it is a member; the last one takes its place."""
        place = self._places.pop(peer, None)
        if place is None:
            return
        last = self._members.pop()
        if place < len(self._members):
            self._members[place] = last
            self._places[last] = place

    def random(self, rng: random.Random) -> EndpointId:
        """Return any member of a view that is not empty."""
        # A fifth of the time of rng.choice; the bias is 1 in 2⁴⁸.
        return self._members[int(rng.random() * len(self._members))]
