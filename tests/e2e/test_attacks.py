"""What a stranger who knows an open room's name can do to the machines in it: real daemons."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from uuid import uuid4

import pytest

from buddies_core.model.bodies import SearchFilters, SearchRequest
from buddies_core.model.ids import RequestId
from tests.support.worlds.attacker import an_attacker, cpu_s, memory_mb
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
    async def goes_on_talking(self) -> AsyncIterator[None]:
        """Have Alice's agent store and notify for as long as the block runs."""
        began_mb = memory_mb(self.alice)
        async with asyncio.TaskGroup() as group:
            talking = group.create_task(self._talk())
            yield
            talking.cancel()
        assert max(self.waits_s) < ANSWERS_WITHIN_S, sorted(self.waits_s)[-5:]
        assert memory_mb(self.alice) - began_mb < GROWS_AT_MOST_MB

    async def _talk(self) -> None:
        for number in count():
            began_s = time.monotonic()
            await self.alices.call("notify_peers", room=ROOM, text=f"at work {number}")
            self.waits_s.append(time.monotonic() - began_s)
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
