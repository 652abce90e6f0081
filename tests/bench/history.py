"""What it takes to make two histories equal: rounds, bytes, time. Figures; asserts nothing.

Two nodes in this process with stores on disk, 10,000 memories on one side and some of them missing
on the other; what they ask each other is counted as it would be on the wire. Then the comparison
alone, of a million items with a million, on disk as well.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from buddies_core.history.answering import MESSAGE_BYTES_MAX
from buddies_core.history.reconcile import answer, begin, begin_briefly, learn
from buddies_core.memory.copies import received_memory
from buddies_core.model.bodies import MemoryCreated
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import Memory
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from buddies_core.store.database import Changes, Read
from buddies_core.store.items import ITEMS, ItemSet, Kept, item_changes
from buddies_core.store.rocks import RocksStore
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO, an_entry
from tests.support.worlds.history_team import HistoryNode, HistoryTeam
from tests.support.worlds.team import TeamNetwork
from tests.support.worlds.whole_daemon import sealed

MEMORIES = 10_000
MISSING_PERCENT = (0, 1, 50, 100)
MANY = 1_000_000
DIFFERENCES = 100
AT_ONCE = 1000
WORDS = "the user table is in PostgreSQL and its migrations run before each release of the app"


@dataclass
class CountingNetwork(TeamNetwork):
    """Counts what is asked and answered, in bytes."""

    rounds: int = 0
    bytes: dict[str, int] = field(default_factory=dict)

    async def ask(
        self, peer: EndpointId, room: RoomName, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        kind = request.WhichOneof("ask") or ""
        replies = await super().ask(peer, room, request, timeout_s)
        self.rounds += kind == "reconcile"
        size = request.ByteSize() + sum(reply.ByteSize() for reply in replies)
        self.bytes[kind] = self.bytes.get(kind, 0) + size
        return replies


class BenchTeam(HistoryTeam):
    """Nodes whose stores are on disk."""

    def __init__(self, stack: AsyncExitStack, directory: Path) -> None:
        super().__init__()
        self.stack = stack
        self.directory = directory

    async def on_disk(self, name: str) -> HistoryNode:
        store = await self.stack.enter_async_context(RocksStore.open(self.directory / name))

        class Node(HistoryNode):
            def new_store(self) -> InMemoryStore:
                return store  # type: ignore[return-value] # it keeps to the same contract

        node = Node(self, name, (DEMO,))
        node.network = CountingNetwork(node.endpoint, self)
        self.place(node)
        return node


async def memories_of(node: HistoryNode) -> list[Memory]:
    """Return memories that this node might have said, of 300 bytes each."""
    found = []
    for number in range(MEMORIES):
        text = f"{number}: {WORDS} {WORDS} {number}"
        body = MemoryCreated(an_entry(number, author=node.endpoint, content=text))
        proof = sealed(node.key, body, sent_at_ms=1_700_000_000_000 + 1000 * number)
        admitted = await node.rooms.admit(DEMO, proof)
        found.append(received_memory(admitted, node.rooms, 0))
    return found


async def fill(node: HistoryNode, memories: Sequence[Memory]) -> None:
    for start in range(0, len(memories), AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for memory in memories[start : start + AT_ONCE]:
                group.create_task(node.store.put_memory(memory))


async def compare_nodes(directory: Path) -> None:
    say("  missing | rounds | comparing | items, both ways | of a full transfer |      s | CPU s")
    full = 0
    for percent in reversed(MISSING_PERCENT):
        async with AsyncExitStack() as stack:
            team = BenchTeam(stack, directory / str(percent))
            team.directory.mkdir()
            alice, bob = await team.on_disk("alice"), await team.on_disk("bob")
            memories = await memories_of(alice)
            await fill(alice, memories)
            missing = set(Random(1).sample(range(MEMORIES), MEMORIES * percent // 100))
            await fill(bob, [it for number, it in enumerate(memories) if number not in missing])
            began_s, cpu_s = time.perf_counter(), time.process_time()
            await bob.exchange(alice)
            took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
            assert bob.ids() == alice.ids(), f"unequal: {bob.counters} {alice.counters}"
            network = bob.network
            assert isinstance(network, CountingNetwork)
            compared = network.bytes.get("reconcile", 0)
            items = sum(network.bytes.values()) - compared
            full = full or compared + items
            say(
                f"{percent:7} % | {network.rounds:6} | {compared:9,} | {items:16,} |"
                f" {(compared + items) / full:18.1%} | {took_s:6.2f} | {cpu_s:5.2f}"
            )


def put_items(some: Sequence[Kept], read: Read) -> tuple[None, Changes]:
    return None, item_changes(read, new=some)


async def compare_many(directory: Path) -> None:
    """Compare a million items with a million others of which a hundred differ."""
    async with AsyncExitStack() as stack:
        sets: list[ItemSet] = []
        for side in range(2):
            path = directory / f"many {side}"
            store = await stack.enter_async_context(RocksStore.open(path))
            proofs = [b"%d" % number for number in range(MANY - DIFFERENCES // 2)]
            proofs += [b"%d %d" % (side, number) for number in range(DIFFERENCES // 2)]
            for start in range(0, MANY, 10 * AT_ONCE):
                part = proofs[start : start + 10 * AT_ONCE]
                some = [Kept(DEMO, proof, ITEMS, 0) for proof in part]
                await store._database.commit(partial(put_items, some), synced=False)
            sets.append(store.items(DEMO))
        for what in ("first", "again"):
            ours, theirs = sets
            took_s = [0.0, 0.0]

            message: bytes | None = begin(ours, MESSAGE_BYTES_MAX)
            rounds = size = alone = 0
            while message is not None:
                began_s = time.perf_counter()
                reply = answer(theirs, message, MESSAGE_BYTES_MAX)
                took_s[1] += time.perf_counter() - began_s
                began_s = time.perf_counter()
                learned = learn(ours, reply, MESSAGE_BYTES_MAX)
                took_s[0] += time.perf_counter() - began_s
                rounds, size = rounds + 1, size + len(message) + len(reply)
                alone += len(learned.ours_alone) + len(learned.theirs_alone)
                message = learned.reply
            say(
                f"{MANY:,} with {MANY:,}, {alone} differ, {what}: {rounds} rounds, {size:,} bytes,"
                f" {took_s[0]:.2f} s of the asking side, {took_s[1]:.2f} s of the other"
            )
        equal_began_s = time.perf_counter()
        reply = answer(sets[0], begin_briefly(sets[0]), MESSAGE_BYTES_MAX)
        took_ms = (time.perf_counter() - equal_began_s) * 1000
        say(f"{MANY:,} with the same: 1 round, {len(reply)} bytes back, {took_ms:.1f} ms")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        await compare_nodes(Path(directory))
        await compare_many(Path(directory))


if __name__ == "__main__":
    asyncio.run(main())
