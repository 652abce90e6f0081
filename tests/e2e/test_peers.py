"""What happens between machines when their owners come, go, crash and write what they like."""

import asyncio
import signal
import time
from dataclasses import replace
from functools import partial
from typing import Any

from buddies_core.model.room import Ticket
from buddies_core.wire.tickets import decode_ticket, encode_ticket
from tests.support.worlds.machines import Agent, Machine, agent_on, some_machines
from tests.support.worlds.meeting import ROOM, all_memories, eventually, names

NOTE = "We're using PostgreSQL for the user table"
QUESTION = "how is the DB set up?"
DIAL_TIMEOUT_S = 8.0
"""What a join would take that waits for a peer who is off."""


def contents(answer: dict[str, Any]) -> list[str]:
    return [memory["content"] for memory in answer["results"]]


def answered(found: dict[str, Any]) -> set[str]:
    return {answer["name"] for answer in found["answered"]}


async def sees(agent: Agent, *users: str, room: str = ROOM) -> dict[str, Any]:
    """Wait until the agent sees exactly these people in the room."""
    status: dict[str, Any] = await eventually(
        partial(agent.call, "get_room_status", room=room),
        lambda status: names(status) == set(users),
    )
    return status


async def is_answered_by(agent: Agent, *users: str) -> None:
    """Wait until the agent's search is answered by exactly these people."""
    await eventually(
        partial(agent.call, "search_memory", query=QUESTION, timeout_secs=2),
        lambda found: answered(found) == set(users) and not found["unanswered"],
    )


async def test_what_one_writes_the_other_reads_character_by_character(
    alice: Machine, bob: Machine
) -> None:
    room = "комната-🐘-غرفة"
    title = "Заголовок \x1b]0;pwned\x07 🐘\u202e"
    content = (
        "one\r\ntwo\tthree\x00nul\x1b[31mred\x7f \u202eright to left\u202c עברית 日本語 👩‍👩‍👧‍👦"
        " e\u0301 \ufeff \U0010ffff \u2028 the end\n  "
    )
    tags = ["тег", "🐘", "a\x00b", "\u202eabc", " spaces "]
    doing = "пишу \x1b[2J 🐘 \u202e\n\x00"
    async with agent_on(alice) as claude, agent_on(bob, "кодекс") as codex:
        ticket = (await claude.call("join_room", room=room))["ticket"]
        await codex.call("join_room", room=room, ticket=ticket)
        kept = await claude.call("store_memory", room=room, title=title, content=content, tags=tags)
        await claude.call("notify_peers", room=room, text=doing)
        listed = await eventually(lambda: codex.call("list_memories"), lambda it: it["results"])
        found = await codex.call("search_memory", query="日本語", tags=["a\x00b"])
        read = await codex.call("get_memory", id=kept["id"])
        for memory in (kept, *listed["results"], *found["results"], read):
            written = (memory["room"], memory["title"], memory["content"], memory["tags"])
            assert written == (room, title, content, tags)
        status = await eventually(
            lambda: codex.call("get_room_status", room=room),
            lambda status: any(peer["last_status"] for peer in status["peers"]),
        )
        shown = {(peer["agent"], peer["last_status"]) for peer in status["peers"]}
        assert shown == {("claude", doing), ("кодекс", "")}
        for words in (("status", room), ("memory", "get", kept["id"]), ("memory", "list")):
            typed = await bob.run(*words)
            assert typed.code == 0
            assert not set("\x00\x07\x1b\x7f\u202e") & set(typed.output), "nothing to obey"

        mebibyte = "".join(chr(0x4E00 + number % 20_000) for number in range((1 << 20) // 3)) + "z"
        large = await claude.call("store_memory", room=room, content=mebibyte)
        typed = await bob.run("memory", "get", large["id"])
        assert typed.output.endswith(f"\n\n{mebibyte}\n")


async def test_hundreds_of_memories_stored_at_once_all_arrive(alice: Machine, bob: Machine) -> None:
    async with agent_on(alice) as claude, agent_on(bob, "codex") as codex:
        ticket = (await claude.call("join_room", room=ROOM))["ticket"]
        await codex.call("join_room", room=ROOM, ticket=ticket)

        async def store(worker: int) -> None:
            for number in range(50):
                content = f"fact {worker}-{number}"
                await claude.call("store_memory", room=ROOM, content=content)

        async with asyncio.TaskGroup() as group:
            for worker in range(10):
                group.create_task(store(worker))
        status = await eventually(
            lambda: bob.command("daemon", "status"), lambda status: status["memories"] == 500
        )
        assert "messages_failed" not in status["counters"]
        listed = await all_memories(codex)
        stored = {f"fact {worker}-{number}" for worker in range(10) for number in range(50)}
        assert {memory["content"] for memory in listed} == stored


async def test_agents_and_machines_leave_and_come_back_while_others_stay(
    alice: Machine, bob: Machine
) -> None:
    async with (
        agent_on(alice, "claude") as claude,
        agent_on(alice, "cursor") as cursor,
        agent_on(bob, "codex") as codex,
    ):
        await claude.call("join_room", room=ROOM)
        ticket = (await cursor.call("join_room", room=ROOM))["ticket"]
        bobs_ticket = (await codex.call("join_room", room=ROOM, ticket=ticket))["ticket"]

        def agents(status: dict[str, Any]) -> set[str]:
            return {peer["agent"] for peer in status["peers"]}

        left = await claude.call("leave_room", room=ROOM)
        assert (left["node_left"], left["still_joined_by"]) == (False, ["cursor"])
        await eventually(
            lambda: codex.call("get_room_status", room=ROOM),
            lambda status: agents(status) == {"cursor", "codex"},
        )
        assert (await cursor.call("leave_room", room=ROOM))["node_left"]
        await sees(codex, "bob")
        await codex.call("store_memory", room=ROOM, content="while alice was away")

        rejoined = await cursor.call("join_room", room=ROOM, ticket=bobs_ticket)
        assert {member["name"] for member in rejoined["members"]} == {"alice", "bob"}
        await sees(codex, "alice", "bob")
        found = await cursor.call("search_memory", query="what happened while alice was away?")
        assert contents(found) == ["while alice was away"]
        await codex.call("store_memory", room=ROOM, content="after alice came back")
        await eventually(
            lambda: cursor.call("list_memories"),
            lambda listed: "after alice came back" in contents(listed),
        )


async def test_a_join_waits_for_no_peer_that_is_off_while_another_lets_it_in(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    await bob.command("join", ROOM, "--ticket", (await alice.command("join", ROOM))["ticket"])
    ticket = decode_ticket((await bob.command("ticket", ROOM))["ticket"])
    assert isinstance(ticket, Ticket)
    bobs, alices = ticket.endpoints
    await alice.kill_daemon()
    dead_first = encode_ticket(replace(ticket, endpoints=(alices, bobs)))
    only_dead = encode_ticket(replace(ticket, endpoints=(alices,)))
    async with agent_on(carol) as cursor:
        await cursor.call("list_rooms")
        for again, given in ((False, dead_first), (True, dead_first), (True, only_dead)):
            began = time.monotonic()
            joined = await cursor.call("join_room", room=ROOM, ticket=given)
            assert time.monotonic() - began < DIAL_TIMEOUT_S
            assert joined["already_joined"] is again
            assert "bob" in {member["name"] for member in joined["members"]}
            assert (
                f"peer {alices.endpoint.hex()[:10]} had not answered yet" in joined["warnings"][0]
            )


async def test_two_agents_that_join_one_room_at_once_by_two_tickets_bring_all_together(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    async with (
        agent_on(alice) as claude,
        agent_on(bob, "codex") as codex,
        agent_on(carol, "cursor") as cursor,
        agent_on(carol, "aider") as aider,
    ):
        tickets = [(await it.call("join_room", room=ROOM))["ticket"] for it in (claude, codex)]
        async with asyncio.TaskGroup() as group:
            for agent, ticket in zip((cursor, aider), tickets, strict=True):
                group.create_task(agent.call("join_room", room=ROOM, ticket=ticket))
        for agent in (claude, codex, cursor):
            status = await sees(agent, "alice", "bob", "carol")
            assert {it["agent"] for it in status["peers"]} == {"claude", "codex", "cursor", "aider"}


async def test_a_late_joiner_finds_three_members_and_what_each_has(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    with some_machines("dan") as (dan,):
        async with (
            agent_on(alice) as claude,
            agent_on(bob, "codex") as codex,
            agent_on(carol, "cursor") as cursor,
            agent_on(dan, "aider") as aider,
        ):
            ticket = (await claude.call("join_room", room=ROOM))["ticket"]
            await codex.call("join_room", room=ROOM, ticket=ticket)
            await codex.call("store_memory", room=ROOM, content=NOTE)
            await cursor.call("join_room", room=ROOM, ticket=ticket)
            await aider.call("list_rooms")
            began = time.monotonic()
            joined = await aider.call("join_room", room=ROOM, ticket=ticket)
            print(f"\njoin as the fourth: {(time.monotonic() - began) * 1000:.0f} ms")  # noqa: T201 - a figure
            assert {it["name"] for it in joined["members"]} == {"alice", "bob", "carol", "dan"}
            found = await aider.call("search_memory", query=QUESTION)
            assert contents(found) == [NOTE]
            assert answered(found) == {"alice", "bob", "carol"}
            for agent in (claude, codex, cursor):
                await sees(agent, "alice", "bob", "carol", "dan")


async def test_people_of_the_same_name_are_told_apart_by_their_endpoints() -> None:
    # A machine's home has the name of its owner.
    with some_machines("sam") as (first,), some_machines("sam") as (second,):
        async with agent_on(first) as claude, agent_on(second) as codex:
            joined = await claude.call("join_room", room=ROOM)
            other = await codex.call("join_room", room=ROOM, ticket=joined["ticket"])
            both = {joined["endpoint_id"], other["endpoint_id"]}
            await claude.call("store_memory", room=ROOM, content="from the first")
            await codex.call("store_memory", room=ROOM, content="from the second")
            listed = await eventually(
                lambda: codex.call("list_memories", author="sam"),
                lambda listed: len(listed["results"]) == 2,
            )
            assert {it["author"] for it in listed["results"]} == {endpoint[:4] for endpoint in both}
            theirs = await codex.call("list_memories", author=joined["endpoint_id"])
            assert contents(theirs) == ["from the first"]
            status = await codex.call("get_room_status", room=ROOM)
            assert {peer["endpoint_id"] for peer in status["peers"]} == both


async def test_a_machine_that_crashes_is_named_as_silent_and_asked_again_as_soon_as_it_is_back(
    alice: Machine, bob: Machine
) -> None:
    async with agent_on(alice) as claude:
        ticket = (await claude.call("join_room", room=ROOM))["ticket"]
        await bob.command("join", ROOM, "--ticket", ticket)
        await sees(claude, "alice", "bob")
        await bob.command("memory", "store", NOTE, "--room", ROOM)
        await is_answered_by(claude, "bob")
        for number in (signal.SIGKILL, signal.SIGTERM):
            await bob.kill_daemon(number)
            found = await claude.call("search_memory", query=QUESTION, timeout_secs=1)
            assert answered(found) == set()
            # One that was stopped has said goodbye.
            silent = [it["name"] for it in found["unanswered"]]
            assert silent == (["bob"] if number is signal.SIGKILL else [])
            assert contents(found) == [NOTE], "its memories have reached us before"
            await bob.command("daemon", "start")
            await is_answered_by(claude, "bob")
            await sees(claude, "alice", "bob")


async def test_after_a_power_cut_all_meet_again_and_nothing_acknowledged_is_lost(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    machines = (alice, bob, carol)
    ticket = (await alice.command("join", ROOM))["ticket"]
    for machine in (bob, carol):
        await machine.command("join", ROOM, "--ticket", ticket)
    for machine in machines:
        words = ("memory", "store", f"{machine.user}'s note", "--room", ROOM)
        await machine.command(*words)
    async with asyncio.TaskGroup() as group:
        for machine in machines:
            group.create_task(machine.kill_daemon())
    async with agent_on(alice) as claude, agent_on(bob) as codex, agent_on(carol) as cursor:
        async with asyncio.TaskGroup() as group:
            for agent in (claude, codex, cursor):
                group.create_task(agent.call("list_rooms"))
        for agent in (claude, codex, cursor):
            await sees(agent, "alice", "bob", "carol")
        await is_answered_by(claude, "bob", "carol")
        found = await claude.call("search_memory", query="whose note is it?")
        assert set(contents(found)) == {"alice's note", "bob's note", "carol's note"}
