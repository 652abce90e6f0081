"""Memories that are deleted, superseded and forgotten, between real daemons."""

from functools import partial
from typing import Any

import pytest

from tests.support.worlds.machines import Agent, CommandFailed, Machine, agent_on
from tests.support.worlds.meeting import eventually

ROOM = "feature-a"
NOTE = "We're using PostgreSQL for the user table"


def contents(answer: dict[str, Any]) -> set[str]:
    return {memory["content"] for memory in answer["results"]}


async def lists(agent: Agent, *wanted: str) -> None:
    """Wait until the agent's list has just these contents."""
    await eventually(
        partial(agent.call, "list_memories", room=ROOM),
        lambda answer: contents(answer) == set(wanted),
    )


async def test_what_one_deletes_is_gone_at_the_other_and_stays_gone(
    alice: Machine, bob: Machine
) -> None:
    async with agent_on(alice) as claude, agent_on(bob) as codex:
        ticket = (await claude.call("join_room", room=ROOM))["ticket"]
        await codex.call("join_room", room=ROOM, ticket=ticket)
        stored = await claude.call("store_memory", room=ROOM, content=NOTE)
        await lists(codex, NOTE)
        with pytest.raises(CommandFailed, match="only its author can delete it"):
            await codex.call("delete_memory", id=stored["id"])

        await claude.call("delete_memory", id=stored["id"], reason="it is MySQL now")
        await lists(claude)
        await lists(codex)
        with pytest.raises(CommandFailed, match=r"was deleted by alice .* it is MySQL now"):
            await codex.call("get_memory", id=stored["id"])
        for machine in (alice, bob):
            await machine.command("daemon", "restart")
        for agent in (claude, codex):
            await lists(agent)
            found = await agent.call("search_memory", query="which DB for users?")
            assert found["results"] == []


async def test_a_machine_that_was_away_erases_its_copy_when_it_comes_back(
    alice: Machine, bob: Machine
) -> None:
    async with agent_on(alice) as claude, agent_on(bob) as codex:
        ticket = (await claude.call("join_room", room=ROOM))["ticket"]
        await codex.call("join_room", room=ROOM, ticket=ticket)
        stored = await claude.call("store_memory", room=ROOM, content=NOTE)
        await lists(codex, NOTE)
        await bob.command("daemon", "stop")
        await claude.call("delete_memory", id=stored["id"])
        await bob.command("daemon", "start")
        await lists(codex)
        await lists(claude)


async def test_a_correction_takes_the_old_one_s_place_and_forgetting_is_one_s_own(
    alice: Machine, bob: Machine
) -> None:
    async with agent_on(alice) as claude, agent_on(bob) as codex:
        ticket = (await claude.call("join_room", room=ROOM))["ticket"]
        await codex.call("join_room", room=ROOM, ticket=ticket)
        old = await claude.call("store_memory", room=ROOM, content=NOTE)
        new = await claude.call("store_memory", room=ROOM, content="MySQL", supersedes=old["id"])
        await lists(codex, "MySQL")
        both = await codex.call("list_memories", room=ROOM, include_superseded=True)
        assert contents(both) == {NOTE, "MySQL"}
        read = await codex.call("get_memory", id=old["id"])
        assert [it["id"] for it in read["links"]["superseded_by"]] == [new["id"]]

        await codex.call("forget_memory", id=new["id"])
        await lists(codex, NOTE)
        await lists(claude, "MySQL")
        await bob.command("memory", "forget", new["id"], "--undo")
        await lists(codex, "MySQL")
        deleted = await alice.command("memory", "delete", old["id"])
        assert deleted == {"id": old["id"], "room": ROOM, "title": NOTE}
