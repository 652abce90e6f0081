"""The program `buddies` as a client's MCP config starts it: what it says, and when it ends."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from buddies_mcp.server import TOOLS
from tests.support.worlds.machines import CommandFailed, Machine, agent_on

pytestmark = pytest.mark.timeout(60)

ROOM = "feature-a"
ANSWERS_WITHIN_S = 30.0
ENDS_WITHIN_S = 5.0

# Leaves a child that shares its stdin and stdout, and waits for being killed.
PARENT = """\
import subprocess
child = subprocess.Popen(["buddies"])
print(child.pid, flush=True)
child.wait()
"""


@dataclass(frozen=True, slots=True)
class RawClient:
    """A client that writes lines of JSON and reads whatever comes."""

    process: asyncio.subprocess.Process

    async def line(self) -> Any:
        """Return the next line of stdout, which has to be JSON."""
        assert self.process.stdout is not None
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            return json.loads(await self.process.stdout.readline())

    async def tell(self, method: str, **message: Any) -> None:
        assert self.process.stdin is not None
        line = json.dumps({"jsonrpc": "2.0", "method": method, **message})
        self.process.stdin.write(line.encode() + b"\n")
        await self.process.stdin.drain()

    async def ask(self, method: str, **params: Any) -> Any:
        await self.tell(method, id=method, params=params)
        answer = await self.line()
        assert answer["id"] == method
        return answer

    async def initialize(self, version: str = "2025-06-18") -> Any:
        return await self.ask(
            "initialize",
            protocolVersion=version,
            capabilities={},
            clientInfo={"name": "test", "version": "0"},
        )

    async def ends(self) -> int:
        """Wait until it has ended and return its exit code."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            return await self.process.wait()


@asynccontextmanager
async def raw_client(machine: Machine, *command: str, **more: str) -> AsyncIterator[RawClient]:
    process = await asyncio.create_subprocess_exec(
        *(command or ("buddies",)),
        env=os.environ | machine.environment("raw") | more,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield RawClient(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_initialize_and_the_list_of_tools_need_no_daemon(alice: Machine) -> None:
    async with raw_client(alice) as client:
        said = (await client.initialize())["result"]
        assert (said["serverInfo"]["name"], said["protocolVersion"]) == ("buddies", "2025-06-18")
        tools = (await client.ask("tools/list"))["result"]["tools"]
        assert [tool["name"] for tool in tools] == list(TOOLS)
        assert alice.daemon_pid() is None


async def test_the_daemon_is_started_as_soon_as_the_client_is_ready(alice: Machine) -> None:
    async with raw_client(alice) as client:
        await client.initialize()
        await client.tell("notifications/initialized")
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            while alice.daemon_pid() is None:  # noqa: ASYNC110 - across processes
                await asyncio.sleep(0.02)


async def test_stdout_carries_mcp_alone_however_much_is_logged(alice: Machine) -> None:
    async with raw_client(alice, BUDDIES_LOG="debug") as client:
        await client.initialize()
        await client.tell("notifications/initialized")
        answer = await client.ask("tools/call", name="list_rooms", arguments={})
        assert answer["result"]["structuredContent"] == {"rooms": []}
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert await client.ends() == 0
        rest, log = await client.process.communicate()
        assert rest == b""
        assert b" DEBUG " in log


async def test_wrong_calls_are_answered_with_what_to_do(alice: Machine) -> None:
    async with raw_client(alice) as client:
        await client.initialize()
        unknown = await client.ask("tools/call", name="fly")
        assert unknown["error"]["code"] == -32602
        wrong = await client.ask("tools/call", name="join_room", arguments={"rom": "a"})
        assert wrong["result"] == {
            "isError": True,
            "content": [
                {
                    "type": "text",
                    "text": "join_room was not called: room is missing (Name of the room);"
                    " there is no argument 'rom'; allowed: room, ticket, private",
                }
            ],
        }


async def test_a_text_with_half_of_an_emoji_is_answered(alice: Machine) -> None:
    async with raw_client(alice) as client:
        await client.initialize()
        joined = await client.ask("tools/call", name="join_room", arguments={"room": "a\ud83d"})
        assert joined["result"]["structuredContent"]["room"] == "a\ufffd"


@pytest.mark.parametrize("version", ["2024-11-05", "2025-11-25"])
async def test_the_oldest_and_the_newest_version_with_a_handshake_are_spoken(
    alice: Machine, version: str
) -> None:
    async with raw_client(alice) as client:
        assert (await client.initialize(version))["result"]["protocolVersion"] == version


async def test_a_client_that_probes_for_a_later_version_may_still_shake_hands(
    alice: Machine,
) -> None:
    async with raw_client(alice) as client:
        meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
        assert (await client.ask("server/discover", _meta=meta))["error"]["code"] == -32601
        assert "result" in await client.initialize()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_at_once(alice: Machine, number: signal.Signals) -> None:
    async with raw_client(alice) as client:
        await client.initialize()
        client.process.send_signal(number)
        assert await client.ends() == -number


async def test_it_ends_when_its_parent_does_though_stdin_stays_open(alice: Machine) -> None:
    async with raw_client(alice, sys.executable, "-c", PARENT) as client:
        shim = await client.line()
        await client.initialize()
        client.process.kill()
        await client.process.wait()
        async with asyncio.timeout(ENDS_WITHIN_S):
            while _exists(shim):  # noqa: ASYNC110 - not our child: nothing tells us
                await asyncio.sleep(0.02)


async def test_it_ends_when_nobody_reads_its_answers_any_more(alice: Machine) -> None:
    async with raw_client(alice) as client:
        await client.initialize()
        transport = client.process._transport  # type: ignore[attr-defined]
        transport.get_pipe_transport(1).close()
        await client.tell("tools/list", id=1)
        assert await client.ends() == -signal.SIGPIPE


async def test_an_agent_is_attached_as_long_as_its_shim_lives(alice: Machine) -> None:
    async with agent_on(alice, "claude") as claude, agent_on(alice, "codex") as codex:
        await claude.call("join_room", room=ROOM)
        await codex.call("notify_peers", room=ROOM, text="writing tests")
        status = await claude.call("get_room_status", room=ROOM)
        assert {(peer["agent"], peer["last_status"]) for peer in status["peers"]} == {
            ("claude", ""),
            ("codex", "writing tests"),
        }
    async with asyncio.timeout(ENDS_WITHIN_S):
        while (await alice.command("status"))["agents"]:
            pass


async def test_a_client_is_woken_by_each_way_it_knows_when_a_task_waits(alice: Machine) -> None:
    async with raw_client(alice) as client, agent_on(alice, "codex") as codex:
        said = (await client.initialize())["result"]["capabilities"]
        assert said["experimental"] == {"claude/channel": {}}
        assert said["resources"]["subscribe"] is True
        await client.ask("resources/subscribe", uri="buddies://inbox")
        await client.tell("notifications/initialized")
        await codex.call("join_room", room=ROOM)
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            while "raw" not in str(await codex.call("get_room_status", room=ROOM)):
                pass
        task = await codex.call("delegate_task", room=ROOM, description="d", wait_secs=0)
        told: dict[str, Any] = {}
        while len(told) < 3:
            message = await client.line()
            told[message["method"]] = message["params"]
        assert told["notifications/resources/updated"] == {"uri": "buddies://inbox"}
        assert told["notifications/claude/channel"]["meta"] == {
            "task_id": task["task_id"],
            "waiting": "1",
        }
        assert told["notifications/buddies/taskArrived"]["summary"] == "d"


async def test_an_agent_with_another_user_name_keeps_it_on_what_it_does(alice: Machine) -> None:
    async with (
        agent_on(alice, "claude") as claude,
        agent_on(replace(alice, user="anna"), "codex") as codex,
    ):
        await claude.call("join_room", room=ROOM)
        await codex.call("join_room", room=ROOM)
        status = await claude.call("get_room_status", room=ROOM)
        assert {(peer["agent"], peer["user"]) for peer in status["peers"]} == {
            ("claude", "alice"),
            ("codex", "anna"),
        }


async def test_a_killed_daemon_is_replaced_by_the_next_call_and_the_agent_attached_to_it(
    alice: Machine,
) -> None:
    async with agent_on(alice, "claude") as claude:
        await claude.call("join_room", room=ROOM)
        killed = alice.daemon_pid()
        await alice.kill_daemon()
        kept = await claude.call("store_memory", room=ROOM, content="after the crash")
        assert alice.daemon_pid() not in (None, killed)
        assert kept["agent"] == "claude"


async def test_a_data_directory_that_cannot_be_used_is_told_by_every_call(alice: Machine) -> None:
    (alice.home / "data").write_text("in the way")
    async with agent_on(alice) as claude:
        for _ in range(2):
            with pytest.raises(CommandFailed, match="set BUDDIES_DATA_DIR to a directory"):
                await claude.call("list_rooms")


async def test_what_the_daemon_refuses_is_an_error_that_says_what_to_do(alice: Machine) -> None:
    async with agent_on(alice) as claude:
        with pytest.raises(CommandFailed, match="join it first"):
            await claude.call("store_memory", room="elsewhere", content="x")
        with pytest.raises(CommandFailed, match="this ticket can't be read"):
            await claude.call("join_room", room=ROOM, ticket="xyz")
        with pytest.raises(CommandFailed, match="no point in time; allowed"):
            await claude.call("list_memories", since="soon")
        with pytest.raises(CommandFailed, match="is no id"):
            await claude.call("get_memory", id="7")


@pytest.mark.parametrize(
    ("name", "value"), [("BUDDIES_TRANSPORT", "http"), ("BUDDIES_TOOL_TIMEOUT_SECS", "soon")]
)
async def test_a_setting_that_can_not_be_kept_is_refused_before_anything_is_served(
    alice: Machine, name: str, value: str
) -> None:
    async with raw_client(alice, **{name: value}) as client:
        assert await client.ends() == 2


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
