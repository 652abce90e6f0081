"""One process serves the agents of a machine: who starts it, and what its end costs them."""

import asyncio
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from buddies_core.paths import Paths, host_lock_holder
from buddies_mcp.conversation import LOST
from tests.support.processes import descendants_of, foster_parent, parent_of
from tests.support.worlds.machines import Machine
from tests.support.worlds.meeting import eventually
from tests.support.worlds.shims import Shim, shake_hands, shim_on

ROOM = "feature-a"
AGENTS = 20
WAITING = {"wait_secs": 30}

NEWER = """\
import buddies_core
buddies_core.__version__ = "999.0"
from buddies_mcp.__main__ import main
main()
"""
NOBODY = """\
import os
os.getuid = lambda: 4_000_000
from buddies_mcp.__main__ import main
main()
"""


def paths_of(machine: Machine) -> Paths:
    return Paths.from_environment(machine.environment())


def host_pid(machine: Machine) -> int | None:
    holder = host_lock_holder(paths_of(machine))
    return None if holder is None else holder.pid


@asynccontextmanager
async def agents_on(machine: Machine, count: int) -> AsyncIterator[list[Shim]]:
    """Start so many shims at once, and shake hands with each."""
    async with AsyncExitStack() as stack:
        shims = [
            await stack.enter_async_context(shim_on(machine, agent=f"agent-{number}"))
            for number in range(count)
        ]
        async with asyncio.TaskGroup() as tasks:
            for shim in shims:
                tasks.create_task(shake_hands(shim))
        yield shims


async def text_of(shim: Shim, tool: str, **arguments: Any) -> str:
    """Return what a tool answers as text, also if it is an error."""
    [part] = (await shim.answer(shim.call(tool, arguments)))["content"]
    return str(part["text"])


async def kill_host(machine: Machine, number: signal.Signals = signal.SIGKILL) -> int:
    """Send the host a signal, wait until it has gone, and return the pid that it had."""
    pid = host_pid(machine)
    assert pid, "a host runs"
    os.kill(pid, number)
    async with asyncio.timeout(60):
        while host_pid(machine) == pid:  # noqa: ASYNC110 - not our child: nothing tells us
            await asyncio.sleep(0.01)
    return pid


async def test_each_agent_is_shown_with_the_process_that_its_client_started(
    alice: Machine,
) -> None:
    async with agents_on(alice, 2) as shims:
        for shim in shims:
            await text_of(shim, "list_rooms")
        shown = (await alice.command("daemon", "status"))["agents"]
        pids = {agent["name"]: agent["pid"] for agent in shown}
        assert pids == {f"agent-{n}": shim.process.pid for n, shim in enumerate(shims)}
        assert host_pid(alice) not in pids.values()


async def test_twenty_relays_at_once_start_one_host_that_outlives_them_as_a_child_of_init(
    alice: Machine,
) -> None:
    async with agents_on(alice, AGENTS) as shims:
        pid = host_pid(alice)
        assert pid is not None
        assert [descendants_of(shim.process.pid) for shim in shims] == [[]] * AGENTS
        assert parent_of(pid) == foster_parent()
        assert os.getsid(pid) not in (os.getsid(0), *(os.getsid(it.process.pid) for it in shims))
        assert await shims[0].result("list_rooms") == {"rooms": []}
        listed = (await alice.command("status"))["agents"]
        assert {agent["name"] for agent in listed} <= {f"agent-{n}" for n in range(AGENTS)}
    assert host_pid(alice) == pid
    async with agents_on(alice, 1) as [shim]:
        await shim.is_well()
        assert host_pid(alice) == pid


async def test_a_host_that_is_killed_costs_none_of_twenty_agents_its_session(
    alice: Machine,
) -> None:
    async with agents_on(alice, AGENTS) as shims:
        await shims[0].result("join_room", room=ROOM)
        for shim in shims:
            await shim.is_well()
        waiting = [shim.call("poll_pending_tasks", WAITING) for shim in shims]
        await asyncio.sleep(0.3)  # they wait at the daemon by now, or on the way to it

        killed = await kill_host(alice)

        for shim, number in zip(shims, waiting, strict=True):
            assert await shim.answer(number) == {
                "content": [{"type": "text", "text": LOST}],
                "isError": True,
            }
        for shim in shims:
            assert await shim.result("list_rooms") == {"rooms": [ROOM]}
        assert host_pid(alice) not in (None, killed)
        listed = (await alice.command("status"))["agents"]
        assert sorted(agent["name"] for agent in listed) == sorted(
            f"agent-{number}" for number in range(AGENTS)
        )


async def test_a_client_is_told_of_tasks_as_before_when_its_host_was_killed(
    alice: Machine,
) -> None:
    async with agents_on(alice, 2) as [worker, requester]:
        await worker.answer(worker.ask("resources/subscribe", uri="buddies://inbox"))
        await requester.result("join_room", room=ROOM)
        await worker.is_well()
        await kill_host(alice)
        await requester.is_well()
        await eventually(lambda: alice.command("status"), lambda status: len(status["agents"]) == 2)
        worker.told.clear()
        await requester.result("delegate_task", room=ROOM, description="d", wait_secs=0)
        async with asyncio.timeout(60):
            while "notifications/resources/updated" not in worker.told:
                await worker.hears()


async def test_a_host_that_is_ended_in_order_is_started_again_by_the_next_call_and_not_before(
    alice: Machine,
) -> None:
    async with agents_on(alice, 2) as shims:
        ended = await kill_host(alice, signal.SIGTERM)
        assert (alice.data_dir / "host.lock").read_bytes() == b""
        await asyncio.sleep(1.5)  # longer than a relay's tick
        assert host_pid(alice) is None
        for shim in shims:
            await shim.is_well()
        assert host_pid(alice) not in (None, ended)


async def test_without_a_host_an_agent_is_served_by_its_own_process(alice: Machine) -> None:
    alone = alice.with_environment(BUDDIES_MCP_HOST="off")
    async with shim_on(alone) as shim:
        await shake_hands(shim)
        await shim.is_well()
        assert not (alice.data_dir / "host.lock").exists()


async def test_a_stale_socket_and_the_lock_of_a_host_that_was_killed_are_in_nobodys_way(
    alice: Machine,
) -> None:
    paths = paths_of(alice)
    paths.create()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(paths.host_socket))
    paths.host_lock.write_text(f"1\n{paths.host_socket}\n")
    async with agents_on(alice, 1) as [shim]:
        await shim.is_well()
        assert host_pid(alice) is not None


async def test_another_program_at_the_hosts_place_is_not_taken_for_the_host(
    alice: Machine,
) -> None:
    paths = paths_of(alice)
    paths.create()
    paths.host_lock.write_text(f"1\n{paths.host_socket}\n")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_unix_server(answer, paths.host_socket):
        errors = await stderr_of(alice)
    assert "another program listens there" in errors


async def test_beside_a_host_that_hangs_an_agent_is_served_by_its_own_process(
    alice: Machine,
) -> None:
    async with agents_on(alice, 1) as [shim]:
        await shim.is_well()
        pid = host_pid(alice)
        assert pid
        os.kill(pid, signal.SIGSTOP)
        errors = await stderr_of(alice)
        assert f"process {pid}, did not answer within 5 s" in errors
        os.kill(pid, signal.SIGCONT)
        await shim.is_well()


async def test_a_host_of_another_version_ends_when_the_daemon_is_restarted_and_agents_go_on(
    alice: Machine,
) -> None:
    async with agents_on(alice, 2) as shims:
        await shims[0].is_well()
        first = host_pid(alice)
        assert (await alice.run("daemon", "restart")).code == 0
        assert host_pid(alice) == first, "it is of the same version"
        lock = alice.data_dir / "host.lock"
        pid, place, _version, end = lock.read_text().split("\n")
        lock.write_text(f"{pid}\n{place}\n0.1.9\n{end}")
        assert (await alice.run("daemon", "restart")).code == 0
        assert host_pid(alice) is None
        for shim in shims:
            await shim.is_well()
        assert host_pid(alice) not in (None, first)


async def test_where_no_host_can_listen_the_agent_is_served_all_the_same(alice: Machine) -> None:
    longer = alice.home / ("x" * 100)
    longer.mkdir()
    far = alice.with_environment(XDG_RUNTIME_DIR=str(longer))
    errors = await stderr_of(far)
    assert "bytes long; the system allows about 100" in errors
    assert "no MCP host can serve this agent, so its own process does" in errors


async def test_on_a_full_disk_the_agent_is_served_by_its_own_process(alice: Machine) -> None:
    alice.data_dir.mkdir()
    errors = await stderr_of(
        alice,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert "no MCP host can serve this agent, so its own process does" in errors
    assert "is the disk full?" in errors


async def test_an_agent_without_a_home_is_told_so_by_each_call(alice: Machine) -> None:
    without = {"HOME": "", "BUDDIES_DATA_DIR": "", "XDG_DATA_HOME": ""}
    async with shim_on(alice.with_environment(**without), sys.executable, "-c", NOBODY) as shim:
        await shake_hands(shim)
        for _ in range(2):
            assert "set HOME or BUDDIES_DATA_DIR" in await text_of(shim, "list_rooms")
    assert list(alice.home.iterdir()) == [alice.home / "run"]


async def test_a_host_makes_way_for_a_newer_relay_when_nothing_is_under_way(
    alice: Machine,
) -> None:
    async with agents_on(alice, 2) as [old, busy]:
        await old.is_well()
        await busy.is_well()
        first = host_pid(alice)
        waiting = busy.call("poll_pending_tasks", {"wait_secs": 3})
        await asyncio.sleep(0.2)
        async with shim_on(alice, sys.executable, "-c", NEWER) as newer:
            await shake_hands(newer)
            await newer.is_well()
            assert host_pid(alice) == first, "a call is under way"
            assert (await busy.answer(waiting)).get("isError") is not True
        async with shim_on(alice, sys.executable, "-c", NEWER) as newer:
            await shake_hands(newer)
            await newer.is_well()
            second = host_pid(alice)
            assert second not in (None, first)
            for shim in (old, busy, newer):
                await shim.is_well()
            assert host_pid(alice) == second


async def test_relays_that_never_say_who_they_are_keep_nobody_out_for_long(
    alice: Machine,
) -> None:
    async with agents_on(alice, 1) as [shim], AsyncExitStack() as stack:
        for _ in range(200):
            silent = stack.enter_context(socket.socket(socket.AF_UNIX))
            silent.connect(str(paths_of(alice).host_socket))
        await shim.is_well()
        pid = host_pid(alice)
        async with agents_on(alice, 1) as [late]:
            await late.is_well()
            assert host_pid(alice) == pid


async def test_a_flood_of_one_agent_does_not_hold_up_another(alice: Machine) -> None:
    async with agents_on(alice, 2) as [flooding, other]:
        await other.is_well()
        stdin = flooding.process.stdin
        assert stdin is not None
        call = {"name": "list_rooms", "arguments": {}}
        lines = b"".join(
            json.dumps({"jsonrpc": "2.0", "id": f"f{n}", "method": "tools/call", "params": call})
            .encode() + b"\n"
            for n in range(1000)
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        slowest_s = 0.0
        async with asyncio.TaskGroup() as tasks:

            async def flood() -> None:
                while True:
                    stdin.write(lines)
                    await stdin.drain()

            flooder = tasks.create_task(flood())
            for _ in range(20):
                began_s = loop.time()
                await other.is_well()
                slowest_s = max(slowest_s, loop.time() - began_s)
            flooder.cancel()
        assert slowest_s < 20


async def stderr_of(machine: Machine, **more: Any) -> str:
    """Start an agent, have it list the tools, and return what it complains of."""
    process = await asyncio.create_subprocess_exec(
        "buddies",
        env=os.environ | machine.environment("raw"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
        **more,
    )
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"},
    }
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        for id, (method, params) in enumerate([("initialize", hello), ("tools/list", {})])
    ]
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(f"{line}\n" for line in lines).encode())
    try:
        async with asyncio.timeout(60):
            answers = [json.loads(await process.stdout.readline()) for _ in lines]
            assert ["result" in answer for answer in answers] == [True, True]
            process.stdin.close()
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    return errors.decode()
