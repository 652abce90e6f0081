"""The ends of what one MCP host has to bear: very many agents, none, and clients that die."""

import asyncio
import json
import os
import resource
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

from buddies_core import __version__
from buddies_core.paths import Paths, host_lock_holder
from buddies_mcp.greeting import greeting
from tests.support.eventually import until
from tests.support.processes import alive
from tests.support.worlds.machines import Machine, agent_on

AGENTS = 500
LINE_BYTES_MAX = 1 << 22
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
SHORT_LIVED = """\
import buddies_mcp.host.__main__ as host
host.IDLE_S, host.LOOKS_EVERY_S = 4, 0.05
host.main()
"""
CLIENT = """\
import json, subprocess, sys, time
shim = subprocess.Popen(["buddies"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def say(**message):
    shim.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\\n")
    shim.stdin.flush()
say(id=1, method="initialize", params=json.loads(sys.argv[1]))
shim.stdout.readline()
say(method="notifications/initialized")
say(id=2, method="tools/call", params={"name": "join_room", "arguments": {"room": "r"}})
while b'"id":2' not in shim.stdout.readline().replace(b" ", b""):
    pass
poll = {"name": "poll_pending_tasks", "arguments": {"wait_secs": 45}}
say(id=3, method="tools/call", params=poll)
print(shim.pid, flush=True)
time.sleep(60)
"""


def paths_of(machine: Machine) -> Paths:
    return Paths.from_environment(machine.environment())


async def test_five_hundred_agents_are_served_at_once_and_one_more_is_told_why_not(
    alice: Machine,
) -> None:
    """Each is a session of its own, as by a relay, without 500 processes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    try:
        async with agent_on(alice, "first") as first, AsyncExitStack() as stack:
            await first.call("join_room", room="r")
            agents = [await an_agent(alice, number, stack) for number in range(AGENTS - 1)]

            async with asyncio.TaskGroup() as tasks:
                answers = [tasks.create_task(agent.rooms()) for agent in agents]

            assert [it.result() for it in answers] == [["r"]] * len(agents)
            shown = (await alice.command("daemon", "status"))["agents"]
            assert len({agent["name"] for agent in shown}) == AGENTS
            one_more = await asyncio.open_unix_connection(paths_of(alice).host_socket)
            one_more[1].write(hello_of(alice, AGENTS))
            refused = json.loads(await one_more[0].readline())
            one_more[1].close()
            assert refused["refused"] == "the host serves 500 agents already, which is the limit"
            assert await agents[0].rooms() == ["r"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_host_that_no_agent_has_used_for_a_while_ends_and_the_next_one_starts_another(
    alice: Machine,
) -> None:
    paths = paths_of(alice)
    host = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SHORT_LIVED, env=os.environ | alice.environment()
    )
    try:
        await until(lambda: host_lock_holder(paths) is not None)
        async with agent_on(alice) as claude:
            await claude.call("list_rooms")
            holder = host_lock_holder(paths)
            assert holder is not None
            assert holder.pid == host.pid
            await asyncio.sleep(5)  # longer than it would stay without an agent
            assert host.returncode is None
        async with asyncio.timeout(60):
            assert await host.wait() == 0
    finally:
        if host.returncode is None:
            host.kill()
    assert host_lock_holder(paths) is None
    assert not paths.host_socket.exists()
    async with agent_on(alice) as claude:
        await claude.call("list_rooms")
        assert host_lock_holder(paths) is not None


async def test_a_client_that_is_killed_in_a_call_leaves_neither_relay_nor_agent_behind(
    alice: Machine,
) -> None:
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CLIENT, json.dumps(HELLO)),
        env=os.environ | alice.environment("doomed"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdout is not None
    async with agent_on(alice, "other") as other:
        await other.call("list_rooms")
        relay = int(await client.stdout.readline())
        client.send_signal(signal.SIGKILL)
        await client.wait()

        await until(lambda: not alive(relay))

        async with asyncio.timeout(60):
            while await names_on(alice) != ["other"]:  # noqa: ASYNC110 - asked of the daemon
                await asyncio.sleep(0.05)
        assert await other.call("list_rooms") == {"rooms": ["r"]}


async def names_on(machine: Machine) -> list[str]:
    return [it["name"] for it in (await machine.command("daemon", "status"))["agents"]]


class RawAgent:
    """An agent's end of a session with the host."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._last = 0

    async def ask(self, method: str, params: dict[str, Any]) -> Any:
        self._last += 1
        self.tell(method, params, id=self._last)
        while True:
            said = json.loads(await self._reader.readline())
            if said.get("id") == self._last:
                return said["result"]

    def tell(self, method: str, params: dict[str, Any], **more: Any) -> None:
        line = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        self._writer.write(json.dumps(line).encode() + b"\n")

    async def rooms(self) -> list[str]:
        answer = await self.ask("tools/call", {"name": "list_rooms", "arguments": {}})
        assert not answer.get("isError"), answer
        rooms: list[str] = answer["structuredContent"]["rooms"]
        return rooms


def hello_of(machine: Machine, number: int) -> bytes:
    environ = machine.environment(f"agent-{number}")
    pid = os.getpid()
    return greeting(__version__, environ, str(machine.home), pid, pid, replace=False)


async def an_agent(machine: Machine, number: int, stack: AsyncExitStack) -> RawAgent:
    """Begin a session with the host that runs, as a relay does."""
    reader, writer = await asyncio.open_unix_connection(
        paths_of(machine).host_socket, limit=LINE_BYTES_MAX
    )
    stack.callback(writer.close)
    writer.write(hello_of(machine, number))
    assert "calls" in json.loads(await reader.readline())
    agent = RawAgent(reader, writer)
    await agent.ask("initialize", HELLO)
    agent.tell("notifications/initialized", {})
    return agent
