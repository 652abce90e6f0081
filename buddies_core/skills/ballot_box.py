"""The votes on one skill, of which a limited number is kept. Pure.

Anyone can invent voters, so a box has a share for each neighbor that brings in votes, and the votes
of unknown voters make way for those of known ones.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId
from buddies_core.model.provenance import Provenance
from buddies_core.model.skill import Vote

VOTES_MAX = 256
VOTES_PER_NEIGHBOR_MAX = 64

Voter: TypeAlias = tuple[bool, str]
"""Whether it is verified, and its name: names that 0.1.4 claims stay apart from proven ones."""


def voter_of(vote: Vote) -> Voter:
    """Return whose vote it is."""
    return vote.verified is not Verified.UNVERIFIED, vote.voter


class BallotBox:
    """One vote a voter, its newest."""

    def __init__(
        self,
        votes: Iterable[tuple[Vote, EndpointId | None]],
        rank: Callable[[Vote], int],
        now_s: float,
    ) -> None:
        """Begin with what is on disk, and who brought each in."""
        self._rank = rank
        self.ranked_at_s = now_s
        """When the voters' ranks were last computed."""
        self._votes: dict[Voter, Vote] = {}
        self._provenance: Provenance[Voter] = Provenance(VOTES_MAX, VOTES_PER_NEIGHBOR_MAX)
        self.superfluous: tuple[Vote, ...] = ()
        """Votes that are on disk but not in the box: an older buddies had no bounds."""
        for vote, neighbor in votes:
            self.superfluous += self.admit(vote, neighbor)

    def is_news(self, vote: Vote) -> bool:
        """Whether it is newer than its voter's previous vote."""
        known = self._votes.get(voter_of(vote))
        return known is None or vote.sent_at_ms > known.sent_at_ms

    def admit(self, vote: Vote, neighbor: EndpointId | None) -> tuple[Vote, ...]:
        """Add a new vote, and return the votes dropped for it, possibly that vote itself."""
        voter = voter_of(vote)
        self._votes[voter] = vote
        gone = self._provenance.admit(voter, self._rank(vote), neighbor)
        return tuple(self._votes.pop(it) for it in gone)

    def rank_anew(self, now_s: float) -> None:
        """Compute the ranks again, as voters may have become better known."""
        self.ranked_at_s = now_s
        for voter, vote in self._votes.items():
            self._provenance.admit(voter, self._rank(vote))

    def votes(self) -> tuple[Vote, ...]:
        """Return all there are."""
        return tuple(self._votes.values())

    def by_rank(self) -> list[Vote]:
        """Return those of the voters that are known best first, then the newest."""
        return sorted(self._votes.values(), key=lambda it: (-self._rank(it), -it.sent_at_ms))

    def of(self, endpoint: EndpointId) -> Vote | None:
        """Return the vote of an endpoint, as it has signed it."""
        return self._votes.get((True, endpoint.hex()))
