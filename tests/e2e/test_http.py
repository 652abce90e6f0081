"""The MCP server by HTTP: sessions, pushes, and what it refuses."""

import asyncio
import json
import os
import re
import signal
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation

from tests.support.worlds.machines import Agent, Machine, agent_on
from tests.support.worlds.meeting import eventually

ROOM = "feature-a"
STARTS_WITHIN_S = 60.0
SERVING = re.compile(r"serving agents at (http://\S+);")
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "by hand", "version": "0"},
    },
}
ACCEPTS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    process: asyncio.subprocess.Process
    said: list[str]
    """Its lines on stderr up to the one that says where it serves."""

    async def ends(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        async with asyncio.timeout(STARTS_WITHIN_S):
            return await self.process.wait()


async def start(machine: Machine, **more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "buddies",
        env=os.environ | machine.environment() | {"BUDDIES_TRANSPORT": "http"} | more,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def http_on(machine: Machine, **more: str) -> AsyncIterator[Served]:
    process = await start(machine, **{"BUDDIES_PORT": "0"} | more)
    assert process.stderr is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not (found := SERVING.search(line := (await process.stderr.readline()).decode())):
                assert line, said
                said.append(line)
        yield Served(found[1], process, said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def client_of(url: str, name: str, mode: Any = "legacy", **more: Any) -> AsyncIterator[Agent]:
    info = Implementation(name=name, version="0")
    async with Client(url, mode=mode, client_info=info, read_timeout_seconds=30, **more) as client:
        yield Agent(name, client)


async def agents_of(machine: Machine) -> list[str]:
    return sorted(agent["name"] for agent in (await machine.command("status"))["agents"])


async def test_agents_of_both_eras_share_a_room_with_one_by_stdio_under_their_clients_names(
    alice: Machine,
) -> None:
    async with (
        http_on(alice) as served,
        client_of(served.url, "cursor") as cursor,
        client_of(served.url, "zed", "2026-07-28") as zed,
        agent_on(alice, "claude") as claude,
    ):
        for agent in (cursor, zed, claude):
            await agent.call("join_room", room=ROOM)
        kept = await zed.call("store_memory", room=ROOM, content="by HTTP")
        assert (await claude.call("get_memory", id=kept["id"]))["content"] == "by HTTP"
        assert await agents_of(alice) == ["claude", "cursor", "zed"]


async def test_an_agent_goes_when_its_session_is_deleted(alice: Machine) -> None:
    async with http_on(alice) as served:
        async with (
            client_of(served.url, "cursor") as cursor,
            client_of(served.url, "windsurf") as windsurf,
        ):
            await windsurf.call("list_rooms")
            await cursor.call("list_rooms")
            assert await agents_of(alice) == ["cursor", "windsurf"]
        await eventually(lambda: agents_of(alice), lambda agents: not agents)


@pytest.mark.filterwarnings(
    "ignore:resources/subscribe is removed:mcp.shared.exceptions.MCPDeprecationWarning"
)
async def test_a_client_of_either_era_is_told_of_a_task_by_its_open_stream(alice: Machine) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()

    async def hear(message: Any) -> None:
        told.put_nowait(getattr(message, "method", type(message).__name__))

    async with (
        http_on(alice) as served,
        client_of(served.url, "old", message_handler=hear) as old,
        client_of(served.url, "new", "2026-07-28") as new,
        agent_on(alice, "requester") as requester,
    ):
        await old.session.subscribe_resource("buddies://inbox")
        async with new.session.listen(resource_subscriptions=["buddies://inbox"]) as changes:
            for agent in (old, new, requester):
                await agent.call("join_room", room=ROOM)
            await requester.call("delegate_task", room=ROOM, description="d", wait_secs=0)
            async with asyncio.timeout(60):
                assert "buddies://inbox" in str(await anext(aiter(changes)))
                while await told.get() != "notifications/resources/updated":
                    pass


async def test_what_comes_from_elsewhere_or_is_too_large_is_refused(alice: Machine) -> None:
    async with http_on(alice) as served, httpx2.AsyncClient(headers=ACCEPTS) as web:

        async def status(content: bytes = json.dumps(HELLO).encode(), **headers: str) -> int:
            answer = await web.post(served.url, content=content, headers=headers)
            return int(answer.status_code)

        assert await status(host="evil.example") == 421
        assert await status(origin="http://evil.example") == 403
        assert await status(origin="http://localhost:5173") == 200
        assert await status(b"x" * 5_000_000) == 413
        assert await status(b"{") == 400
        assert (await web.get(served.url.replace("/mcp", "/"))).status_code == 404
        assert await status() == 200
        assert await served.ends(signal.SIGTERM) == 0


async def test_where_others_can_reach_it_a_token_is_made_shown_once_and_needed(
    alice: Machine,
) -> None:
    everywhere = {"BUDDIES_HOST": "0.0.0.0"}  # noqa: S104 - in a namespace of loopback alone
    file = alice.data_dir / "http_token"
    async with http_on(alice, **everywhere) as served:
        token = file.read_text().strip()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert any(token in line for line in served.said)
        url = served.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        async with httpx2.AsyncClient(headers=ACCEPTS) as web:
            for headers in ({}, {"authorization": "Bearer wrong"}):
                refused = await web.post(url, json=HELLO, headers=headers)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"] == "Bearer"
        async with (
            httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}) as web,
            client_of(streamable_http_client(url, http_client=web), "far") as far,  # type: ignore[arg-type]
        ):
            assert await far.call("list_rooms") == {"rooms": []}
    async with http_on(alice, **everywhere) as served:
        assert served.said == []
        assert file.read_text().strip() == token


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_in_order_though_a_client_keeps_a_call_and_a_stream_open(
    alice: Machine, number: signal.Signals
) -> None:
    async with http_on(alice) as served, httpx2.AsyncClient(headers=ACCEPTS, timeout=30) as web:
        hello = await web.post(served.url, json=HELLO)
        session = {"mcp-session-id": hello.headers["mcp-session-id"]}
        async with web.stream("GET", served.url, headers=session) as stream:
            assert stream.status_code == 200
            assert await served.ends(number) == 0


async def test_a_setting_that_can_not_be_kept_is_refused_with_what_to_do(alice: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        for more, said in (
            (
                {"BUDDIES_PORT": taken},
                f"can't listen on port {taken} of 127.0.0.1: ",
            ),
            ({"BUDDIES_PORT": "http"}, "BUDDIES_PORT is 'http'; it must be a number"),
            ({"BUDDIES_HOST": "no such host"}, "can't listen on port 0 of no such host"),
            ({"BUDDIES_HTTP_TOKEN": "x"}, "at least 16 ASCII characters"),
        ):
            process = await start(alice, **{"BUDDIES_PORT": "0", **more})
            async with asyncio.timeout(STARTS_WITHIN_S):
                _, errors = await process.communicate()
            assert process.returncode == 2
            assert said in errors.decode()
            assert errors.count(b"\n") == 1
