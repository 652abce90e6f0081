"""The votes of this node: taken in, kept, and what they amount to."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterable, Iterator

from buddies_core.errors import StoreError
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId
from buddies_core.model.skill import SkillKey, Vote, room_of_key
from buddies_core.skills.ports import HiddenPort
from buddies_core.skills.votes import Electorate, Standing, standing
from buddies_core.store.skills import SkillStore

EARLY_MAX = 1000
"""Votes that came before their skill, over all skills; beyond it the oldest skill's are forgotten.
They come again with any answer that brings the skill."""


CACHED_MAX = 256
"""Skills whose votes are at hand; to read a thousand from the disk takes 4 ms (measured)."""


class Ballots:
    """Takes in votes and counts them. One event loop owns this."""

    def __init__(
        self,
        store: SkillStore,
        electorate: Electorate,
        endpoint: EndpointId,
        hidden: HiddenPort,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._electorate = electorate
        self._endpoint = endpoint
        self._hidden = hidden
        self._counters = counters
        self._early: OrderedDict[SkillKey, list[Vote]] = OrderedDict()
        self._cache: OrderedDict[SkillKey, tuple[Vote, ...]] = OrderedDict()

    async def take(self, vote: Vote) -> bool:
        """Keep a vote if it is its voter's newest; one on an unknown skill waits for that.

        Returns whether it is kept on disk.

        Raises:
            StoreError: the disk refused, or the skill's record is damaged.
        """
        if self._store.get_head(vote.skill) is None:
            self._wait(vote)
            return False
        kept = await self._put(vote)
        if not kept:
            self._counters["votes_not_newer"] += 1
        return kept

    async def take_all(self, votes: Collection[Vote]) -> None:
        """Take in many votes, of which those that are on disk already cost nothing.

        Raises:
            StoreError: the disk refused one, or a skill's record is damaged.
        """
        known = {vote.proof for key in {v.skill for v in votes} for vote in self.of(key)}
        try:
            async with asyncio.TaskGroup() as group:  # One sync of the disk serves many.
                for vote in votes:
                    if vote.proof not in known:
                        group.create_task(self.take(vote))
        except* StoreError as failed:
            raise StoreError(str(failed.exceptions[0])) from failed

    async def skill_came(self, key: SkillKey) -> None:
        """Keep the votes that were there before their skill."""
        for vote in self._early.pop(key, ()):
            await self._put(vote)

    def of(self, key: SkillKey) -> tuple[Vote, ...]:
        """Return the votes on a skill, one a voter; hidden ones too."""
        if key not in self._cache:
            self._cache[key] = self._store.votes(key)
            if len(self._cache) > CACHED_MAX:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]

    def standing(self, key: SkillKey, more: Iterable[Vote] = ()) -> Standing:
        """Return what the votes on a skill amount to; `more` are some that are not on disk."""
        votes = self._shown((*self.of(key), *more))
        return standing(votes, room_of_key(key), self._electorate)

    def own(self, key: SkillKey) -> int | None:
        """Return what this node has voted."""
        voter = self._endpoint.hex()
        verified = (v for v in self.of(key) if v.verified is not Verified.UNVERIFIED)
        return next((vote.score for vote in verified if vote.voter == voter), None)

    def counts_own(self, key: SkillKey) -> bool:
        """Return whether this node has a vote in the skill's room."""
        return self._electorate.may_vote(room_of_key(key), self._endpoint)

    def to_hand_on(self, key: SkillKey, limit: int) -> tuple[bytes, ...]:
        """Return the proofs of votes that a peer can check, the newest first."""
        shown = self._shown(self.of(key))
        votes = [vote for vote in shown if vote.verified is not Verified.UNVERIFIED]
        votes.sort(key=lambda vote: -vote.sent_at_ms)
        return tuple(vote.proof for vote in votes[:limit])

    def _shown(self, votes: Iterable[Vote]) -> Iterator[Vote]:
        return (vote for vote in votes if not self._hidden.hides(vote))

    async def _put(self, vote: Vote) -> bool:
        kept = await self._store.put_vote(vote)
        self._cache.pop(vote.skill, None)
        return kept

    def _wait(self, vote: Vote) -> None:
        self._early.setdefault(vote.skill, []).append(vote)
        while sum(map(len, self._early.values())) > EARLY_MAX:
            _, forgotten = self._early.popitem(last=False)
            self._counters["votes_forgotten"] += len(forgotten)
