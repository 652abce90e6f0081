"""Takes in the items that members hand over, by the same rules as broadcasts."""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, QuotaExceeded, WireError
from buddies_core.history.ports import (
    LegacyPort,
    MemoriesPort,
    RoomsPort,
    SkillsPort,
    StorePort,
)
from buddies_core.history.refusals import Refusals
from buddies_core.model.bodies import (
    MemoryCreated,
    MemoryDeleted,
    MemorySuperseded,
    SkillPublished,
    SkillVoteCast,
)
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.trust.admitted import Admitted, Rejected
from buddies_core.wire.room_messages import has_trailer

AT_ONCE = 256
"""How many items share one sync of the disk."""
CHECKED_AT_ONCE = 16
"""How many items are checked before other tasks get a turn: a signature takes 0.1 ms to check."""
AUTHORS_MAX = 16
"""The most authors of one portion of items for whose signers a member is asked. It is asked about
each author at most once a minute."""
LIES = frozenset({"undecodable", "too_long", "bad_signature", "author_is_not_sender", "scope"})
"""The reasons for rejecting an item that no honest member can have kept."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Taken:
    """The outcome for the proofs that a member handed over."""

    kept: set[bytes] = field(default_factory=set)
    """Ids of the items that are kept now."""
    refused: set[bytes] = field(default_factory=set)
    """Ids of the items that our rules do not let in."""
    lies: int = 0
    """How many items the member cannot itself have kept under any rules."""


class Taker:
    """Admits proofs and keeps what is in them."""

    def __init__(
        self,
        *,
        store: StorePort,
        rooms: RoomsPort,
        memories: MemoriesPort,
        skills: SkillsPort,
        legacy: LegacyPort | None,
        refusals: Refusals,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._memories = memories
        self._skills = skills
        self._legacy = legacy
        self._refusals = refusals
        self._clock = clock
        self._counters = counters

    async def take(self, room: RoomName, peer: EndpointId, proofs: Collection[bytes]) -> Taken:
        """Admit the proofs that a member handed over, and keep what is in them.

        Memories come before skills, and skills before the votes on them. Refused items are not
        requested again for a while.

        Raises:
            BuddiesError: the disk refused, or this node has left the room.
        """
        taken = Taken()
        admitted: dict[bytes, Admitted] = {}
        for number, proof in enumerate(proofs, start=1):
            id = hashlib.sha256(proof).digest()
            try:
                admitted[id] = await self._admitted(room, peer, proof)
            except Rejected as rejected:
                taken.lies += rejected.reason in LIES
                self._refuse(room, peer, id, taken)
            except WireError:
                self._refuse(room, peer, id, taken)
            if number % CHECKED_AT_ONCE == 0:
                await asyncio.sleep(0)
        ordered = sorted(admitted.items(), key=lambda it: _rank(it[1]))
        for rank in dict.fromkeys(_rank(it) for _, it in ordered):
            await self._keep([it for _, it in ordered if _rank(it) == rank], peer)
        items = self._store.items(room)
        for id in admitted:
            if id in items:
                taken.kept.add(id)
            else:
                self._refuse(room, peer, id, taken)
        self._counters["history_items_kept"] += len(taken.kept)
        await self._learn_signers(room, peer, [admitted[id] for id in taken.kept])
        return taken

    async def _learn_signers(
        self, room: RoomName, peer: EndpointId, kept: Sequence[Admitted]
    ) -> None:
        """Ask the member for the signers of the authors of its items: the authors may be gone."""
        authors = dict.fromkeys(it.trailer.sender for it in kept if it.trailer)
        for author in list(authors)[:AUTHORS_MAX]:
            await self._rooms.learn_signer(room, author, peer)

    async def _admitted(self, room: RoomName, peer: EndpointId, proof: bytes) -> Admitted:
        if not has_trailer(proof) and (
            self._legacy is None or not self._legacy.may_keep_copy(proof, peer)
        ):
            raise WireError("it has no trailer, and nothing more of that kind is taken now")
        return await self._rooms.admit(room, proof, peer)

    async def _keep(self, admitted: Iterable[Admitted], peer: EndpointId) -> None:
        waiting = list(admitted)
        while some := waiting[:AT_ONCE]:
            del waiting[:AT_ONCE]
            failures: list[BuddiesError] = []
            async with asyncio.TaskGroup() as group:
                for it in some:
                    group.create_task(self._receive(it, peer, failures))
            if failures:
                raise failures[0]

    async def _receive(
        self, admitted: Admitted, peer: EndpointId, failures: list[BuddiesError]
    ) -> None:
        try:
            match admitted.message.body:
                case MemoryCreated() | MemorySuperseded() | MemoryDeleted():
                    await self._memories.receive(admitted, peer)
                case SkillPublished():
                    await self._skills.receive(admitted, peer)
                case SkillVoteCast():
                    await self._skills.receive_vote(admitted, peer)
                case _:
                    _log.info("item_of_no_kind peer=%s", short(peer))
        except QuotaExceeded as error:
            # Other authors may have room left.
            self._counters["history_items_over_quota"] += 1
            _log.info("item_over_quota peer=%s: %s", short(peer), error)
        except BuddiesError as error:
            failures.append(error)

    def _refuse(self, room: RoomName, peer: EndpointId, id: bytes, taken: Taken) -> None:
        taken.refused.add(id)
        self._counters["history_items_refused"] += 1
        self._refusals.add(room, id, self._clock.now_s(), brought_by=peer)


def _rank(admitted: Admitted) -> int:
    match admitted.message.body:
        case MemoryCreated():
            return 1
        case SkillPublished():
            return 2
        case SkillVoteCast():
            return 3
        case _:
            # Amendments come before the memories that they change.
            return 0
