"""Reads, checks and orders the results of a search for skills, from here and from members."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from buddies_core.asking.findings import Findings
from buddies_core.asking.ports import RoomsPort
from buddies_core.asking.question import Hit, in_order, merge
from buddies_core.errors import StoreError
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.skill import Skill, SkillHead, SkillKey, Vote, prevails
from buddies_core.pb import peer_pb2
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.copies import Copies
from buddies_core.skills.fetching import believed_votes
from buddies_core.skills.ports import HiddenPort
from buddies_core.skills.votes import Standing, weighed
from buddies_core.store.skills import SkillStore, has_any
from buddies_core.trust.admitted import Admitted

VOTES_MAX = 32
"""The most votes that come with each skill of an answer."""
VOTES_IN_ANSWER_MAX = 256
"""The most votes in one answer; checking one takes 0.1 ms."""

Found: TypeAlias = Skill | SkillHead
"""A search result; skills on this machine are found as heads."""

_log = logging.getLogger(__name__)


class SkillFindings(Findings[Found]):
    """Reads the answers to one question, and the votes in them."""

    def __init__(
        self,
        tags: tuple[str, ...],
        store: SkillStore,
        rooms: RoomsPort,
        copies: Copies,
        ballots: Ballots,
        hidden: HiddenPort,
        counters: Counter[str],
    ) -> None:
        super().__init__(rooms, counters)
        self._tags = tags
        self._store = store
        self._copies = copies
        self._ballots = ballots
        self._hidden = hidden
        self._votes: dict[SkillKey, dict[bytes, Vote]] = {}
        """The votes that are not on disk here, by proof."""

    async def read(self, admitted: Admitted) -> Skill | None:
        """Return the skill in a copy, unless it is hidden here or not what was asked for."""
        skill = await self._copies.skill(admitted)
        # The stored copy may have come before its author was revoked.
        hidden = self._hidden.hides(skill) and not self._kept(skill.key)
        return skill if has_any(skill, self._tags) and not hidden else None

    async def take(
        self, room: RoomName, source: EndpointId | None, copies: Sequence[peer_pb2.Found]
    ) -> list[Hit[Found]]:
        """Return the skills in the copies, and take in the votes that come with them."""
        hits = await super().take(room, source, copies)
        if source is not None:
            votes = {copy.proof: copy.votes for copy in copies}
            await self._take_votes(source, [(hit.item, votes[hit.item.proof]) for hit in hits])
        return hits

    def ranked(self, hits: Iterable[Hit[Found]]) -> list[Hit[Found]]:
        """Return the results, each skill once, best first: by relevance as weighted by votes."""
        return in_order(
            Hit(skill, weighed(hit.score, self.standing(skill).votes.rank), hit.passage)
            for hit in merge(hits, _prevails)
            for skill in (self._kept(hit.item.key) or hit.item,)
        )

    def standing(self, skill: Found) -> Standing:
        """Return the skill's standing, including the votes that members have handed on."""
        return self._ballots.standing(skill.key, self._heard(skill))

    def votes_to_keep(self, hits: Iterable[Hit[Found]]) -> list[Vote]:
        """Return the votes that members have handed on, on those of the skills that are here."""
        return [vote for hit in hits if self._kept(hit.item.key) for vote in self._heard(hit.item)]

    async def _take_votes(
        self, source: EndpointId, handed_on: Iterable[tuple[Found, Sequence[bytes]]]
    ) -> None:
        votes_left = VOTES_IN_ANSWER_MAX
        for skill, proofs in handed_on:
            heard = self._votes.setdefault(skill.key, {})
            known = heard.keys() | {vote.proof for vote in self._ballots.of(skill.key)}
            new = [proof for proof in proofs[:VOTES_MAX] if proof not in known][:votes_left]
            votes_left -= len(new)
            votes = await believed_votes(self._rooms, self._copies, skill.key, source, new)
            heard.update((vote.proof, vote) for vote in votes)

    def _heard(self, skill: Found) -> list[Vote]:
        # A truncated skill's hash is only a claim; it may be that of a popular skill.
        return [] if skill.truncated else list(self._votes.get(skill.key, {}).values())

    def _kept(self, key: SkillKey) -> SkillHead | None:
        """Return what is kept of a skill, if it can be read and is not hidden."""
        try:
            head = self._store.get_head(key)
        except StoreError as error:
            _log.warning("record_damaged reason=%s", error)
            return None
        return None if head is None or self._hidden.hides(head) else head


def _prevails(new: Found, known: Found) -> bool:
    """Whether one copy replaces another: a checked hash counts first, then the signer."""
    if new.truncated != known.truncated:
        return known.truncated
    return prevails(new, known)
