"""Agents come, go and outlive the daemon; several doors at once."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2

from buddies_core.client import DaemonClient
from buddies_core.errors import (
    Busy,
    DaemonUnavailable,
    InvalidInput,
    NotAttached,
    StoreError,
    VersionMismatch,
)
from buddies_core.local_protocol import PROTOCOL, grpc_address
from buddies_core.model.bodies import AgentPresence
from buddies_core.paths import Paths
from buddies_core.rpc import server
from tests.support.eventually import until
from tests.support.fakes.node import FakeNode, fake_node
from tests.support.fakes.services import daemon_info
from tests.support.fakes.tasks import TASK_ID


async def test_an_attached_agent_is_shown_to_the_rooms_until_its_client_closes(
    paths: Paths, node: FakeNode
) -> None:
    async with DaemonClient.connect(paths) as client:
        await client.attach("claude", "ann", ("python",))

        [agent] = node.agents.attached()
        assert (agent.name, agent.user, agent.pid) == ("claude", "ann", os.getpid())
        assert node.rooms.agents == {
            agent.id: AgentPresence(name="claude", user="ann", capabilities=("python",))
        }

    await until(lambda: not node.rooms.agents)
    assert node.agents.attached() == ()


@pytest.mark.parametrize("user", ["alice", ""])
async def test_an_agent_of_the_nodes_own_user_needs_no_name_of_its_own(
    user: str, client: DaemonClient, node: FakeNode
) -> None:
    await client.attach("claude", user)

    assert list(node.rooms.agents.values()) == [AgentPresence(name="claude")]


async def test_calls_are_made_in_the_name_of_the_attached_agent(
    client: DaemonClient, node: FakeNode
) -> None:
    await client.attach("claude", "ann")
    [agent] = node.agents.attached()

    await client.join_room("r")
    await client.leave_room("r", for_all=False)
    await client.notify("r", "hello")
    await client.store_memory(room="r", content="x")

    assert node.rooms.calls == [
        ("join", "r", None, agent.id, False),
        ("leave", "r", agent.id, False),
        ("notify", "r", "hello", agent.id),
    ]
    assert node.memories.calls[0][-2:] == ("claude", "ann")


async def test_each_answer_says_how_many_tasks_wait_for_the_attached_agent(
    client: DaemonClient, node: FakeNode
) -> None:
    await client.attach("claude", "")
    before = client.waiting_tasks

    await client.list_rooms()
    assert (before, client.waiting_tasks) == (0, 3)
    node.tasks.claimable = 2
    await client.task_after(str(TASK_ID), 1)
    assert client.waiting_tasks == 2
    assert node.tasks.counted_for == ["claude", "claude"]


async def test_a_person_is_not_told_how_many_tasks_wait(
    client: DaemonClient, node: FakeNode
) -> None:
    await client.list_rooms()

    assert client.waiting_tasks == 0
    assert node.tasks.counted_for == []


@pytest.mark.parametrize("gone", ["its process", "its socket"])
async def test_that_a_daemon_has_ended_is_known_without_asking_it(gone: str, paths: Paths) -> None:
    """The last threads of a killed daemon may keep the socket open for a moment."""
    async with AsyncExitStack() as daemon, AsyncExitStack() as agent:
        process = await daemon.enter_async_context(a_process())
        node = await daemon.enter_async_context(fake_node(paths))
        node.daemon.shown = replace(node.daemon.shown, pid=process.pid)
        client = await agent.enter_async_context(DaemonClient.connect(paths))
        assert not client.is_there  # nobody is attached
        await client.attach("claude", "")
        before = client.is_there

        if gone == "its process":
            process.kill()
            await until(lambda: not client.is_there)
        else:
            await daemon.aclose()
            await until(lambda: not client.is_there)

        assert before


@asynccontextmanager
async def a_process() -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a process that does nothing, until the block ends or it is killed."""
    process = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        process.stdin.close()  # type: ignore[union-attr] # it is a pipe
        await process.wait()


async def test_two_agents_and_a_person_share_a_daemon(paths: Paths, node: FakeNode) -> None:
    async with (
        DaemonClient.connect(paths) as claude,
        DaemonClient.connect(paths) as codex,
        DaemonClient.connect(paths) as person,
    ):
        await claude.attach("claude", "")
        await codex.attach("codex", "")
        async with asyncio.TaskGroup() as group:
            for client in (claude, codex, person):
                group.create_task(client.join_room("r"))
        seen = {call[3] for call in node.rooms.calls}

    assert seen == {None, *(agent for agent in seen if isinstance(agent, UUID))}
    assert len(seen) == 3


async def test_a_handshake_tells_how_many_agents_are_attached(
    client: DaemonClient, paths: Paths
) -> None:
    await client.attach("claude", "")

    async with DaemonClient.connect(paths) as other:
        assert other.agents_attached == 1


async def test_an_agent_is_attached_again_to_the_daemon_that_comes_after(paths: Paths) -> None:
    async with AsyncExitStack() as stack:
        async with fake_node(paths):
            client = await stack.enter_async_context(DaemonClient.connect(paths))
            await client.attach("claude", "ann")

        async with fake_node(paths) as after:
            await until(lambda: bool(after.rooms.agents))

            assert list(after.rooms.agents.values()) == [AgentPresence(name="claude", user="ann")]


async def test_the_first_call_after_a_restart_is_made_in_the_agents_name(paths: Paths) -> None:
    async with AsyncExitStack() as stack:
        async with fake_node(paths):
            client = await stack.enter_async_context(DaemonClient.connect(paths))
            await client.attach("claude", "ann")

        async with fake_node(paths) as after:
            await client.join_room("r")

            [agent] = after.agents.attached()
            assert after.rooms.calls == [("join", "r", None, agent.id, False)]


async def test_a_daemon_that_comes_after_knows_the_rooms_that_the_agent_is_in_and_no_others(
    paths: Paths,
) -> None:
    async with AsyncExitStack() as stack:
        async with fake_node(paths):
            client = await stack.enter_async_context(DaemonClient.connect(paths))
            await client.attach("claude", "ann")
            for room in ("stays", "left", "again"):
                await client.join_room(room)
            for room in ("left", "again"):
                await client.leave_room(room, for_all=False)
            await client.join_room("again")
            await client.join_room("stays")

        async with fake_node(paths) as after:
            await until(lambda: bool(after.rooms.joined_before))

            assert after.rooms.joined_before == [("again", "stays")]


async def test_while_no_daemon_runs_a_call_says_so_soon(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.client.connection.RECONNECT_TIMEOUT_S", 0.1)
    async with AsyncExitStack() as stack:
        async with fake_node(paths):
            client = await stack.enter_async_context(DaemonClient.connect(paths))
            await client.attach("claude", "ann")

        with pytest.raises(DaemonUnavailable, match="buddies-cli daemon start"):
            await client.list_rooms()


async def test_calls_after_an_upgrade_of_the_daemon_are_refused(paths: Paths) -> None:
    async with AsyncExitStack() as stack:
        async with fake_node(paths):
            client = await stack.enter_async_context(DaemonClient.connect(paths))
            await client.attach("claude", "ann")

        async with fake_node(paths, daemon_info(protocol=PROTOCOL + 1)) as after:
            with pytest.raises(VersionMismatch):
                await client.join_room("r")

            assert after.rooms.calls == []


async def test_a_call_that_meets_a_daemon_started_this_moment_is_made_again(
    paths: Paths, node: FakeNode, client: DaemonClient
) -> None:
    await client.attach("claude", "ann")
    [before] = node.agents.attached()
    # As after a restart that the client has not noticed yet.
    client._connection._agent_id = str(UUID(int=1))

    await client.join_room("r")

    assert node.agents.attached()[-1].id != before.id
    assert [call[3] for call in node.rooms.calls] == [node.agents.attached()[-1].id]


async def test_an_agent_that_is_not_attached_can_not_be_named(
    paths: Paths, node: FakeNode, client: DaemonClient
) -> None:
    await client.attach("claude", "ann")
    stale = client._connection._agent_id
    async with DaemonClient.connect(paths) as other:
        other._connection._agent_id = stale[:-1] + ("0" if stale[-1] != "0" else "1")

        with pytest.raises(NotAttached, match="not attached"):
            await other.join_room("r")


@pytest.mark.parametrize(
    ("agent", "user", "capabilities", "text"),
    [
        ("", "", (), "the agent has no name; set BUDDIES_AGENT"),
        ("a" * 65, "", (), "agent 'aaaaaaaaaaaaaaaaaaaa'… is longer than 64 bytes"),
        ("a", "ü" * 33, (), "user .* is longer than 64 bytes"),
        ("a", "", ("c" * 65,), "capability .* is longer than 64 bytes"),
        ("a", "", ("c",) * 17, "at most 16 capabilities"),
    ],
)
async def test_an_agent_that_can_not_be_shown_is_refused(
    agent: str,
    user: str,
    capabilities: tuple[str, ...],
    text: str,
    client: DaemonClient,
    node: FakeNode,
) -> None:
    with pytest.raises(InvalidInput, match=text):
        await client.attach(agent, user, capabilities)

    assert node.agents.attached() == ()


async def test_more_agents_than_a_presence_can_show_are_refused(
    client: DaemonClient, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.rpc.agents.AGENTS_MAX", 0)

    with pytest.raises(Busy, match="end one of them"):
        await client.attach("claude", "")


async def test_the_server_closes_at_once_although_agents_are_attached(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_S", 120.0)
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(60):
            async with fake_node(paths) as node:
                client = await stack.enter_async_context(DaemonClient.connect(paths))
                await client.attach("claude", "ann")

        assert node.rooms.agents == {}
        assert not paths.socket.exists()


async def test_the_health_service_says_serving(paths: Paths, node: FakeNode) -> None:
    async with grpc.aio.insecure_channel(grpc_address(paths.socket)) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        reply = await check(health_pb2.HealthCheckRequest(), timeout=5)

    assert reply.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("name", ["a b", "50%20", "#1", "q?u", "ünï", "a:b"])
async def test_any_directory_may_hold_the_socket(tmp_path: Path, name: str) -> None:
    paths = Paths(tmp_path / name, tmp_path / name / "run")
    async with fake_node(paths), DaemonClient.connect(paths) as client:
        assert paths.socket.exists()
        assert client.info == daemon_info()


async def test_a_socket_that_can_not_be_made_is_a_clear_error(tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / "run")
    paths.socket.mkdir(parents=True)

    with pytest.raises(StoreError, match=r"can't listen at .*; make .*run a directory that"):
        async with fake_node(paths):
            pass
