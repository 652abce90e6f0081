"""A whole daemon with more than one answer can take, asked by tools as an agent asks."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mcp_types as mcp
import pytest

from buddies_core.client import DaemonClient
from buddies_core.model.budget import ANSWER_COST_MAX, answer_cost
from buddies_mcp.link import DaemonLink
from buddies_mcp.server import call_tool
from tests.support.callers import a_call
from tests.support.worlds.meeting import eventually
from tests.support.worlds.whole_daemon import a_whole_daemon

ROOM = "demo"
MIB = 1 << 20


class ReadingAgent:
    """An agent with a daemon of its own, in the room."""

    def __init__(self, link: DaemonLink, daemon: DaemonClient) -> None:
        self._link = link
        self.daemon = daemon
        self.costs: dict[str, int] = {}

    async def call(self, name: str, **given: object) -> dict[str, Any]:
        """Return what a tool answers, after measuring it."""
        result = await call_tool(self._link, name, given, a_call(5))
        [part] = result.content
        assert isinstance(part, mcp.TextContent)
        assert not result.is_error, part.text
        cost = answer_cost(part.text)
        self.costs[name] = max(cost, self.costs.get(name, 0))
        assert cost <= ANSWER_COST_MAX
        shown: dict[str, Any] | None = result.structured_content
        assert shown is not None
        assert "shortened" not in shown, "the daemon cuts, not the last guard"
        return shown

    async def all_of(self, name: str, **given: object) -> list[dict[str, Any]]:
        """Return the items of a list from all of its answers."""
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self.call(name, **given, cursor=cursor)
            items += page["results"]
            if page["next_cursor"] is None:
                return items
            cursor = page["next_cursor"]

    async def read(self, name: str, key: str, **given: object) -> str:
        """Return a text from all of its pages."""
        text, offset = "", 0
        while True:
            page = await self.call(name, **given, offset=offset)
            text += str(page[key])
            if page["next_offset"] is None:
                return text
            offset = page["next_offset"]


@asynccontextmanager
async def an_agent() -> AsyncIterator[ReadingAgent]:
    environ: Mapping[str, str] = {"BUDDIES_SIGNER": "none"}
    with TemporaryDirectory(prefix="b") as home:
        async with a_whole_daemon(Path(home), environ) as whole:
            await whole.client.attach("claude", "")
            await whole.client.join_room(ROOM)

            @asynccontextmanager
            async def connect() -> AsyncIterator[DaemonClient]:
                yield whole.client

            async with DaemonLink.open(connect) as link:
                yield ReadingAgent(link, whole.client)


@pytest.mark.parametrize("char", ["x", "字", '"', "\x01"])
async def test_memories_and_skills_of_every_length_are_listed_found_and_read(char: str) -> None:
    tags = [f"{number}{char * 15}" for number in range(32)]
    async with an_agent() as agent:
        for number in range(60):
            text = f"{number} about the table {char * 1200}"
            await agent.daemon.store_memory(
                room=ROOM,
                content=text,
                title=char * 120,
                tags=tags,
            )
        long = "".join(f"{number} {char * 60}\n" for number in range(3000))
        stored = await agent.call("store_memory", room=ROOM, content=long)
        skill = await agent.call("publish_skill", room=ROOM, title="Release", content=long)

        listed = await agent.all_of("list_memories", limit=100)
        assert [it["content"].split(" ")[0] for it in listed] == [
            "0", *(str(number) for number in reversed(range(60))),
        ]  # fmt: skip
        await eventually(agent.daemon.status, lambda it: " 0 waiting" in it.index)
        found = await agent.call("search_memory", query="the table", limit=100)
        assert len(found["results"]) + found["left_out"] >= 60
        assert await agent.read("get_memory", "content", id=stored["id"]) == long
        assert await agent.read("get_skill", "content", hash=skill["hash"], limit=40_000) == long
        assert (await agent.daemon.whole_skill(skill["hash"])).skill.content == long
        assert (await agent.daemon.whole_memory(stored["id"])).memory.content == long


async def test_the_tasks_whose_outputs_did_not_fit_one_message_are_listed_and_read() -> None:
    outputs = {}
    async with an_agent() as agent, worker(agent) as bob:
        for number in range(17):
            description = f"{number} " + "d" * 60_000
            task = await agent.call(
                "delegate_task", room=ROOM, description=description, wait_secs=0
            )
            [claimed] = await bob.poll_tasks(timeout_s=30)
            whole = await bob.with_whole_description(claimed)
            assert whole.description == description
            outputs[task["task_id"]] = output = f"{number}".ljust(MIB, "o")
            await bob.submit_task_result(task["task_id"], success=number % 2 == 0, output=output)

        listed = await agent.all_of("list_tasks", limit=5)
        assert [it["task_id"] for it in listed] == list(outputs)[::-1]
        assert all(it["truncated"] for it in listed)
        for number, (id, output) in enumerate(outputs.items()):
            key = "error" if number % 2 else "output"
            assert await agent.read("wait_task", key, task_id=id) == output


@asynccontextmanager
async def worker(agent: ReadingAgent) -> AsyncIterator[DaemonClient]:
    async with DaemonClient.connect(agent.daemon._connection._paths) as client:
        await client.attach("codex", "")
        await client.join_room(ROOM)
        yield client


async def test_a_list_of_tasks_goes_on_where_it_ended_although_others_came() -> None:
    async with an_agent() as agent:
        tasks = [
            await agent.call("delegate_task", room=ROOM, description=f"{number}", wait_secs=0)
            for number in range(5)
        ]
        first = await agent.call("list_tasks", limit=2)
        await agent.call("delegate_task", room=ROOM, description="new", wait_secs=0)
        rest = await agent.call("list_tasks", limit=9, cursor=first["next_cursor"])

        seen = [it["task_id"] for it in (*first["results"], *rest["results"])]
        assert seen == [task["task_id"] for task in tasks[::-1]]
