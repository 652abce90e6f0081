"""What a node was told about its own place in a private room, and whether to believe it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from buddies_core.errors import NotAllowed, WireError
from buddies_core.model.ids import EndpointId
from buddies_core.model.private import PrivateState, Roster
from buddies_core.rooms.private.membership import Seat, prevails
from buddies_core.wire.private import verify_roster


@dataclass(frozen=True, slots=True)
class Doubts:
    """What speaks against this node's still being a member. Forgotten with each new epoch."""

    shown: Roster | None = None
    """A roster without this node, signed by a member."""
    sources: frozenset[EndpointId] = frozenset()
    """The members that have signed and shown it."""
    strangers: frozenset[EndpointId] = frozenset()
    """Members that don't know this node as one, or are not in the room themselves any more."""

    def answered(self, by: EndpointId, *, knows_us: bool) -> "Doubts":
        """Return what is left of it once a member was asked for its epoch.

        A member that hands over its epoch still counts this node in.
        """
        if not knows_us:
            return replace(self, strangers=self.strangers | {by})
        if by in self.sources:
            return replace(self, strangers=self.strangers - {by})
        return Doubts(strangers=self.strangers - {by})

    def to_ask(self, state: PrivateState, me: EndpointId) -> tuple[EndpointId, ...]:
        """Return the members whose word would settle what was shown; none if nothing was."""
        if self.shown is None:
            return ()
        others = (it for it in state.members if it != me and it not in self.sources)
        return tuple(it for it in others if it not in self.strangers)

    def is_out(self, state: PrivateState, me: EndpointId) -> bool:
        """Whether this node was left out: it was shown a roster, and a second member agrees.

        In a room of two there is no second one.
        """
        if self.shown is None:
            return False
        others = set(state.members) - self.sources - {me}
        return not others or bool(others & self.strangers)

    def seems_out(self, state: PrivateState, neighbors: Iterable[EndpointId]) -> bool:
        """Whether members don't know this node, and no other is connected; it proves nothing."""
        return bool(self.strangers & set(state.members)) and set(neighbors) <= self.strangers


def shown(
    seat: Seat, state: PrivateState, doubts: Doubts, by: EndpointId, roster: Roster
) -> Doubts:
    """Return the doubts once a member has shown a roster that this node is not on.

    Raises:
        NotAllowed: no member has signed it.
        WireError: it proves nothing of the kind.
    """
    if roster.rotator not in state.members or by not in state.members:
        raise NotAllowed("no member known here has signed that roster")
    if not verify_roster(roster, seat.room_id, seat.verify):
        raise WireError("a roster that its rotator has not signed")
    if seat.me in roster.members or not prevails(roster, state.roster, state.founding.founder):
        raise WireError("a roster that leaves nobody out here")
    return replace(doubts, shown=roster, sources=frozenset({by, roster.rotator}))
