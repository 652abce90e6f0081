"""Asks members for skills that are not here, and for contents too long for a broadcast.

A content is known by its hash, so any member that has it can give it, not only its announcer.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from buddies_core.asking.fetching import Fetcher, content_of, parts
from buddies_core.asking.findings import CHECKED_AT_ONCE
from buddies_core.asking.ports import AskPort, RoomsPort
from buddies_core.errors import NotFound, WireError
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Trust
from buddies_core.model.skill import Skill, SkillKey, Vote
from buddies_core.pb import peer_pb2
from buddies_core.skills.ballot_box import VOTES_PER_NEIGHBOR_MAX
from buddies_core.skills.copies import Copies
from buddies_core.wire.room_messages import open_envelope

VOTES_HANDED_ON_MAX = VOTES_PER_NEIGHBOR_MAX
"""The most votes that are handed on; the asking peer keeps no more."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A skill with all of its content, and the votes on it that came along."""

    skill: Skill
    votes: tuple[Vote, ...]
    source: EndpointId
    """The member that gave it."""


def skill_parts(skill: Skill, votes: Sequence[bytes]) -> list[peer_pb2.PeerReply]:
    """Return the frames that bring a skill to a peer: proof, what the proof lacks, then votes."""
    rest = "" if skill.whole is None else skill.entry.content
    return [peer_pb2.PeerReply(skill_part=part) for part in parts(skill.proof, rest, votes)]


class SkillFetcher:
    """Asks members for skills."""

    def __init__(
        self, rooms: RoomsPort, network: AskPort, copies: Copies, counters: Counter[str]
    ) -> None:
        self._rooms = rooms
        self._copies = copies
        self._fetcher = Fetcher(rooms, network, counters)

    async def ask(self, peer: EndpointId, room: RoomName, hash: str, timeout_s: float) -> Fetched:
        """Return the skill as this peer has it.

        Raises:
            BuddiesError: it has none, did not answer, or gave something else.
        """

        async def read(replies: Sequence[peer_pb2.PeerReply]) -> Fetched:
            frames = [reply.skill_part for reply in replies]
            proof = frames[0].proof if frames else b""
            skill = await self._copies.skill(await self._rooms.admit(room, proof, peer))
            if skill.entry.hash != hash:
                raise WireError("it gave another skill than it was asked for")
            if skill.truncated:
                skill = self._copies.with_content(skill, content_of(frames))
            proofs = [vote for frame in frames for vote in frame.votes][:VOTES_HANDED_ON_MAX]
            votes = await believed_votes(self._rooms, self._copies, skill.key, peer, proofs)
            return Fetched(skill, votes, peer)

        request = peer_pb2.PeerRequest(fetch_skill=peer_pb2.FetchSkill(hash=bytes.fromhex(hash)))
        return await self._fetcher.ask(peer, room, request, timeout_s, read)

    async def by_hash(self, hash: str, timeout_s: float) -> Fetched:
        """Return a skill that is not here, from any member of any joined room.

        The first verified copy is taken at once; an unverified one only if no other comes in time.

        Raises:
            NotFound: nobody gave it; the text names those that were asked.
        """
        found, why_not = await self._fetcher.first(
            self._fetcher.everybody(),
            lambda peer, room, timeout_s: self.ask(peer, room, hash, timeout_s),
            _is_verified,
            timeout_s,
        )
        if found:
            return max(found, key=_is_verified)
        raise NotFound(
            f"skill {hash} is not on this machine ({why_not}); "
            "search_skills shows the hashes there are"
        )


async def believed_votes(
    rooms: RoomsPort,
    copies: Copies,
    key: SkillKey,
    source: EndpointId,
    proofs: Sequence[bytes],
) -> tuple[Vote, ...]:
    """Return the votes on this skill that these bytes prove; invalid ones are counted and left out.

    Votes of voters that are not known here would not count, and are left out unchecked. A check
    takes some 0.1 ms, so other tasks get a turn now and then.
    """
    room = RoomName(key[32:].decode())
    votes: list[Vote] = []
    for number, proof in enumerate(proofs, start=1):
        if number % CHECKED_AT_ONCE == 0:
            await asyncio.sleep(0)
        with suppress(WireError):
            trailer = open_envelope(proof).trailer
            if trailer is not None and rooms.trust(room, trailer.sender) is Trust.STRANGER:
                continue
            vote = copies.vote(await rooms.admit(room, proof, source))
            if vote.skill == key and vote.verified is not Verified.UNVERIFIED:
                votes.append(vote)
    return tuple(votes)


def _is_verified(fetched: Fetched) -> bool:
    return fetched.skill.verified is not Verified.UNVERIFIED
