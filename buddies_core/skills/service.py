"""Publishes skills to a room and receives them from it; votes on, reads and hands them on."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

from buddies_core.asking.members import check_joined, check_known
from buddies_core.asking.ports import AskPort, RoomsPort
from buddies_core.clock import Clock
from buddies_core.convert.cursors import skill_cursor
from buddies_core.errors import BuddiesError, InvalidInput, NotFound, QuotaExceeded, WireError
from buddies_core.identity.labels import canonical
from buddies_core.model.bodies import SkillPublished, SkillVoteCast
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.model.listing import Listed
from buddies_core.model.revocation import why_hidden
from buddies_core.model.skill import Skill, SkillEntry, SkillHead, SkillKey, skill_key
from buddies_core.model.skill_views import Publisher, SkillPage, SkillView, VoteReport
from buddies_core.pb import peer_pb2
from buddies_core.skills.announcements import Announcements
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.content import NAMESPACE, check_own, signing_payload, skill_hash
from buddies_core.skills.copies import Copies
from buddies_core.skills.fetching import VOTES_HANDED_ON_MAX, SkillFetcher, skill_parts
from buddies_core.skills.keeping import Keeper
from buddies_core.skills.ports import HiddenPort, IndexPort, Signer
from buddies_core.skills.publishers import publisher_of
from buddies_core.skills.versions import changes, line_of, parent_of
from buddies_core.skills.views import snippet, version, view
from buddies_core.store.skills import SkillStore
from buddies_core.trust.admitted import Admitted
from buddies_core.wire.shortening import fit_skill

PeerReplies: TypeAlias = list[peer_pb2.PeerReply]

GET_TIMEOUT_S = 6.0
RECHECK_TIMEOUT_S = 2.0
"""The time to check signatures that could not be checked yet; gpg takes some 20 ms for each."""

_log = logging.getLogger(__name__)


class Skills:
    """The skills of this node. One event loop owns this."""

    def __init__(
        self,
        *,
        store: SkillStore,
        index: IndexPort,
        rooms: RoomsPort,
        network: AskPort,
        signer: Signer | None,
        copies: Copies,
        ballots: Ballots,
        hidden: HiddenPort,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._network = network
        self._signer = signer
        self._copies = copies
        self._ballots = ballots
        self._hidden = hidden
        self._clock = clock
        self._counters = counters
        self._fetcher = SkillFetcher(rooms, network, copies, counters)
        self._keeper = Keeper(store, index, rooms, ballots)
        self._announcements = Announcements(
            rooms, self._fetcher, copies, self._keeper, store, clock, counters
        )

    async def run(self) -> None:
        """Fetch the contents that were too long for a broadcast, until cancelled."""
        await self._announcements.run()

    # What our agents do

    async def publish(
        self,
        room: RoomName,
        title: str,
        content: str,
        tags: tuple[str, ...],
        version: int,
        parent_hash: str | None,
        *,
        agent: str,
        user: str,
    ) -> SkillView:
        """Keep a skill and tell the room; on return it is on disk, peers may still be receiving.

        It is signed if this node has a signer. Version 0 is one more than the parent's, or 1. If
        the room already has the skill, as well verified, that copy is returned unchanged.

        Raises:
            NotFound: this node is not in the room, or the parent is not known in it; or an author
                whose skills are hidden has published the same before.
            InvalidInput: a field is empty or too large; the text names it.
            StoreError: the disk refused; nothing was sent.
        """
        check_joined(self._rooms, room)
        parent = None if parent_hash is None else await self._parent(room, parent_hash)
        wall_ms = self._clock.wall_ms()
        endpoint = self._network.endpoint
        title, tags = title.strip(), tuple(dict.fromkeys(tags))
        entry = SkillEntry(
            hash=skill_hash(title, content, tags),
            author=endpoint.hex(),
            created_at_s=wall_ms // 1000,
            room=room,
            title=title,
            content=content,
            tags=tags,
            version=version or (parent.entry.version + 1 if parent else 1),
            parent_hash=parent_hash,
            signed_by=None,
            signature=None,
        )
        check_own(entry)
        entry = await self._signed(entry)
        author_name = user or self._rooms.name_of(endpoint)
        told, whole = fit_skill(
            entry,
            agent=agent,
            user=author_name,
            size_max=self._rooms.message_bytes_max(room),
        )
        proof = await self._rooms.compose(
            room, SkillPublished(told), agent=agent, user=author_name, whole=whole
        )
        skill = Skill(
            key=skill_key(entry.hash, room),
            entry=entry,
            author_name=author_name,
            agent=agent,
            verified=Verified.PEER if entry.signed_by is None else Verified.SIGNER,
            whole=whole,
            proof=proof,
            received_at_ms=wall_ms,
        )
        if await self._keeper.keep(skill):
            await self._tell(room, proof)
        elif (kept := self._store.get_skill(skill.key)) is not None:
            self._check_shown(kept)
            skill = kept
        return snippet(skill, self._ballots, self._rooms)

    async def vote(
        self, room: RoomName, hash: str, score: int, *, agent: str, user: str
    ) -> VoteReport:
        """Vote on a skill, in place of this node's last vote on it, and tell the room.

        Raises:
            InvalidInput: the score is neither −1 nor 1.
            NotFound: this node is not in the room, or nobody there has the skill.
            StoreError: the disk refused; nothing was sent.
        """
        if score not in (-1, 1):
            raise InvalidInput(f"score is {score}; vote 1 for a skill or -1 against it")
        check_joined(self._rooms, room)
        key = skill_key(hash, room)
        if self._store.get_head(key) is None:
            await self._keeper.keep_fetched(await self._fetcher.by_hash(hash, GET_TIMEOUT_S))
        skill = self._store.get_head(key)
        if skill is None:
            raise NotFound(f"skill {hash} is not in room {room!r}; vote in the room it is in")
        self._check_shown(skill)
        body = SkillVoteCast(hash, self._network.endpoint.hex(), score)
        user = user or self._rooms.name_of(self._network.endpoint)
        proof = await self._rooms.compose(room, body, agent=agent, user=user)
        await self._ballots.take(self._copies.vote(await self._rooms.admit(room, proof)))
        await self._tell(room, proof)
        rank = self._ballots.standing(key).votes.rank
        return VoteReport(hash=hash, score=score, rank=rank, counted=self._ballots.counts_own(key))

    async def get(self, hash: str, offset: int, limit: int) -> SkillPage:
        """Return `limit` characters of a skill's content, from the `offset`-th on.

        If it is not here, it is fetched from a present member and stored. Its versions and changes
        come only with the first page.

        Raises:
            NotFound: nobody has it, and the text names those that were asked; or it is hidden, and
                the text says how to show it again.
            InvalidInput: the offset lies beyond the end.
            StoreError: its record is damaged.
        """
        kept = self._store.find_skills(hash)
        if not kept:
            await self._keeper.keep_fetched(await self._fetcher.by_hash(hash, GET_TIMEOUT_S))
            kept = self._store.find_skills(hash)
        if await self._recheck([skill.head() for skill in kept]):
            kept = self._store.find_skills(hash)
        found = [skill for skill in kept if not self._hidden.hides(skill)]
        if not found:
            self._check_shown(kept[0])
        joined = self._rooms.joined()
        skill = max(found, key=lambda s: (bool(self._of(s).signer), s.entry.room in joined))
        content = skill.entry.content
        if offset > len(content):
            raise InvalidInput(f"offset is {offset}, but the content has {len(content)} characters")
        shown = content[offset : offset + limit]
        end = offset + len(shown)
        page = SkillPage(
            skill=view(skill, shown, self._ballots, self._rooms),
            offset=offset,
            next_offset=end if end < len(content) else None,
            total=len(content),
            chain=(),
            diff=None,
        )
        return page if offset else await self._with_versions(page, skill)

    async def list(
        self,
        room: RoomName | None,
        tags: tuple[str, ...],
        limit: int,
        after: SkillKey | None = None,
    ) -> Listed[SkillView]:
        """Return this machine's skills, the latest arrival first, with their beginnings.

        With `after`, the list continues after that skill.

        Raises:
            NotFound: this node is not in that room, and has stored nothing of it.
        """
        skills, damaged = await self._store.list_skills(
            room, tags, limit, self._hidden.hides, after
        )
        if room is not None and after is None and not skills:
            check_known(self._rooms, room)
        views = tuple(snippet(skill, self._ballots, self._rooms) for skill in skills)
        return Listed(views, damaged, tuple(skill_cursor(skill.key) for skill in skills))

    # What peers do

    async def receive(
        self, admitted: Admitted, neighbor: EndpointId | None = None, content: bytes | None = None
    ) -> None:
        """Store a skill that a peer sent to the room if it is valid; else count it.

        A long skill's content is fetched later, and the skill is not shown until then. `neighbor`
        is the peer that passed it on, perhaps with all of its content.

        Raises:
            StoreError: the disk refused.
        """
        try:
            skill = await self._copies.skill(admitted)
            if skill.truncated and content is not None:
                skill = self._copies.with_content(skill, content)
        except WireError:
            return
        try:
            if skill.truncated and (kept := self._store.get_skill(skill.key)) is not None:
                with suppress(WireError):
                    whole = self._copies.with_content(skill, kept.entry.content.encode())
                    await self._keeper.keep(whole, neighbor)
            elif not skill.truncated:
                await self._keeper.keep(skill, neighbor)
            else:
                await self._announcements.want(skill, neighbor)
        except QuotaExceeded as error:
            self._counters["skills_over_quota"] += 1
            _log.info("skill_rejected room=%s: %s", admitted.room, error)

    async def receive_vote(self, admitted: Admitted, neighbor: EndpointId | None = None) -> None:
        """Count a vote that a peer sent to the room if it is valid; `neighbor` passed it on.

        Raises:
            StoreError: the disk refused.
        """
        try:
            vote = self._copies.vote(admitted)
        except WireError:
            return
        await self._ballots.take(vote, neighbor)

    def answer_fetch(
        self, caller: EndpointId, room: RoomName, request: peer_pb2.FetchSkill
    ) -> PeerReplies:
        """Return the frames that give a peer a skill of the room that it asks in.

        Raises:
            NotFound: it is not here.
            InvalidInput: it does not ask for a hash.
        """
        if len(request.hash) != 32:
            raise InvalidInput("a skill is asked for by its hash, which has 32 bytes")
        skill = self._shown(SkillKey(request.hash + room.encode()))
        if skill is None:
            raise NotFound("that skill is not here")
        _log.debug("skill_handed_on peer=%s", short(caller))
        return skill_parts(skill, self._ballots.to_hand_on(skill.key, VOTES_HANDED_ON_MAX))

    # Both

    async def _parent(self, room: RoomName, hash: str) -> SkillHead:
        """Return the parent of a new skill, from a member if it is not here."""
        key = skill_key(hash, room)
        if self._store.get_head(key) is None:
            await self._keeper.keep_fetched(await self._fetcher.by_hash(hash, GET_TIMEOUT_S))
        parent = self._store.get_head(key)
        if parent is None:
            raise NotFound(
                f"parent_hash {hash} is in another room than {room!r}; publish there, or without it"
            )
        self._check_shown(parent)
        return parent

    async def _with_versions(self, page: SkillPage, skill: Skill) -> SkillPage:
        line = self._line(skill)
        if await self._recheck(line):
            line = self._line(skill)
        parent = parent_of(skill, self._shown)
        return replace(
            page,
            chain=tuple(version(one, self._ballots, self._rooms) for one in line),
            diff=None if parent is None else await asyncio.to_thread(changes, parent, skill),
        )

    def _shown(self, key: SkillKey) -> Skill | None:
        """Return the skill under this key, if it is to be shown."""
        kept = self._store.get_skill(key)
        return None if kept is None or self._hidden.hides(kept) else kept

    def _shown_head(self, key: SkillKey) -> SkillHead | None:
        """Return the head of the skill under this key, if it is to be shown."""
        kept = self._store.get_head(key)
        return None if kept is None or self._hidden.hides(kept) else kept

    def _check_shown(self, skill: Skill | SkillHead) -> None:
        revocation = self._hidden.hiding(skill)
        if revocation is not None:
            raise NotFound(why_hidden(f"skill {skill.entry.hash}", revocation))

    def _of(self, skill: Skill | SkillHead) -> Publisher:
        return publisher_of(skill, self._rooms)

    def _line(self, skill: Skill) -> tuple[SkillHead, ...]:
        """Return the line of versions that a skill stands in, without those that are hidden."""
        return line_of(
            skill.head(),
            self._shown_head,
            self._store.successors,
            self._of,
        )

    async def _recheck(self, skills: Iterable[SkillHead]) -> bool:
        """Verify signers that could not be verified on arrival; return whether any could be now.

        Skills whose check takes too long stay as they are until they are read again.
        """
        any_kept = False
        with suppress(TimeoutError):
            async with asyncio.timeout(RECHECK_TIMEOUT_S):
                for head in skills:
                    signer = await self._copies.signer_now(head)
                    skill = signer and self._store.get_skill(head.key)
                    if signer and skill:
                        entry = replace(skill.entry, signed_by=signer)
                        signed = replace(skill, entry=entry, verified=Verified.SIGNER)
                        any_kept |= await self._keeper.keep(signed)
        return any_kept

    async def _signed(self, entry: SkillEntry) -> SkillEntry:
        if self._signer is None:
            return entry
        signature = await self._signer.sign(signing_payload(entry), NAMESPACE)
        # As verifiers know it: without the comment that an SSH key may have.
        return replace(entry, signed_by=canonical(self._signer.identity), signature=signature)

    async def _tell(self, room: RoomName, proof: bytes) -> None:
        try:
            await self._rooms.send(room, proof)
        except BuddiesError as error:
            # It is stored, and members find it by asking; only the broadcast is lost.
            _log.warning("skill_not_told room=%s: %s", room, error)
