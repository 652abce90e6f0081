"""The program `buddies` as a client's MCP config starts it: what it says, and when it ends."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from buddies_mcp.server import TOOLS
from tests.support.eventually import until
from tests.support.processes import alive
from tests.support.worlds.machines import CommandFailed, Machine, agent_on

ROOM = "feature-a"
ANSWERS_WITHIN_S = 60.0
ENDS_WITHIN_S = 30.0
STARTS_WITHIN_S = 60.0
INFO = {"name": "test", "version": "0"}

# Leaves a child that shares its stdin and stdout, and waits for being killed.
PARENT = """\
import subprocess
child = subprocess.Popen(["buddies"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture(params=["on", "off"], ids=["by the host", "by itself"])
def alice(alice: Machine, request: pytest.FixtureRequest) -> Machine:
    """Alice's machine, where the host serves agents, or each agent's own process."""
    return alice.with_environment(BUDDIES_MCP_HOST=request.param)


def is_full(pipe: int) -> bool:
    """Return whether a pipe takes no more for now."""
    return not select.select([], [pipe], [], 0)[1]


def serves_itself(machine: Machine) -> bool:
    return machine.more["BUDDIES_MCP_HOST"] == "off"


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
        line = json.dumps({"jsonrpc": "2.0", "method": method, **message})
        await self.write(line.encode() + b"\n")

    async def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
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
            clientInfo=INFO,
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
        if serves_itself(alice):
            assert b" DEBUG " in log
        else:
            assert (log, " DEBUG " in (alice.data_dir / "host.log").read_text()) == (b"", True)


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
                    "text": "join_room was not called: room is missing;"
                    " there is no argument 'rom'; allowed: room, ticket, private",
                }
            ],
        }


async def test_a_text_with_half_of_an_emoji_is_answered(alice: Machine) -> None:
    async with raw_client(alice) as client:
        await client.initialize()
        joined = await client.ask("tools/call", name="join_room", arguments={"room": "a\ud83d"})
        assert joined["result"]["structuredContent"]["room"] == "a\ufffd"


LINES: tuple[tuple[bytes, object], ...] = (
    (b"hello", (None, -32700)),
    (b'{"jsonrpc":"2.0","id":1,"method":"ping"', (None, -32700)),
    (b"\0\xff\xfe\x80", (None, -32700)),
    (b"[" * 1_000_000, (None, -32700)),
    (b"x" * (17 << 20), (None, -32700)),
    (b"7", (None, -32600)),
    (b"[]", (None, -32600)),
    (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', (None, -32600)),
    (b'{"id":5,"method":"ping"}', (5, -32600)),
    (b'{"jsonrpc":"2.0","id":"p","method":"ping","params":[1]}', ("p", -32600)),
    (b'[{"jsonrpc":"2.0","id":6,"method":"ping"}]', (6, -32600)),
    (b'{"jsonrpc":"2.0","id":7,"method":"\\ud83d"}', (7, -32601)),
    (b'{"jsonrpc":"2.0","id":8,"method":"\xed\xa0\xbd"}', (8, -32601)),
    (
        b'{"jsonrpc":"2.0","id":9,"method":"ping","params":{"a":' + b"[" * 500 + b"]" * 500 + b"}}",
        9,
    ),
    (b'{"jsonrpc":"2.0","id":10,"method":"ping","params":{"a":NaN,"b":1e999}}', 10),
)


async def test_every_line_that_can_be_answered_is_and_none_ends_the_shim(alice: Machine) -> None:
    async with raw_client(alice) as client:
        await client.write(b"\xef\xbb\xbf\n\r\n")
        await client.initialize()
        await client.write(b"\xef\xbb\xbf \r\n")
        for line, said in LINES:
            await client.write(line + b"\r\n")
            answer = await client.line()
            code = answer.get("error", {}).get("code")
            assert said == ((answer["id"], code) if code else answer["id"]), line[:60]
        await client.write(b'{"jsonrpc":"2.0","id":"last","method":"ping"}')
        assert client.process.stdin is not None
        client.process.stdin.close()
        assert (await client.line())["id"] == "last"
        assert await client.ends() == 0


async def test_a_batch_is_answered_by_one_array_under_the_version_that_has_batches(
    alice: Machine,
) -> None:
    async with raw_client(alice) as client:
        await client.initialize("2025-03-26")
        call = {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "list_rooms"}}
        await client.write(json.dumps([call | {"id": 1}, call | {"id": 2}]).encode() + b"\n")
        answers = await client.line()
        assert {answer["id"] for answer in answers} == {1, 2}
        assert {str(it["result"]["structuredContent"]) for it in answers} == {"{'rooms': []}"}


async def test_it_ends_with_its_client_although_nobody_has_read_its_answers(
    alice: Machine,
) -> None:
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": INFO}
    calls = [("initialize", hello), *([("tools/list", {})] * 20)]
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        for id, (method, params) in enumerate(calls)
    ]
    unread, stdout = os.pipe()
    with subprocess.Popen(  # noqa: ASYNC220 - asyncio's would read the pipe
        ["buddies"],
        env=os.environ | alice.environment("raw"),
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdin is not None
            process.stdin.write("\n".join(lines).encode() + b"\n")
            process.stdin.flush()
            await until(lambda: is_full(stdout), STARTS_WITHIN_S)
            process.stdin.close()
            assert process.wait(ENDS_WITHIN_S) == 0
        finally:
            process.kill()
            os.close(unread)
            os.close(stdout)


async def test_arguments_as_clients_send_them_reach_the_daemon_as_they_are_meant(
    alice: Machine,
) -> None:
    async with agent_on(alice) as claude:
        await claude.call("join_room", room=ROOM, private="false")
        kept = await claude.call(
            "store_memory", room=ROOM, content='["a"]', tags='["db","auth"]', references="[]"
        )
        assert (kept["tags"], kept["content"]) == (["db", "auth"], '["a"]')
        found = await claude.call("list_memories", tags='["db"]', limit="5", kind=None)
        assert [memory["id"] for memory in found["results"]] == [kept["id"][:8]]
        page = await claude.call("get_memory", id=kept["id"][:8], offset="1", limit="3")
        assert page["content"] == '"a"'


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
            while alive(shim):  # noqa: ASYNC110 - not our child: nothing tells us
                await asyncio.sleep(0.02)


async def test_it_ends_when_nobody_reads_its_answers_any_more(alice: Machine) -> None:
    async with raw_client(alice) as client:
        await client.initialize()
        transport = client.process._transport  # type: ignore[attr-defined]
        transport.get_pipe_transport(1).close()
        await client.tell("tools/list", id=1)
        assert await client.ends() == 128 + signal.SIGPIPE


async def test_nothing_else_that_is_closed_under_it_ends_it(alice: Machine) -> None:
    async with raw_client(alice, BUDDIES_LOG="debug") as client:
        await client.initialize()
        client.process._transport.get_pipe_transport(2).close()  # type: ignore[attr-defined]
        client.process.send_signal(signal.SIGPIPE)  # As gRPC has it when its last channel closes.
        answer = await client.ask("tools/call", name="list_rooms", arguments={})
        assert answer["result"]["structuredContent"] == {"rooms": []}


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
    ("name", "value"),
    [
        ("BUDDIES_TRANSPORT", "morse"),
        ("BUDDIES_TOOL_TIMEOUT_SECS", "soon"),
        ("BUDDIES_MCP_HOST", "maybe"),
    ],
)
async def test_a_setting_that_can_not_be_kept_is_refused_before_anything_is_served(
    alice: Machine, name: str, value: str
) -> None:
    async with raw_client(alice, **{name: value}) as client:
        assert await client.ends() == 2
