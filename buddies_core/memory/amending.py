"""Changes to memories that are already stored, made here or by peers.

A memory may be deleted by its author, or by an endpoint that the same person's key vouches for.
Anybody may propose a memory in place of another one; whether it takes that place is decided when
it is shown, as the author's key may become known later.
"""

import asyncio
import hashlib
import logging
from collections import Counter

from buddies_core.asking.members import check_joined
from buddies_core.asking.ports import AskPort, RoomsPort
from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, Busy, InvalidInput, NotAllowed, StoreError, WireError
from buddies_core.memory.findings import RecentFinds
from buddies_core.memory.links import may_amend
from buddies_core.memory.naming import Naming
from buddies_core.memory.ports import IndexPort, StorePort
from buddies_core.model.amendment import Amendment, Change, Kept, Places
from buddies_core.model.bodies import MemoryDeleted, MemorySuperseded
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, short
from buddies_core.model.memory import REASON_BYTES_MAX, MemoryKey, MemoryRef, is_verified_key
from buddies_core.model.provenance import Provenance, Trust
from buddies_core.model.views import DeletedMemory
from buddies_core.trust.admitted import Admitted
from buddies_core.wire.room_messages import open_envelope

EARLY_PER_AUTHOR_MAX = 50_000
"""Amendments from one author about memories that are not here. A late joiner receives many."""
EARLY_PER_STRANGER_MAX = 1_000
EARLY_PER_NEIGHBOR_MAX = 1_000
EARLY_OF_STRANGERS_MAX = 20_000
"""Such amendments by strangers, which anyone can make up: from each stranger, through each
neighbor, and in all. At some 400 bytes each, they take 8 MB."""
PROPOSALS_MAX = 64
PROPOSALS_OF_STRANGERS_MAX = 16
"""The most memories that may be proposed in place of one, not counting its author's."""
DOUBTED_MAX = 1_000
DOUBTED_PER_NEIGHBOR_MAX = 100
"""The most deletions kept whose endpoint is not yet known to belong to the author."""
DOUBTED_AGAIN_EVERY_S = 30.0
"""The interval at which members announce which person's key vouches for them."""
NAME_CHARS_MAX = 64

_STRANGERS = b"strangers"

_log = logging.getLogger(__name__)


class Amending:
    """Deletes, supersedes and forgets memories. One event loop owns this."""

    def __init__(
        self,
        *,
        store: StorePort,
        index: IndexPort,
        rooms: RoomsPort,
        network: AskPort,
        clock: Clock,
        counters: Counter[str],
        finds: RecentFinds,
        naming: Naming,
    ) -> None:
        self._store = store
        self._index = index
        self._rooms = rooms
        self._network = network
        self._clock = clock
        self._counters = counters
        self._finds = finds
        self._naming = naming
        self._doubted: dict[bytes, tuple[Amendment, EndpointId | None]] = {}
        self._doubted_places: Provenance[bytes] = Provenance(DOUBTED_MAX, DOUBTED_PER_NEIGHBOR_MAX)

    async def run(self) -> None:
        """Recheck doubted deletions until cancelled: a binding may have arrived."""
        while True:
            await asyncio.sleep(DOUBTED_AGAIN_EVERY_S)
            for item, (amendment, neighbor) in tuple(self._doubted.items()):
                if may_amend(amendment, self._rooms.signer_of):
                    del self._doubted[item]
                    self._doubted_places.forget(item)
                    try:
                        await self._keep(amendment, self._early(amendment, neighbor))
                    except StoreError as error:
                        _log.warning("amendment_not_kept: %s", error)

    async def delete(self, ref: MemoryRef, reason: str, *, agent: str, user: str) -> DeletedMemory:
        """Erase a memory here and have the room erase it; on return nothing of it is on disk.

        Members that are away erase it when they hear of the deletion.

        Raises:
            NotFound: nobody has it, it was deleted before, or this node is not in its room.
            InvalidInput: several memories have this id, or the reason is too long.
            NotAllowed: it is somebody else's.
            StoreError: the disk refused; nothing was told.
        """
        if len(reason.encode()) > REASON_BYTES_MAX:
            raise InvalidInput(
                f"reason has {len(reason.encode())} bytes, at most {REASON_BYTES_MAX} are allowed;"
                " shorten it"
            )
        memory = await self._naming.one(ref)
        room = memory.entry.room
        check_joined(self._rooms, room)
        item = hashlib.sha256(memory.proof).digest()
        change = MemoryDeleted(memory.key, item, reason)
        if not is_verified_key(memory.key):
            raise NotAllowed(
                f"memory {memory.entry.id} came without a proof of who wrote it, so nobody can "
                "delete it for everybody; to hide it on this machine: forget_memory, or "
                f"buddies-cli memory forget {memory.entry.id}"
            )
        amendment = await self.compose(room, change, agent=agent, user=user)
        if not may_amend(amendment, self._rooms.signer_of):
            raise NotAllowed(
                f"memory {memory.entry.id} is {memory.author_name}'s: only its author can delete "
                "it for everybody, on this or another machine with the same identity; to hide it "
                f"on this machine: forget_memory, or buddies-cli memory forget {memory.entry.id}"
            )
        await self._keep(amendment, ())
        await self.tell(amendment)
        return DeletedMemory(memory.entry.id, room, memory.entry.title)

    async def forget(self, ref: MemoryRef) -> tuple[str, ...]:
        """Hide all memories with this id on this machine alone, and return their titles.

        Raises:
            NotFound: nobody has it, or it is not shown already.
            StoreError: the disk refused.
        """
        found = await self._naming.all(ref)
        for memory in found:
            at_ms = self._clock.wall_ms()
            await self._store.amendments.forget(memory.entry.id, memory.key, at_ms)
        return tuple(memory.entry.title for memory in found)

    async def remember(self, id: MemoryId) -> tuple[str, ...]:
        """Show again the memories with this id that were forgotten, and return their titles.

        Raises:
            InvalidInput: none was forgotten.
            StoreError: the disk refused.
        """
        keys = await self._store.amendments.remember(id)
        if not keys:
            raise InvalidInput(f"memory {id} was not forgotten on this machine; nothing is hidden")
        heads = [self._store.get_head(key) for key in keys]
        return tuple("" if head is None else head.entry.title for head in heads)

    async def receive(self, admitted: Admitted, neighbor: EndpointId | None = None) -> None:
        """Apply a peer's amendment, if the peer may make it; `neighbor` passed it on.

        Raises:
            WireError: it is not about a memory.
            StoreError: the disk refused.
        """
        amendment = _amendment(admitted, self._rooms, self._clock.wall_ms())
        is_deletion = isinstance(amendment.change, MemoryDeleted)
        if is_deletion and not may_amend(amendment, self._rooms.signer_of):
            self._counters["amendments_refused"] += 1
            _log.info("deletion_refused peer=%s room=%s", short(amendment.by), amendment.room)
            self._doubt(amendment, neighbor)
            return
        await self._keep(amendment, self._early(amendment, neighbor))

    async def supersede(
        self, room: RoomName, new: MemoryId, old: MemoryKey, *, agent: str, user: str
    ) -> Amendment:
        """Store an amendment by which our memory replaces another one, and return it.

        Raises:
            Busy: too many are proposed in its place.
            StoreError: the disk refused.
        """
        change = MemorySuperseded(new, old)
        amendment = await self.compose(room, change, agent=agent, user=user)
        kept = await self._store.amendments.put(amendment, (), PROPOSALS_MAX)
        if kept is Kept.FULL:
            raise Busy(
                "as many memories as this machine keeps are proposed in place of that one; store "
                "this one without `supersedes`, and name the other in `references`"
            )
        return amendment

    async def compose(self, room: RoomName, change: Change, *, agent: str, user: str) -> Amendment:
        """Return a change, signed by this node."""
        endpoint = self._network.endpoint
        name = user or self._rooms.name_of(endpoint)
        proof = await self._rooms.compose(room, change, agent=agent, user=name)
        trailer = open_envelope(proof).trailer
        assert trailer is not None, "what this node says has one"
        return Amendment(
            change=change,
            by=endpoint,
            by_name=name,
            room=room,
            sent_at_ms=trailer.sent_at_ms,
            proof=proof,
            received_at_ms=self._clock.wall_ms(),
        )

    async def tell(self, amendment: Amendment) -> None:
        """Tell the room; if that fails, the amendment is kept, and members hear of it later."""
        try:
            await self._rooms.send(amendment.room, amendment.proof)
        except BuddiesError as error:
            _log.warning("amendment_not_told room=%s: %s", amendment.room, error)

    async def _keep(self, amendment: Amendment, early: tuple[Places, ...]) -> None:
        trust = self._rooms.trust(amendment.room, amendment.by)
        proposals_max = PROPOSALS_OF_STRANGERS_MAX if trust is Trust.STRANGER else PROPOSALS_MAX
        match await self._store.amendments.put(amendment, early, proposals_max):
            case Kept.NEW if isinstance(amendment.change, MemoryDeleted):
                self._finds.drop(amendment.key)
                self._index.notice()
            case Kept.NEW | Kept.KNOWN:
                pass
            case Kept.ELSEWHERE:
                self._counters["amendments_refused"] += 1
            case Kept.FULL:
                self._counters["amendments_over_limit"] += 1

    def _early(self, amendment: Amendment, neighbor: EndpointId | None) -> tuple[Places, ...]:
        """Return the places that the amendment takes if its memory is not here."""
        if self._rooms.trust(amendment.room, amendment.by) is not Trust.STRANGER:
            return (Places(of=amendment.by, count_max=EARLY_PER_AUTHOR_MAX),)
        wanted = [
            Places(of=amendment.by, count_max=EARLY_PER_STRANGER_MAX),
            Places(of=_STRANGERS, count_max=EARLY_OF_STRANGERS_MAX),
        ]
        if neighbor is not None and neighbor != amendment.by:
            wanted.append(Places(of=neighbor, count_max=EARLY_PER_NEIGHBOR_MAX))
        return tuple(wanted)

    def _doubt(self, amendment: Amendment, neighbor: EndpointId | None) -> None:
        trust = self._rooms.trust(amendment.room, amendment.by)
        self._doubted[amendment.item] = amendment, neighbor
        for gone in self._doubted_places.admit(amendment.item, trust, neighbor):
            del self._doubted[gone]


def _amendment(admitted: Admitted, rooms: RoomsPort, now_ms: int) -> Amendment:
    body, trailer = admitted.message.body, admitted.trailer
    if not isinstance(body, MemoryDeleted | MemorySuperseded):
        raise WireError(f"{type(body).__name__} came where something about memories was expected")
    assert trailer is not None, "admission lets no amendment pass without a trailer"
    return Amendment(
        change=body,
        by=trailer.sender,
        by_name=(trailer.user or rooms.name_of(trailer.sender))[:NAME_CHARS_MAX],
        room=admitted.room,
        sent_at_ms=trailer.sent_at_ms,
        proof=admitted.raw,
        received_at_ms=now_ms,
    )
