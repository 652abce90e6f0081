"""What buddies weighs: the memory of a daemon and of an agent, and how many agents can attach."""

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
TEXT = (
    "a note of some length, which says what was decided and why it was not decided otherwise " * 3
)


async def memory(*, quick: bool) -> list[Row]:
    """Measure a daemon's memory after stores."""
    rows = []
    with some_machines("alice") as (alice,):
        async with shim_on(alice) as shim:
            await shake_hands(shim)
            await shim.result("join_room", room=ROOM)
            stored = 0
            for count in STORES[:1] if quick else STORES:
                for number in range(stored, count):
                    content = f"{number}: {TEXT}"
                    await shim.result("store_memory", room=ROOM, content=content)
                await shim.result("search_memory", query="what was decided")
                stored = count
                rows.append(
                    row(
                        f"daemon after {count} stores",
                        "Memory of the daemon's own, without pages of files.",
                        [memory_mb(alice)],
                        unit="MB",
                        goal=Goal(median=250),
                    )
                )
    return rows


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
