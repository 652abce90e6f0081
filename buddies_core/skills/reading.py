"""What members answer to a search for skills: read, checked, and no more than was asked for."""

import logging
from collections import Counter
from collections.abc import Iterable

from buddies_core.errors import StoreError, WireError
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.skill import Skill, SkillHead, SkillKey
from buddies_core.pb import peer_pb2
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.copies import Copies
from buddies_core.skills.fetching import believed_votes
from buddies_core.skills.findings import Findings, credible
from buddies_core.skills.ports import HiddenPort, RoomsPort
from buddies_core.store.skills import SkillStore, has_any

VOTES_MAX = 32
"""With each skill of an answer."""
VOTES_IN_ANSWER_MAX = 256
"""To check one takes 0.1 ms."""

_log = logging.getLogger(__name__)


class AnswerReader:
    """Reads answers. One event loop owns this."""

    def __init__(
        self,
        store: SkillStore,
        rooms: RoomsPort,
        copies: Copies,
        ballots: Ballots,
        hidden: HiddenPort,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._copies = copies
        self._ballots = ballots
        self._hidden = hidden
        self._counters = counters

    async def take(
        self,
        room: RoomName,
        source: EndpointId,
        answer: Iterable[peer_pb2.FoundSkill],
        tags: tuple[str, ...],
        findings: Findings,
    ) -> int:
        """Take in what a peer found, and return how many of it are to be believed."""
        believed = 0
        votes_left = VOTES_IN_ANSWER_MAX
        for found in answer:
            skill = await self.read(room, source, found.proof)
            if skill is None or not has_any(skill, tags):
                continue
            known = {vote.proof for vote in self._ballots.of(skill.key)}
            known |= findings.votes.get(skill.key, {}).keys()
            new = [proof for proof in found.votes[:VOTES_MAX] if proof not in known][:votes_left]
            votes_left -= len(new)
            votes = await believed_votes(self._rooms, self._copies, skill.key, source, new)
            findings.add(skill, credible(found.score), votes)
            believed += 1
        return believed

    async def read(self, room: RoomName, source: EndpointId | None, proof: bytes) -> Skill | None:
        """Return the skill in a copy; None if it is hidden, or not to be believed, and counted."""
        try:
            skill = await self._copies.skill(await self._rooms.admit(room, proof, source))
        except WireError as error:
            self._counters["search_copies_rejected"] += 1
            _log.info("copy_rejected room=%s: %s", room, error)
            return None
        # What is kept of it may have come before its author was revoked.
        return None if self._hidden.hides(skill) and not self.kept(skill.key) else skill

    def kept(self, key: SkillKey) -> SkillHead | None:
        """Return what is kept of a skill, if it can be read and is not hidden."""
        try:
            kept = self._store.get_head(key)
        except StoreError as error:
            _log.warning("record_damaged reason=%s", error)
            return None
        return None if kept is None or self._hidden.hides(kept) else kept
