"""What buddies weighs: the memory of a daemon and of an agent, and how many agents can attach."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path

from buddies_core.client import DaemonClient
from buddies_core.errors import Busy
from buddies_core.paths import Paths, host_lock_holder
from tests.bench.rows import Goal, Row, row
from tests.support.worlds.attacker import memory_mb
from tests.support.worlds.machines import Machine, some_machines
from tests.support.worlds.shims import Shim, shake_hands, shim_on

ROOM = "bench"
AGENTS = 10
ATTACHED_MAX = 500
STORES = (100, 500)
EMBEDDED_WITHIN_S = 300.0
IDLE_S = 615.0
"""The model is dropped ten minutes after its last text."""
TEXT = (
    "a note of some length, which says what was decided and why it was not decided otherwise " * 3
)


async def memory(*, quick: bool) -> list[Row]:
    """Measure a daemon's memory after stores, while it embeds what was stored."""
    rows = []
    with some_machines("alice") as (alice,):
        async with shim_on(alice) as shim:
            await shake_hands(shim)
            await shim.result("join_room", room=ROOM)
            stored = 0
            for count in STORES[:1] if quick else STORES:
                await store(shim, range(stored, count))
                stored = count
                rows.append(
                    row(
                        f"daemon after {count} stores",
                        "Memory of the daemon's own, without pages of files, while it embeds them.",
                        await while_embedding_mb(alice),
                        unit="MB",
                        goal=Goal(median=250, high=300),
                    )
                )
    return rows


async def unused(*, quick: bool) -> list[Row]:
    """Measure what a daemon keeps that has had nothing to do for ten minutes."""
    with some_machines("alice") as (alice,):
        async with shim_on(alice) as shim:
            await shake_hands(shim)
            await shim.result("join_room", room=ROOM)
            await store(shim, range(STORES[0] if quick else STORES[-1]))
            await while_embedding_mb(alice)
            await asyncio.sleep(IDLE_S)
            kept = memory_mb(alice)
    return [
        row(
            "daemon after ten idle minutes",
            "Memory of the daemon's own, without pages of files, once it has dropped the model.",
            [kept],
            unit="MB",
            goal=Goal(median=120),
        )
    ]


async def store(shim: Shim, numbers: Iterable[int]) -> None:
    """Store a memory with each of these numbers."""
    for number in numbers:
        await shim.result("store_memory", room=ROOM, content=f"{number}: {TEXT}")


async def while_embedding_mb(machine: Machine) -> list[float]:
    """Return how much memory a daemon has, several times a second until it has embedded all."""
    samples = [memory_mb(machine)]
    paths = Paths.from_environment(machine.environment())
    async with DaemonClient.connect(paths) as daemon, asyncio.timeout(EMBEDDED_WITHIN_S):
        while "not yet found" in (await daemon.status()).index:
            samples.append(memory_mb(machine))
            await asyncio.sleep(0.2)
    return samples


async def agents(*, quick: bool) -> list[Row]:
    """Measure what agents add to a machine, and how many a daemon takes."""
    with some_machines("alice") as (alice,):
        async with AsyncExitStack() as stack:
            shims: list[Shim] = []
            hosts_mb = []
            for number in range(AGENTS):
                shim = await stack.enter_async_context(shim_on(alice, agent=f"a{number}"))
                await shake_hands(shim)
                await shim.result("list_rooms")
                shims.append(shim)
                hosts_mb.append(private_mb(host_pid(alice)))
            each = [private_mb(it.process.pid) for it in shims]
        attached = await attach(alice, 50 if quick else ATTACHED_MAX)
    return [
        row("agent", "Memory of the relay that an agent's client starts.", each, unit="MB"),
        row(
            "host of 10 agents",
            "Memory of the process that serves all agents of a machine.",
            hosts_mb[-1:],
            unit="MB",
        ),
        row(
            "agents on one daemon",
            "Connections with an attached agent each, until one is refused or there are 500.",
            [attached],
            unit="",
            goal=Goal(median=ATTACHED_MAX, at_least=True),
        ),
    ]


async def attach(machine: Machine, count: int) -> int:
    """Attach so many agents to a machine's daemon at once, and return how many it took."""
    paths = Paths.from_environment(machine.environment())
    async with AsyncExitStack() as stack:
        for number in range(count):
            daemon = await stack.enter_async_context(DaemonClient.connect(paths))
            try:
                await daemon.attach(f"agent {number}", "")
            except Busy:
                return number
    return count


def private_mb(pid: int) -> float:
    """Return the memory that a process shares with no other. Linux alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def host_pid(machine: Machine) -> int:
    """Return the process that serves the machine's agents."""
    holder = host_lock_holder(Paths.from_environment(machine.environment()))
    assert holder is not None, "an agent was served just now"
    return holder.pid
