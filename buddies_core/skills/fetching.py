"""Skills that are elsewhere, and contents too long for a broadcast: asked of members.

A content is known by its hash, so that whoever has it can give it, whoever announced it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, NotFound, StoreError, TimedOut, WireError
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.model.skill import Skill, SkillKey, Vote
from buddies_core.pb import peer_pb2
from buddies_core.skills.copies import Copies
from buddies_core.skills.ports import AskPort, RoomsPort
from buddies_core.store.skills import SkillStore

MEMBERS_ASKED_MAX = 64
PART_BYTES = 128 << 10
"""Of a content, in one frame of at most 256 KiB."""
VOTES_IN_PART = 256
"""At some 350 bytes each."""
VOTES_HANDED_ON_MAX = 1024
BACKGROUND_ASK_S = 30.0
"""For 1 MiB over a slow line."""
CHECK_EVERY_S = 2.0
RETRY_AFTER_S = 5.0
RETRY_AFTER_S_MAX = 600.0
ANNOUNCED_FOR_MS = 7 * 24 * 3600 * 1000
"""What nobody gave in a week was never there, or is gone."""
_REASON_CHARS_MAX = 200

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A skill with all of its content, and the votes on it that came along."""

    skill: Skill
    votes: tuple[Vote, ...]


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

    def members(self, room: RoomName) -> tuple[EndpointId, ...]:
        """Return who is present in the room and may be asked."""
        if room not in self._rooms.joined():
            return ()
        return tuple(
            member.endpoint
            for member in self._rooms.members(room)
            if member.speaks_direct and not member.is_self
        )

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
        return Fetched(skill, votes)

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

        targets = [(room, peer) for room in self._rooms.joined() for peer in self.members(room)]
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

    A check takes some 0.1 ms, so others get a turn now and then.
    """
    room = RoomName(key[32:].decode())
    votes: list[Vote] = []
    for number, proof in enumerate(proofs, start=1):
        if number % 32 == 0:
            await asyncio.sleep(0)
        with suppress(WireError):
            vote = copies.vote(await rooms.admit(room, proof, source))
            if vote.skill == key and vote.verified is not Verified.UNVERIFIED:
                votes.append(vote)
    return tuple(votes)


def _is_verified(fetched: Fetched) -> bool:
    return fetched.skill.verified is not Verified.UNVERIFIED


@dataclass(frozen=True, slots=True)
class _Failure:
    asked: frozenset[EndpointId]
    times: int
    again_at_s: float


class Completion:
    """Fetches what is announced, one skill after the other. The store is the queue."""

    def __init__(
        self,
        fetcher: Fetcher,
        copies: Copies,
        store: SkillStore,
        keep: Callable[[Fetched], Awaitable[object]],
        clock: Clock,
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:
        self._fetcher = fetcher
        self._copies = copies
        self._store = store
        self._keep = keep
        self._clock = clock
        self._check_every_s = check_every_s
        self._work = asyncio.Event()
        self._failures: dict[bytes, _Failure] = {}

    def wake(self) -> None:
        """Look at once for contents that are to be fetched."""
        self._work.set()

    async def run(self) -> None:
        """Fetch until cancelled.

        What nobody gave is asked for again, ever more seldom, and at once when a member is present
        that has not been asked.
        """
        while True:
            self._work.clear()
            waiting = self._store.announcements()
            proofs = {skill.proof for skill in waiting}
            self._failures = {p: f for p, f in self._failures.items() if p in proofs}
            for skill in waiting:
                try:
                    await self._complete(skill)
                except StoreError as error:
                    _log.warning("skill_not_kept skill=%s: %s", skill.entry.hash, error)
                    self._rest(skill, frozenset(self._fetcher.members(skill.entry.room)))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._check_every_s if waiting else None):
                    await self._work.wait()

    async def _complete(self, skill: Skill) -> None:
        if self._clock.wall_ms() - skill.received_at_ms > ANNOUNCED_FOR_MS:
            await self._store.drop_announcement(skill)
            return
        members = self._fetcher.members(skill.entry.room)
        failure = self._failures.get(skill.proof)
        rests = failure and set(members) <= failure.asked
        if not members or (failure and rests and self._clock.now_s() < failure.again_at_s):
            return
        author = skill.entry.author
        for peer in sorted(members, key=lambda member: member.hex() != author):
            try:
                fetched = await self._fetcher.ask(
                    peer, skill.entry.room, skill.entry.hash, BACKGROUND_ASK_S
                )
            except StoreError:
                raise
            except BuddiesError as error:
                _log.info("skill_fetch_failed peer=%s: %s", short(peer), error)
                continue
            # The holder's copy may be less well verified than the one that was announced. If that
            # one is not of this content, it ends here: its hash was a lie.
            with suppress(WireError):
                whole = self._copies.with_content(skill, fetched.skill.entry.content.encode())
                await self._keep(Fetched(whole, ()))
            await self._keep(fetched)
            _log.info("skill_fetched skill=%s", skill.entry.hash)
            return
        self._rest(skill, frozenset(members))

    def _rest(self, skill: Skill, asked: frozenset[EndpointId]) -> None:
        failure = self._failures.get(skill.proof)
        times = failure.times + 1 if failure else 1
        pause_s = min(RETRY_AFTER_S_MAX, RETRY_AFTER_S * 2 ** (times - 1))
        self._failures[skill.proof] = _Failure(asked, times, self._clock.now_s() + pause_s)
