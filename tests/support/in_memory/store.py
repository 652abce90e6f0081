"""The store's contract in plain dicts, for tests. Nothing outlives it."""

import itertools
import operator
import os
from collections.abc import Callable
from typing import TypeVar

from buddies_core.model.amendment import Erased
from buddies_core.model.ids import EndpointId, MemoryId, RoomId, RoomName, TaskId
from buddies_core.model.item import END, Bound, Item
from buddies_core.model.memory import (
    Memory,
    MemoryFilter,
    MemoryHead,
    MemoryKey,
    MemoryPlace,
    prevails,
    succeeding,
)
from buddies_core.model.revocation import Revocation
from buddies_core.store.item_records import Record
from buddies_core.store.items import ItemSet
from buddies_core.store.keys import SEQUENCE_MAX, presence_mark
from buddies_core.store.records import BindingRecord, PresenceRecord, RoomRecord
from buddies_core.store.task_records import OfferRecord, TaskRecord
from buddies_core.wire.items import item_of
from tests.support.in_memory.amendments import InMemoryAmendments
from tests.support.in_memory.invites import InMemoryInvites
from tests.support.in_memory.items import SortedItems
from tests.support.in_memory.policies import InMemoryPolicies
from tests.support.in_memory.skills import InMemorySkills

T = TypeVar("T")


class InMemoryStore:
    """A store without a disk; it passes the tests that RocksStore passes, which documents it."""

    def __init__(self) -> None:
        self.id = os.urandom(16)
        self.policies = InMemoryPolicies()
        self.invites = InMemoryInvites()
        self.skills = InMemorySkills()
        self._memories: dict[MemoryKey, tuple[int, Memory]] = {}
        self._last_sequence = 0
        self.amendments = InMemoryAmendments(self._memories, self._arrive)
        self._rooms: dict[RoomName, RoomRecord] = {}
        self._presences: dict[tuple[RoomId, EndpointId], PresenceRecord] = {}
        self._bindings: dict[EndpointId, BindingRecord] = {}
        self._revocations: dict[str, Revocation] = {}
        self._watermarks: dict[bytes, int] = {}
        self._tasks: dict[TaskId, TaskRecord] = {}
        self._offers: dict[TaskId, OfferRecord] = {}

    @property
    def items_complete(self) -> bool:
        """Whether all records are among the items."""
        return True

    async def read(self, work: Callable[[], T]) -> T:
        """Return what `work` returns."""
        return work()

    def items(self, room: RoomName) -> ItemSet:
        """Return the items of a room."""

        def proofs() -> list[bytes]:
            memories = (it.proof for _, it in self._memories.values() if it.entry.room == room)
            skills = (it.proof for it in self.skills.all(room))
            return [*memories, *skills, *self.amendments.proofs(room)]

        return SortedItems(proofs)

    async def records(
        self, room: RoomName, lower: Item | Bound, limit: int
    ) -> list[tuple[Item, Record]]:
        """Return the records of a room's first items from `lower` on, each with its item."""
        memories = (memory for _, memory in self._memories.values())
        by_item: dict[Item, Record] = {
            item_of(it.proof): it for it in (*memories, *self.skills.all(room))
        }
        by_item |= {item_of(proof): proof for proof in self.amendments.proofs(room)}
        return [(it, by_item[it]) for it in self.items(room).list(lower, END, limit)]

    async def put_memory(self, memory: Memory) -> bool:
        """Keep a memory unless one that prevails has its key; return whether it is kept now."""
        if self.amendments.deletion(memory):
            return False
        if memory.key in self._memories:
            kept = self._memories[memory.key][1]
            if not prevails(memory, kept):
                return False
            memory = succeeding(memory, kept)
        self._memories[memory.key] = self._arrive(), memory
        return True

    def _arrive(self) -> int:
        self._last_sequence += 1
        return self._last_sequence

    def get_memory(self, key: MemoryKey) -> Memory | None:
        """Return the memory under this key."""
        return self._memories[key][1] if key in self._memories else None

    def get_head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of the memory under this key."""
        memory = self.get_memory(key)
        return None if memory is None else memory.head()

    def find_heads(self, id: MemoryId) -> tuple[MemoryHead, ...]:
        """Return the heads of all memories with this id, by key."""
        kept = (memory for _, (_, memory) in sorted(self._memories.items()))
        return tuple(memory.head() for memory in kept if memory.entry.id == id)

    def ids_beginning(self, digits: str) -> tuple[MemoryId, ...]:
        """Return the ids that begin with these hex digits, in order, two at most."""
        ids = {memory.entry.id for _, memory in self._memories.values()}
        ids |= self.amendments.deleted_ids()
        return tuple(sorted(id for id in ids if id.hex.startswith(digits))[:2])

    def truncated_memories(
        self, limit: int, after: MemoryKey | None = None
    ) -> tuple[MemoryKey, ...]:
        """Return the keys of memories whose content is not all there, in order, after this one."""
        items = sorted(self._memories.items())
        keys = (key for key, (_, memory) in items if memory.truncated)
        return tuple(key for key in keys if after is None or key > after)[:limit]

    async def list_memories(
        self,
        filter: MemoryFilter,
        limit: int,
        hides: Callable[[MemoryHead], bool] = lambda _: False,
        after: MemoryPlace | None = None,
    ) -> tuple[tuple[MemoryHead, ...], int]:
        """Return the first memories that pass the filter, in its order, and 0 damaged ones."""
        places = sorted(
            ((memory.at_s, sequence), memory.head())
            for sequence, memory in self._memories.values()
            if filter.admits(memory) and not hides(memory.head())
        )
        if after is not None:
            kept = self._memories.get(after.key)
            lost = 0 if filter.oldest_first else SEQUENCE_MAX
            end = after.at_s, lost if kept is None else kept[0]
            behind = operator.gt if filter.oldest_first else operator.lt
            places = [(place, head) for place, head in places if behind(place, end)]
        ordered = places if filter.oldest_first else reversed(places)
        return tuple(head for _, head in ordered)[:limit], 0

    async def memories_since(
        self, sequence: int, limit: int
    ) -> tuple[tuple[int, Memory | Erased], ...]:
        """Return what arrived after `sequence`, in order, and what was deleted since."""
        log: list[tuple[int, Memory | Erased]] = [*self._memories.values()]
        log += [(at, Erased(key)) for at, key in self.amendments.erased()]
        log.sort(key=lambda arrived: arrived[0])
        return tuple(item for item in log if item[0] > sequence)[:limit]

    async def heads_since(self, sequence: int, limit: int) -> tuple[tuple[int, MemoryHead], ...]:
        """Return the heads of what arrived after `sequence`, in order."""
        log = sorted(self._memories.values(), key=lambda arrived: arrived[0])
        found = ((number, memory.head()) for number, memory in log if number > sequence)
        return tuple(itertools.islice(found, limit))

    def key_at(self, sequence: int) -> MemoryKey | None:
        """Return what arrived as the `sequence`-th, unless something has replaced it."""
        kept = ((at, key) for key, (at, _) in self._memories.items())
        found = itertools.chain(kept, self.amendments.erased())
        return next((key for at, key in found if at == sequence), None)

    def last_sequence(self) -> int:
        """Return the sequence of the latest arrival; 0 if there was none."""
        return self._last_sequence

    def count_memories(self) -> int:
        """Return how many memories are kept."""
        return len(self._memories)

    async def keeps_any_of(self, room: RoomName) -> bool:
        """Return whether memories or tasks of a room are kept; skills are kept elsewhere."""
        return room in (
            *(memory.entry.room for _, memory in self._memories.values()),
            *(task.order.room for task in self._tasks.values()),
            *(offer.order.room for offer in self._offers.values()),
        )

    async def put_room(self, room: RoomRecord) -> None:
        """Remember a joined room."""
        self._rooms[room.name] = room

    async def delete_room(self, name: RoomName) -> None:
        """Forget a room."""
        self._rooms.pop(name, None)

    def rooms(self) -> tuple[RoomRecord, ...]:
        """Return the joined rooms, by name."""
        return tuple(self._rooms[name] for name in sorted(self._rooms, key=str.encode))

    async def put_presence(self, presence: PresenceRecord) -> None:
        """Remember a member's latest presence."""
        self._presences[presence.room_id, presence.endpoint] = presence

    def presences(self, room_id: RoomId) -> tuple[PresenceRecord, ...]:
        """Return the latest presence of each member, by endpoint."""
        return tuple(p for (of, _), p in sorted(self._presences.items()) if of == room_id)

    def get_presence(self, room_id: RoomId, endpoint: EndpointId) -> PresenceRecord | None:
        """Return a member's latest presence."""
        return self._presences.get((room_id, endpoint))

    async def delete_presence(self, room_id: RoomId, endpoint: EndpointId) -> None:
        """Forget a member of a room, and the mark of its newest word on whether it is here."""
        self._presences.pop((room_id, endpoint), None)
        self._watermarks.pop(presence_mark(room_id, endpoint), None)

    async def delete_presences(self, room_id: RoomId) -> None:
        """Forget the members of a room."""
        self._presences = {key: p for key, p in self._presences.items() if key[0] != room_id}

    async def put_task(self, task: TaskRecord) -> None:
        """Keep a task that this node asked for."""
        self._tasks[task.order.id] = task

    def get_task(self, id: TaskId) -> TaskRecord | None:
        """Return the task with this id, if this node asked for one."""
        return self._tasks.get(id)

    async def tasks(self) -> tuple[TaskRecord, ...]:
        """Return the tasks that this node asked for, by id."""
        return tuple(self._tasks[id] for id in sorted(self._tasks))

    async def delete_task(self, id: TaskId) -> None:
        """Forget a task that this node asked for."""
        self._tasks.pop(id, None)

    async def put_offer(self, offer: OfferRecord) -> None:
        """Keep a task that this node was asked to do."""
        self._offers[offer.order.id] = offer

    def get_offer(self, id: TaskId) -> OfferRecord | None:
        """Return the task with this id, if this node was asked to do one."""
        return self._offers.get(id)

    async def offers(self) -> tuple[OfferRecord, ...]:
        """Return the tasks that this node was asked to do, by id."""
        return tuple(self._offers[id] for id in sorted(self._offers))

    async def delete_offer(self, id: TaskId) -> None:
        """Forget a task that this node was asked to do."""
        self._offers.pop(id, None)

    async def put_binding(self, record: BindingRecord) -> None:
        """Remember who vouches for an endpoint, in place of who did."""
        self._bindings[record.endpoint] = record

    async def delete_binding(self, endpoint: EndpointId) -> None:
        """Forget who vouches for an endpoint."""
        self._bindings.pop(endpoint, None)

    def bindings(self) -> tuple[BindingRecord, ...]:
        """Return who vouches for each endpoint, by endpoint."""
        return tuple(record for _, record in sorted(self._bindings.items()))

    async def put_revocation(self, revocation: Revocation) -> None:
        """Remember that an identity is revoked, in place of since when it was."""
        self._revocations[revocation.label] = revocation

    def revocations(self) -> tuple[Revocation, ...]:
        """Return the revoked identities, by label."""
        return tuple(revocation for _, revocation in sorted(self._revocations.items()))

    async def delete_revocation(self, label: str) -> None:
        """Forget that an identity is revoked, if it is."""
        self._revocations.pop(label, None)

    def watermark(self, name: bytes) -> int:
        """Return the highest value that this name was raised to; 0 if never."""
        return self._watermarks.get(name, 0)

    def watermarks(self, prefix: bytes) -> tuple[tuple[bytes, int], ...]:
        """Return the marks whose names begin so, by name, with their values."""
        return tuple(it for it in sorted(self._watermarks.items()) if it[0].startswith(prefix))

    async def forget_watermark(self, name: bytes) -> None:
        """Have no mark of this name; again is fine."""
        self._watermarks.pop(name, None)

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise a mark; it never falls."""
        self._watermarks[name] = max(value, self.watermark(name))
