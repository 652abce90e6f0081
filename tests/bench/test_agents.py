"""What an agent costs its machine: the start of its MCP server, memory, and calls a second.

By the host that serves all agents, and by a process of its own (BUDDIES_MCP_HOST=off).
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from buddies_core.paths import Paths, host_lock_holder
from tests.support.worlds.machines import Machine, some_machines
from tests.support.worlds.shims import Shim, shake_hands, shim_on

pytestmark = pytest.mark.timeout(600)

STARTS = 15
AGENTS = (1, 10, 50)
OWN_AGENTS = (1, 10)
"""Fifty of them would take 2.5 GB."""
CALLING = 20
CALLS = 2000
WAYS = pytest.mark.parametrize("way", ["on", "off"], ids=["host", "own process"])


def private_mb(pid: int) -> float:
    """Return the memory that a process shares with no other. Linux alone."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def host_pid(machine: Machine) -> int | None:
    holder = host_lock_holder(Paths.from_environment(machine.environment()))
    return None if holder is None else holder.pid


def report(line: str) -> None:
    print(line)  # noqa: T201 - figures are what this file is for


async def time_ms(work: Callable[[], Awaitable[Any]]) -> float:
    began_s = time.perf_counter()
    await work()
    return (time.perf_counter() - began_s) * 1000


@WAYS
async def test_start(way: str) -> None:
    with some_machines("alice") as (alice,):
        alice = alice.with_environment(BUDDIES_MCP_HOST=way)
        initialized: list[float] = []
        answered: list[float] = []
        for _ in range(STARTS + 1):
            began_s = time.perf_counter()
            async with shim_on(alice) as shim:
                await shake_hands(shim)
                initialized.append((time.perf_counter() - began_s) * 1000)
                await shim.result("list_rooms")
                answered.append((time.perf_counter() - began_s) * 1000)
        for what, times in (("initialize", initialized), ("first result", answered)):
            first, *warm = times
            report(
                f"{way:>3} spawn to {what}: {statistics.median(warm):.0f} ms (least"
                f" {min(warm):.0f}, most {max(warm):.0f}); the first of all {first:.0f} ms"
            )


@WAYS
async def test_memory(way: str) -> None:
    with some_machines("alice") as (alice,):
        alice = alice.with_environment(BUDDIES_MCP_HOST=way)
        async with AsyncExitStack() as stack:
            shims: list[Shim] = []
            for count in AGENTS if way == "on" else OWN_AGENTS:
                while len(shims) < count:
                    shim = await stack.enter_async_context(shim_on(alice, agent=f"a{len(shims)}"))
                    await shake_hands(shim)
                    await shim.result("list_rooms")
                    shims.append(shim)
                each = [private_mb(shim.process.pid) for shim in shims]
                host = host_pid(alice)
                shared = private_mb(host) if host else 0.0
                report(
                    f"{way:>3} {count:2} agents: {sum(each) + shared:.1f} MB in all;"
                    f" {statistics.mean(each):.1f} MB each, the host {shared:.1f} MB"
                )


@WAYS
async def test_calls(way: str) -> None:
    with some_machines("alice") as (alice,):
        alice = alice.with_environment(BUDDIES_MCP_HOST=way)
        async with AsyncExitStack() as stack:
            shims = []
            for number in range(CALLING if way == "on" else CALLING // 4):
                shim = await stack.enter_async_context(shim_on(alice, agent=f"a{number}"))
                await shake_hands(shim)
                await shim.result("list_rooms")
                shims.append(shim)
            times: list[float] = []

            async def call(shim: Shim) -> None:
                mine = [
                    await time_ms(lambda: shim.result("list_rooms"))
                    for _ in range(CALLS // len(shims))
                ]
                times.extend(mine)

            began_s = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                for shim in shims:
                    tasks.create_task(call(shim))
            took_s = time.perf_counter() - began_s
            times.sort()
            report(
                f"{way:>3} {len(shims)} agents: {CALLS / took_s:.0f} calls a second; median"
                f" {statistics.median(times):.1f} ms, 99 of 100 within {times[-20]:.1f} ms"
            )
            one = [await time_ms(lambda: shims[0].result("list_rooms")) for _ in range(200)]
            report(f"{way:>3} one at a time: median {statistics.median(one):.2f} ms")
