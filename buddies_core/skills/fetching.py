"""Skills that are elsewhere, and contents too long for a broadcast: asked of members.

A content is known by its hash, so that whoever has it can give it, whoever announced it.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from buddies_core.asking.completion import members_to_ask
from buddies_core.errors import BuddiesError, NotFound, TimedOut, WireError
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.provenance import Trust
from buddies_core.model.skill import Skill, SkillKey, Vote
from buddies_core.pb import peer_pb2
from buddies_core.skills.ballot_box import VOTES_PER_NEIGHBOR_MAX
from buddies_core.skills.copies import Copies
from buddies_core.skills.ports import AskPort, RoomsPort
from buddies_core.wire.room_messages import open_envelope

MEMBERS_ASKED_MAX = 64
PART_BYTES = 128 << 10
"""Of a content, in one frame of at most 256 KiB."""
VOTES_IN_PART = 256
"""At some 350 bytes each."""
VOTES_HANDED_ON_MAX = VOTES_PER_NEIGHBOR_MAX
"""Whoever asks keeps no more of them."""
CHECKED_AT_ONCE = 16
"""Votes, before others get a turn."""
BACKGROUND_ASK_S = 30.0
"""For 1 MiB over a slow line."""
_REASON_CHARS_MAX = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A skill with all of its content, and the votes on it that came along."""

    skill: Skill
    votes: tuple[Vote, ...]
    source: EndpointId
    """Who gave it."""


def reason_of(error: BuddiesError) -> str:
    """Return why a peer gave nothing, in words that may be the peer's: cut short."""
    return str(error)[:_REASON_CHARS_MAX]


def skill_parts(skill: Skill, votes: Sequence[bytes]) -> list[peer_pb2.PeerReply]:
    """Return the frames that bring a skill to a peer: proof, what the proof lacks, then votes."""
    parts = [peer_pb2.SkillPart(proof=skill.proof)]
    if skill.whole is not None:
        content = skill.entry.content.encode()
        parts += [
            peer_pb2.SkillPart(content=content[start : start + PART_BYTES])
            for start in range(0, len(content), PART_BYTES)
        ]
    parts += [
        peer_pb2.SkillPart(votes=votes[start : start + VOTES_IN_PART])
        for start in range(0, len(votes), VOTES_IN_PART)
    ]
    return [peer_pb2.PeerReply(skill_part=part) for part in parts]


class Fetcher:
    """Asks members for skills."""

    def __init__(self, rooms: RoomsPort, network: AskPort, copies: Copies) -> None:
        self._rooms = rooms
        self._network = network
        self._copies = copies

    async def ask(self, peer: EndpointId, room: RoomName, hash: str, timeout_s: float) -> Fetched:
        """Return the skill as this peer has it.

        Raises:
            BuddiesError: it has none, did not answer, or gave something else.
        """
        request = peer_pb2.PeerRequest(
            fetch_skill=peer_pb2.FetchSkill(hash=bytes.fromhex(hash)),
        )
        try:
            async with asyncio.timeout(timeout_s):
                replies = await self._network.ask(peer, room, request, timeout_s)
        except TimeoutError:
            raise TimedOut(f"no answer within {timeout_s:g} s") from None
        parts = [reply.skill_part for reply in replies]
        proof = parts[0].proof if parts else b""
        skill = await self._copies.skill(await self._rooms.admit(room, proof, peer))
        if skill.entry.hash != hash:
            raise WireError("it gave another skill than it was asked for")
        if skill.truncated:
            content = b"".join(part.content for part in parts)
            skill = self._copies.with_content(skill, content)
        proofs = [vote for part in parts for vote in part.votes][:VOTES_HANDED_ON_MAX]
        votes = await believed_votes(self._rooms, self._copies, skill.key, peer, proofs)
        return Fetched(skill, votes, peer)

    async def from_anybody(self, hash: str, timeout_s: float) -> Fetched:
        """Return a skill that is not here, from any member of any joined room.

        The first that is verified is taken at once; one that is not, if no other comes in time.

        Raises:
            NotFound: nobody gave it; the text says who was asked.
        """
        found: list[Fetched] = []
        failures: list[str] = []
        without: set[EndpointId] = set()

        async def ask(room: RoomName, peer: EndpointId) -> None:
            try:
                found.append(await self.ask(peer, room, hash, timeout_s))
            except NotFound:
                without.add(peer)
            except BuddiesError as error:
                failures.append(f"{self._rooms.name_of(peer)}: {reason_of(error)}")

        targets = [
            (room, peer)
            for room in self._rooms.joined()
            for peer in members_to_ask(self._rooms, room)
        ]
        async with asyncio.TaskGroup() as group:
            asking = {group.create_task(ask(*target)) for target in targets[:MEMBERS_ASKED_MAX]}
            while asking and not any(map(_is_verified, found)):
                _, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            for task in asking:
                task.cancel()
        if found:
            return max(found, key=_is_verified)
        raise NotFound(
            f"skill {hash} is not on this machine; present members that do not have it either: "
            f"{len(without)}; that did not say: {'; '.join(failures) or 'none'}. list_skills and "
            "search_skills show the hashes there are"
        )


async def believed_votes(
    rooms: RoomsPort,
    copies: Copies,
    key: SkillKey,
    source: EndpointId,
    proofs: Sequence[bytes],
) -> tuple[Vote, ...]:
    """Return the votes on this skill that these bytes prove; the others are counted and left out.

    Those of voters that are not known here would not count, and are left out unchecked. A check
    takes some 0.1 ms, so others get a turn now and then.
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
