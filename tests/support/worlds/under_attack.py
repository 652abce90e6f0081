"""Two machines in a room that a stranger attacks: what that costs them, and what is left of it.

Real daemons and agents. Each attack prints its figures, which docs/security.md shows.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from tests.support.worlds.attacker import Attacker, an_attacker, cpu_s, memory_mb
from tests.support.worlds.machines import Agent, Machine, agent_on, some_machines
from tests.support.worlds.meeting import ROOM, eventually, meet, names

ANSWERS_WITHIN_S = 3.0
"""Calls take milliseconds at rest. A daemon that falls for an attack is silent for minutes."""
GROWS_AT_MOST_MB = 50
QUIET_CPU = 0.15
"""The share of a core that a daemon takes at rest, at most. On a busy machine it was up to 0.09."""

GIVE_BACK = {"MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_MMAP_THRESHOLD_": "65536"}
"""Has glibc return what is freed: what is measured is in use, not kept in case it is needed."""


@dataclass(slots=True)
class Cost:
    """What an attack has cost Alice's machine; known when the attack is over."""

    cpu_s: float = 0.0
    grown_mb: float = 0.0
    longest_wait_s: float = 0.0
    """The longest that Alice's agent waited for an answer."""


@dataclass(slots=True)
class TeamUnderAttack:
    """Alice and Bob with an agent each, in one room."""

    alice: Machine
    bob: Machine
    alices: Agent
    bobs: Agent
    said: list[str] = field(default_factory=list)
    """What Alice's agent has stored while it was attacked."""

    @asynccontextmanager
    async def withstands(
        self, attack: str, *attackers: Attacker, stores: bool = True
    ) -> AsyncIterator[Cost]:
        """Have Alice's agent speak while the block attacks; afterwards all is as before.

        What is stored is indexed, and searches wait for that; without `stores` it notifies alone.
        """
        before_mb, before_cpu_s, began_s = (
            memory_mb(self.alice),
            cpu_s(self.alice),
            time.monotonic(),
        )
        waits_s: list[float] = []
        cost = Cost()
        async with asyncio.TaskGroup() as group:
            talking = group.create_task(self._talk(waits_s, stores=stores))
            yield cost
            talking.cancel()
        cost.cpu_s, took_s = cpu_s(self.alice) - before_cpu_s, time.monotonic() - began_s
        cost.grown_mb, cost.longest_wait_s = memory_mb(self.alice) - before_mb, max(waits_s)
        sent_kb = sum(attacker.sent_bytes for attacker in attackers) / 1000
        print(  # noqa: T201 - figures
            f"\n{attack}: {sent_kb:,.0f} kB sent; in {took_s:.0f} s {cost.cpu_s:.1f} s of a core, "
            f"{cost.grown_mb:+.0f} MB, longest wait {cost.longest_wait_s:.2f} s"
        )
        assert max(waits_s) < ANSWERS_WITHIN_S, sorted(waits_s)[-5:]
        await self.is_as_before(before_mb)

    async def is_as_before(self, before_mb: float) -> None:
        """Return if within a minute nothing of an attack is left: calls are fast, news travels."""
        after = f"after it all {len(self.said)}"
        for agent in (self.alices, self.bobs):
            began_s = time.monotonic()
            await agent.call("notify_peers", room=ROOM, text="all is well")
            await agent.call("store_memory", room=ROOM, content=f"{after} by {agent.name}")
            assert time.monotonic() - began_s < 2 * ANSWERS_WITHIN_S
        # Bob has all that Alice said meanwhile, too.
        await _has(self.bobs, {*self.said[-150:], f"{after} by {self.alices.name}"})
        await _has(self.alices, {f"{after} by {self.bobs.name}"})
        status = partial(self.alice.command, "status")
        await eventually(status, lambda it: it["index"].endswith(" 0 waiting"))
        grown_mb = memory_mb(self.alice) - before_mb
        assert grown_mb < GROWS_AT_MOST_MB, f"{grown_mb:.0f} MB"
        await eventually(partial(self.cpu_share, 2), lambda it: it < QUIET_CPU, 60)

    async def cpu_share(self, for_s: float) -> float:
        """Return the share of a core that Alice's daemon takes from now on for so long."""
        before_s = cpu_s(self.alice)
        await asyncio.sleep(for_s)
        return (cpu_s(self.alice) - before_s) / for_s

    async def meets_again_after_a_power_cut(self) -> float:
        """Kill and start both daemons; return how long it takes until each sees the other."""
        for machine in (self.alice, self.bob):
            await machine.kill_daemon()
        began_s = time.monotonic()
        for agent in (self.alices, self.bobs):
            await agent.call("list_rooms")
        for agent in (self.alices, self.bobs):
            status = partial(agent.call, "get_room_status", room=ROOM)
            await eventually(status, lambda it: names(it) >= {"alice", "bob"}, 60)
        took_s = time.monotonic() - began_s
        await self.warm_up()
        return took_s

    async def warm_up(self) -> None:
        """Have both daemons load the model, and use it until they need no more memory for it.

        That takes 300 MB, and is no attack's doing.
        """
        for agent in (self.alices, self.bobs):
            await agent.call("store_memory", room=ROOM, content="an earlier note")
            await agent.call("search_memory", query="anything")
        had_mb = 0.0
        while memory_mb(self.alice) > had_mb + 1:
            had_mb = memory_mb(self.alice)
            for number in range(20):
                note = f"an earlier note {number}"
                await self.alices.call("store_memory", room=ROOM, content=note)
                await asyncio.sleep(0.05)
            status = partial(self.alice.command, "status")
            await eventually(status, lambda it: it["index"].endswith(" 0 waiting"))

    async def _talk(self, waits_s: list[float], *, stores: bool) -> None:
        for number in count():
            began_s = time.monotonic()
            await self.alices.call("notify_peers", room=ROOM, text=f"at work {number}")
            waits_s.append(time.monotonic() - began_s)
            if stores:
                began_s = time.monotonic()
                await self.alices.call("store_memory", room=ROOM, content=f"note {number}")
                waits_s.append(time.monotonic() - began_s)
                self.said.append(f"note {number}")
            await asyncio.sleep(0.05)


async def _has(agent: Agent, contents: set[str]) -> None:
    """Wait until these are on the disk of the agent's machine."""
    listed = partial(agent.call, "list_memories", room=ROOM, limit=200)
    await eventually(listed, lambda it: {m["content"] for m in it["results"]} >= contents, 60)


@asynccontextmanager
async def a_team(**environment: str) -> AsyncIterator[TeamUnderAttack]:
    """Yield a team whose machines have met; Bob's has this in its environment."""
    with some_machines("alice", "bob") as (alice, bob):
        alice, bob = alice.with_environment(**GIVE_BACK), bob.with_environment(**environment)
        async with agent_on(alice) as alices, agent_on(bob) as bobs:
            await meet(alices, bobs)
            team = TeamUnderAttack(alice, bob, alices, bobs)
            await team.warm_up()
            yield team


@asynccontextmanager
async def attackers_of(machine: Machine, count: int) -> AsyncIterator[tuple[Attacker, ...]]:
    """Yield so many neighbors of a machine in its room."""
    async with AsyncExitStack() as stack:
        yield tuple(
            [
                await stack.enter_async_context(an_attacker(machine, ROOM, 666 + number))
                for number in range(count)
            ]
        )
