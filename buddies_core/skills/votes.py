"""Decides which votes count, sums them, and applies them to a search's order. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from buddies_core.model.identity import SignerIdentity, Verified
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Trust
from buddies_core.model.skill import Vote
from buddies_core.model.skill_views import Tally

WEIGHT = 0.25
"""The fraction of its relevance that votes can add to a skill or take from it: guess."""
HALF_WEIGHT_RANK = 3
"""The rank that has half of the effect; a team is small, and many votes are not a flood. Guess."""


class Electorate(Protocol):
    """Knows the voter behind an endpoint in a room, and whether it may vote there."""

    def voter(self, room: RoomName, endpoint: EndpointId) -> str:
        """Return the label of the signer bound to the endpoint, else the endpoint in hex."""

    def may_vote(self, room: RoomName, endpoint: EndpointId) -> bool:
        """Return whether the endpoint is known, and the room's policy lets it in."""

    def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
        """Return how far an endpoint is known in the room."""

    def revision(self) -> int:
        """Return a number that changes whenever this machine's policies do."""


class Signers(Protocol):
    """Knows the signers that vouch for endpoints; see `rooms.rooms.Rooms`."""

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return the signer that vouches for this endpoint's messages, if any."""


class Known(Signers, Protocol):
    """Who vouches for whom, and how far each is known; see `rooms.rooms.Rooms`."""

    def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
        """Return how far an endpoint is known in the room."""


class EverybodyKnown:
    """The electorate of rooms without a policy.

    Each signer has one vote, on however many machines, and so has each member that nobody vouches
    for. A key of which nothing else is known has none: anybody can make ten thousand of them.
    """

    def __init__(self, signers: Known) -> None:
        self._signers = signers

    def voter(self, _room: RoomName, endpoint: EndpointId) -> str:
        """Return the label of the signer bound to the endpoint, else the endpoint in hex."""
        signer = self._signers.signer_of(endpoint)
        return signer.label if signer else endpoint.hex()

    def may_vote(self, room: RoomName, endpoint: EndpointId) -> bool:
        """Return whether the endpoint is known in the room."""
        return self.trust(room, endpoint) > Trust.STRANGER

    def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
        """Return how far an endpoint is known in the room."""
        return self._signers.trust(room, endpoint)

    def revision(self) -> int:
        """Return the same number always: there are no policies."""
        return 0


class Hearing(Known, Protocol):
    """Who vouches for whom, and who is heard where; see `rooms.rooms.Rooms`."""

    def hears(self, room: RoomName, endpoint: EndpointId) -> bool:
        """Return whether the room's policy lets in what this endpoint says."""

    def policy_revision(self) -> int:
        """Return a number that changes whenever this machine's policies do."""


class KnownAndHeard(EverybodyKnown):
    """The electorate of rooms with policies: known members that are heard there have a vote."""

    def __init__(self, rooms: Hearing) -> None:
        super().__init__(rooms)
        self._rooms = rooms

    def may_vote(self, room: RoomName, endpoint: EndpointId) -> bool:
        """Return whether it is known, and the room's policy, as it is now, lets in what it says."""
        return super().may_vote(room, endpoint) and self._rooms.hears(room, endpoint)

    def revision(self) -> int:
        """Return a number that changes whenever this machine's policies do."""
        return self._rooms.policy_revision()


@dataclass(frozen=True, slots=True)
class Standing:
    """The votes on a skill."""

    votes: Tally
    """The votes that count."""
    uncounted: Tally
    """Votes of voters that are not verified, not known, or not admitted by the room's policy."""


def standing(votes: Iterable[Vote], room: RoomName, electorate: Electorate) -> Standing:
    """Return the sum of the votes: one per voter, its newest.

    A voter with several endpoints has one vote.
    """
    counted: dict[str, Vote] = {}
    uncounted: dict[str, Vote] = {}
    for vote in votes:
        if vote.verified is Verified.UNVERIFIED:
            voter, box = f"claimed:{vote.voter}", uncounted
        else:
            endpoint = EndpointId(bytes.fromhex(vote.voter))
            voter = electorate.voter(room, endpoint)
            box = counted if electorate.may_vote(room, endpoint) else uncounted
        if voter not in box or vote.sent_at_ms > box[voter].sent_at_ms:
            box[voter] = vote
    return Standing(_tally(counted.values()), _tally(uncounted.values()))


def weighed(relevance: float, rank: int) -> float:
    """Return the relevance as weighted by votes.

    Votes move a skill among others that answer the query about as well; no number of them can make
    an irrelevant skill relevant.
    """
    return relevance * (1 + WEIGHT * rank / (HALF_WEIGHT_RANK + abs(rank)))


def _tally(votes: Iterable[Vote]) -> Tally:
    scores = [vote.score for vote in votes]
    return Tally(up=scores.count(1), down=scores.count(-1))
