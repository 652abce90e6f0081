"""What a stranger who knows an open room's name can do to the machines in it: real daemons."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from secrets import token_bytes
from uuid import uuid4

import pytest

from buddies_core.identity.node_key import NodeKey
from buddies_core.model.bodies import (
    MemoryCreated,
    SearchFilters,
    SearchRequest,
    SkillPublished,
    SkillVoteCast,
)
from buddies_core.model.ids import RequestId, RoomName
from buddies_core.model.memory import Whole
from buddies_core.pb.peer_pb2 import Found, PeerReply, SearchReply
from tests.support.memories import an_entry
from tests.support.skills import a_skill_entry
from tests.support.worlds.attacker import Attacker, an_attacker, cpu_s, memory_mb
from tests.support.worlds.machines import Agent, Machine, agent_on, some_machines
from tests.support.worlds.meeting import ROOM, eventually, meet
from tests.support.worlds.whole_daemon import unsigned

pytestmark = pytest.mark.timeout(120)

ANSWERS_WITHIN_S = 1.0
GROWS_AT_MOST_MB = 50
FLOOD_CPU_S = 6.0
READ_AT_MOST = 200


@dataclass(slots=True)
class Team:
    """Alice and Bob, who share a room that the attacker knows and another one that it does not."""

    alice: Machine
    bob: Machine
    alices: Agent
    bobs: Agent
    waits_s: list[float] = field(default_factory=list)
    """How long Alice's agent waited for what it said during the attack."""
    said: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def goes_on_talking(self, *, stores: bool = True) -> AsyncIterator[None]:
        """Have Alice's agent notify, and store, for as long as the block runs.

        What is stored is indexed, which takes the index some memory of its own, and searches wait
        for that.
        """
        began_mb = memory_mb(self.alice)
        async with asyncio.TaskGroup() as group:
            talking = group.create_task(self._talk(stores=stores))
            yield
            talking.cancel()
        assert max(self.waits_s) < ANSWERS_WITHIN_S, sorted(self.waits_s)[-5:]
        assert memory_mb(self.alice) - began_mb < GROWS_AT_MOST_MB

    async def _talk(self, *, stores: bool) -> None:
        for number in count():
            began_s = time.monotonic()
            await self.alices.call("notify_peers", room=ROOM, text=f"at work {number}")
            self.waits_s.append(time.monotonic() - began_s)
            if stores:
                began_s = time.monotonic()
                await self.alices.call("store_memory", room=ROOM, content=f"note {number}")
                self.waits_s.append(time.monotonic() - began_s)
                self.said.append(f"note {number}")
            await asyncio.sleep(0.05)

    async def bob_has_all(self) -> None:
        """Wait until all that Alice's agent said has reached Bob's disk."""
        listed = partial(self.bobs.call, "list_memories", room=ROOM, limit=200)
        await eventually(
            listed, lambda it: {m["content"] for m in it["results"]} >= set(self.said[-200:])
        )


@asynccontextmanager
async def a_team() -> AsyncIterator[Team]:
    with some_machines("alice", "bob") as (alice, bob):
        async with agent_on(alice) as alices, agent_on(bob) as bobs:
            await meet(alices, bobs)
            # The model takes 230 MB while it reads its first notes; that is no attack's doing.
            for number in range(60):
                await alices.call("store_memory", room=ROOM, content=f"an earlier note {number}")
                await asyncio.sleep(0.05)
            for machine, agent in ((alice, alices), (bob, bobs)):
                await agent.call("search_memory", query="anything")
                status = partial(machine.command, "status")
                await eventually(status, lambda it: it["index"] == "60 memories, 0 waiting")
            yield Team(alice, bob, alices, bobs)


async def test_a_flood_of_unsigned_searches_silences_nobody() -> None:
    async with a_team() as team, an_attacker(team.alice, ROOM) as attacker:
        await team.alices.call("store_memory", room=ROOM, content="the launch is on Friday")
        async with team.goes_on_talking():
            for _ in range(3500):
                request = SearchRequest(RequestId(uuid4()), "launch", SearchFilters())
                await attacker.says(unsigned(request))
            await asyncio.sleep(5)
        await team.bob_has_all()


async def test_a_flood_of_unsigned_searches_costs_a_machine_little() -> None:
    async with a_team() as team, an_attacker(team.alice, ROOM) as attacker:
        for number in range(50):
            await team.alices.call("store_memory", room=ROOM, content=f"the launch is on {number}")
        before_s = cpu_s(team.alice)
        for number in range(3500):
            request = SearchRequest(RequestId(uuid4()), f"launch {number}", SearchFilters())
            await attacker.says(unsigned(request))
        status = partial(team.alice.command, "status")
        # Whatever is over the budget is counted; the rest is answered or waits no longer.
        await eventually(status, lambda it: _refused(it["counters"]) > 3500 - READ_AT_MOST)
        used_s = cpu_s(team.alice) - before_s
        print(f"3,500 unsigned searches: {used_s:.1f} s of a processor")  # noqa: T201 - a figure
        assert used_s < FLOOD_CPU_S


def _refused(counters: dict[str, int]) -> int:
    return sum(n for name, n in counters.items() if name.endswith("_over_budget"))


async def test_four_members_with_the_largest_answers_make_a_searcher_swell_by_little() -> None:
    async with a_team() as team, AsyncExitStack() as stack:
        attackers = [
            await stack.enter_async_context(an_attacker(team.alice, ROOM, 666 + number))
            for number in range(4)
        ]
        for attacker in attackers:
            await attacker.is_a_member()
        await eventually(
            partial(team.alices.call, "get_room_status", room=ROOM),
            lambda it: len(it["peers"]) == 2 + len(attackers),
        )
        async with team.goes_on_talking(stores=False):
            for make_answer in ANSWERS:
                for attacker in attackers:
                    attacker.answers[:] = make_answer(attacker)
                for number in range(5):
                    query = f"what is the launch about? {number}"
                    found = await team.alices.call("search_memory", query=query)
                    theirs = [m for m in found["results"] if m["content"].startswith("launch ")]
                    assert bool(theirs) == (make_answer is memories_without_end)
                    await team.alices.call("search_skills", query=query)


def memories_without_end(attacker: Attacker) -> list[PeerReply]:
    """Return as many memories of 3 KB as go into a reply, each by an author of its own."""
    return [PeerReply(search=SearchReply(found=[a_find(attacker, n) for n in range(75)]))]


def a_find(attacker: Attacker, number: int) -> Found:
    key = NodeKey(token_bytes(32))
    entry = an_entry(number, author=key.endpoint, room=RoomName(ROOM), content="launch " * 430)
    return Found(proof=attacker.signed(MemoryCreated(entry), key), score=1.5)


def empty_finds(_: Attacker) -> list[PeerReply]:
    return [PeerReply(search=SearchReply(found=[Found()] * 1024))]


def one_huge_find(attacker: Attacker) -> list[PeerReply]:
    entry = an_entry(1, author=attacker.key.endpoint, room=RoomName(ROOM), content="🙂" * 62_000)
    return [
        PeerReply(search=SearchReply(found=[Found(proof=attacker.signed(MemoryCreated(entry)))]))
    ]


def votes_without_end(attacker: Attacker) -> list[PeerReply]:
    """Return skills with as many votes as go into four replies."""
    key = NodeKey(token_bytes(32))
    entry = a_skill_entry(author=key.endpoint, room=RoomName(ROOM), title="launch")
    proof = attacker.signed(SkillPublished(entry), key)
    votes = [
        attacker.signed(SkillVoteCast(entry.hash, voter.endpoint.hex(), 1), voter)
        for voter in (NodeKey(token_bytes(32)) for _ in range(900))
    ]
    found = Found(proof=proof, score=1.5, votes=votes)
    return [PeerReply(skills_found=SearchReply(found=[found])) for _ in range(4)]


ANSWERS = (memories_without_end, empty_finds, one_huge_find, votes_without_end)


async def test_a_thousand_contents_that_nobody_has_cost_little() -> None:
    async with a_team() as team, AsyncExitStack() as stack:
        attackers = [
            await stack.enter_async_context(an_attacker(team.alice, ROOM, 666 + number))
            for number in range(4)
        ]
        for attacker in attackers:
            await attacker.is_a_member()
        for number in range(1000):
            attacker, key = attackers[number % 4], NodeKey(token_bytes(32))
            entry = an_entry(number, author=key.endpoint, room=RoomName(ROOM), content="beginning")
            await attacker.says(
                attacker.signed(MemoryCreated(entry), key, Whole(token_bytes(32), 50_000))
            )
        await eventually(
            partial(team.alices.call, "list_memories", room=ROOM, limit=1),
            lambda it: len(it["results"]) == 1,
        )
        await asyncio.sleep(10)
        before_s = cpu_s(team.alice)
        await asyncio.sleep(10)
        # It was 0.31 and stayed so; a quiet daemon on a busy machine takes up to 0.09.
        assert (cpu_s(team.alice) - before_s) / 10 < 0.15

        await team.bobs.call("store_memory", room=ROOM, content="the truth " * 1000)
        await eventually(
            partial(team.alices.call, "list_memories", room=ROOM, author="bob", limit=1),
            lambda it: [m["size"] for m in it["results"]] == [10_000],
        )
