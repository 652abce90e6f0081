"""The votes that this node has: receives, stores and counts them."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from buddies_core.clock import Clock
from buddies_core.errors import StoreError
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId
from buddies_core.model.provenance import Provenance
from buddies_core.model.skill import SkillKey, Vote, room_of_key
from buddies_core.skills.ballot_box import BallotBox, Voter, voter_of
from buddies_core.skills.ports import HiddenPort
from buddies_core.skills.votes import Electorate, Standing, standing
from buddies_core.store.skills import SkillStore

EARLY_MAX = 1000
EARLY_PER_NEIGHBOR_MAX = 128
"""The most votes that came before their skill, over all skills; beyond it, those of the least known
voters are dropped. They come again with any answer that brings the skill."""
CACHED_MAX = 256
"""The most skills whose votes are in memory; reading 256 from disk takes 1 ms (measured)."""
RECOUNT_AFTER_S = 5.0
"""Votes are counted again after this, as a voter may have become known or bound to a signer.
Changes by this machine's user count at once."""
UNPROVEN = -1
"""The rank of a vote that nobody has signed."""


@dataclass(frozen=True, slots=True)
class _Count:
    standing: Standing
    revision: tuple[int, int]
    """The revisions of the policies and the revocations."""
    at_s: float


class Ballots:
    """Takes in votes and counts them. One event loop owns this."""

    def __init__(
        self,
        store: SkillStore,
        electorate: Electorate,
        endpoint: EndpointId,
        hidden: HiddenPort,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._electorate = electorate
        self._endpoint = endpoint
        self._hidden = hidden
        self._clock = clock
        self._counters = counters
        self._early: dict[SkillKey, dict[Voter, tuple[Vote, EndpointId | None]]] = {}
        self._early_provenance: Provenance[tuple[SkillKey, Voter]] = Provenance(
            EARLY_MAX, EARLY_PER_NEIGHBOR_MAX
        )
        self._boxes: OrderedDict[SkillKey, BallotBox] = OrderedDict()
        self._counts: dict[SkillKey, _Count] = {}

    async def take(self, vote: Vote, neighbor: EndpointId | None = None) -> bool:
        """Store a vote if it is its voter's newest; one on an unknown skill waits for the skill.

        Returns whether it is stored on disk. `neighbor` is the peer that brought it in.

        Raises:
            StoreError: the disk refused, or the skill's record is damaged.
        """
        if self._store.get_head(vote.skill) is None:
            self._wait(vote, neighbor)
            return False
        return await self._put(vote, neighbor)

    async def take_all(self, votes: Collection[Vote], neighbor: EndpointId | None = None) -> None:
        """Store many votes; those that are on disk already cost nothing.

        Raises:
            StoreError: the disk refused one, or a skill's record is damaged.
        """
        known = {vote.proof for key in {v.skill for v in votes} for vote in self.of(key)}
        try:
            async with asyncio.TaskGroup() as group:  # One sync of the disk serves many.
                for vote in votes:
                    if vote.proof not in known:
                        group.create_task(self.take(vote, neighbor))
        except* StoreError as failed:
            raise StoreError(str(failed.exceptions[0])) from failed

    async def skill_came(self, key: SkillKey) -> None:
        """Store the votes that came before their skill."""
        early = self._early.pop(key, {})
        for voter in early:
            self._early_provenance.forget((key, voter))
        for vote, neighbor in early.values():
            await self._put(vote, neighbor)

    def trusts(self, vote: Vote) -> bool:
        """Return whether the voter, if the vote is theirs, is known in the skill's room."""
        return self._electorate.may_vote(room_of_key(vote.skill), _voter(vote))

    def of(self, key: SkillKey) -> tuple[Vote, ...]:
        """Return the votes on a skill, one a voter; hidden ones too."""
        return self._box(key).votes()

    def standing(self, key: SkillKey, more: Collection[Vote] = ()) -> Standing:
        """Return the standing of a skill by its votes; `more` are votes that are not on disk."""
        if more:
            return self._counted(key, (*self.of(key), *more))
        now_s, revision = self._clock.now_s(), self._revision()
        known = self._counts.get(key)
        if (
            known is None
            or known.revision != revision
            or not known.at_s <= now_s < known.at_s + RECOUNT_AFTER_S
        ):
            known = _Count(self._counted(key, self.of(key)), revision, now_s)
            self._counts[key] = known
        return known.standing

    def own(self, key: SkillKey) -> int | None:
        """Return the score of this node's own vote."""
        vote = self._box(key).of(self._endpoint)
        return vote.score if vote else None

    def counts_own(self, key: SkillKey) -> bool:
        """Return whether this node has a vote in the skill's room."""
        return self._electorate.may_vote(room_of_key(key), self._endpoint)

    def to_hand_on(self, key: SkillKey, limit: int) -> tuple[bytes, ...]:
        """Return the proofs of votes that a peer can check, those of known voters first."""
        shown = self._shown(self._box(key).by_rank())
        votes = [vote for vote in shown if vote.verified is not Verified.UNVERIFIED]
        return tuple(vote.proof for vote in votes[:limit])

    def _counted(self, key: SkillKey, votes: Iterable[Vote]) -> Standing:
        return standing(self._shown(votes), room_of_key(key), self._electorate)

    def _shown(self, votes: Iterable[Vote]) -> Iterator[Vote]:
        return (vote for vote in votes if not self._hidden.hides(vote))

    def _revision(self) -> tuple[int, int]:
        return self._electorate.revision(), self._hidden.revision

    def _rank(self, vote: Vote) -> int:
        if vote.verified is Verified.UNVERIFIED:
            return UNPROVEN
        return self._electorate.trust(room_of_key(vote.skill), _voter(vote))

    def _box(self, key: SkillKey) -> BallotBox:
        box = self._boxes.get(key)
        if box is None:
            box = self._boxes[key] = BallotBox(
                self._store.ballots(key), self._rank, self._clock.now_s()
            )
            if len(self._boxes) > CACHED_MAX:
                gone, _ = self._boxes.popitem(last=False)
                self._counts.pop(gone, None)
        self._boxes.move_to_end(key)
        return box

    async def _put(self, vote: Vote, neighbor: EndpointId | None) -> bool:
        box = self._box(vote.skill)
        if not box.is_news(vote):
            self._counters["votes_not_newer"] += 1
            return False
        now_s = self._clock.now_s()
        if now_s - box.ranked_at_s > RECOUNT_AFTER_S:
            box.rank_anew(now_s)
        gone = (*box.superfluous, *box.admit(vote, neighbor))
        box.superfluous = ()
        self._counts.pop(vote.skill, None)
        if gone:
            self._counters["votes_too_many"] += len(gone)
        is_known = False
        try:
            kept = await self._store.put_vote(vote, neighbor, gone)
            is_known = True
        finally:
            if not is_known:
                self._boxes.pop(vote.skill, None)  # What is on disk counts.
        return kept

    def _wait(self, vote: Vote, neighbor: EndpointId | None) -> None:
        key, voter = vote.skill, voter_of(vote)
        known = self._early.setdefault(key, {})
        if voter in known and known[voter][0].sent_at_ms >= vote.sent_at_ms:
            return
        known[voter] = vote, neighbor
        for skill, forgotten in self._early_provenance.admit(
            (key, voter), self._rank(vote), neighbor
        ):
            del self._early[skill][forgotten]
            if not self._early[skill]:
                del self._early[skill]
            self._counters["votes_forgotten"] += 1


def _voter(vote: Vote) -> EndpointId:
    return EndpointId(bytes.fromhex(vote.voter))
