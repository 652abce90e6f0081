"""Claims that this node was left out of a private room, and whether to believe them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from buddies_core.errors import NotAllowed, WireError
from buddies_core.model.ids import EndpointId
from buddies_core.model.private import PrivateState, Roster
from buddies_core.rooms.private.membership import Seat, prevails
from buddies_core.wire.private import verify_roster


@dataclass(frozen=True, slots=True)
class Doubts:
    """Evidence that this node is no longer a member. Forgotten with each new epoch."""

    shown: Roster | None = None
    """A roster without this node, signed by a member."""
    sources: frozenset[EndpointId] = frozenset()
    """The members that have signed and shown it."""
    strangers: frozenset[EndpointId] = frozenset()
    """Members that don't know this node as one, or are no longer in the room themselves."""

    def answered(self, by: EndpointId, *, knows_us: bool) -> "Doubts":
        """Return the remaining doubts once a member was asked for its epoch.

        A member that hands over its epoch still counts this node in.
        """
        if not knows_us:
            return replace(self, strangers=self.strangers | {by})
        if by in self.sources:
            return replace(self, strangers=self.strangers - {by})
        return Doubts(strangers=self.strangers - {by})

    def to_ask(self, state: PrivateState, me: EndpointId) -> tuple[EndpointId, ...]:
        """Return the members that could confirm the roster that was shown; none if none was."""
        if self.shown is None:
            return ()
        others = (it for it in state.members if it != me and it not in self.sources)
        return tuple(it for it in others if it not in self.strangers)

    def is_out(self, state: PrivateState, me: EndpointId) -> bool:
        """Whether this node was left out: it was shown a roster, and a second member agrees.

        In a room of two there is no second member.
        """
        if self.shown is None:
            return False
        others = set(state.members) - self.sources - {me}
        return not others or bool(others & self.strangers)

    def seems_out(self, state: PrivateState, neighbors: Iterable[EndpointId]) -> bool:
        """Whether members don't know this node and no others are connected; it proves nothing."""
        return bool(self.strangers & set(state.members)) and set(neighbors) <= self.strangers


def shown(
    seat: Seat, state: PrivateState, doubts: Doubts, by: EndpointId, roster: Roster
) -> Doubts:
    """Return the doubts once a member has shown a roster that this node is not on.

    Raises:
        NotAllowed: no member has signed it.
        WireError: the roster is not such a proof.
    """
    if roster.rotator not in state.members or by not in state.members:
        raise NotAllowed("no member known here has signed that roster")
    if not verify_roster(roster, seat.room_id, seat.verify):
        raise WireError("a roster that its rotator has not signed")
    if seat.me in roster.members or not prevails(roster, state.roster, state.founding.founder):
        raise WireError("a roster that leaves nobody out here")
    return replace(doubts, shown=roster, sources=frozenset({by, roster.rotator}))
