"""Whom a machine hears in a room: three daemons, two doors to decide it, and one shut out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.support.worlds.machines import Agent, CommandFailed, Machine, agent_on, some_machines
from tests.support.worlds.meeting import ROOM, eventually, meet, names

NOTE = "We use PostgreSQL for the user table"
LIE = "We use SQLite for the user table"
QUESTION = "which database holds the users?"
STEPS = "1. run make check\n2. tag it"
ANN = "ssh:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgHWll+choVbi4Hmd5cwMUyTcbn6vHN1GJQho7FMhXd"
REFUSED = "the policy of this room, here, does not let you in"
LOCKS_OUT = "would lock out this machine's own identity"
IS_LOCKED_OUT = "the policy of this room does not let in this machine's own"


@dataclass(frozen=True, slots=True)
class Trio:
    """Three agents in one room; Alice hears herself and Bob, and not Eve."""

    alice: Machine
    claude: Agent
    codex: Agent
    cursor: Agent
    """Eve's."""
    skill: str
    """The hash of one that Bob published before."""


@asynccontextmanager
async def a_trio(alice: Machine, bob: Machine, eve: Machine) -> AsyncIterator[Trio]:
    async with (
        agent_on(alice) as claude,
        agent_on(bob, "codex") as codex,
        agent_on(eve, "cursor") as cursor,
    ):
        await meet(claude, codex, cursor)
        skill = await codex.call("publish_skill", room=ROOM, title="Release", content=STEPS)
        for other in (claude, cursor):
            await eventually(
                partial(other.call, "search_skills"), lambda it: contents(it) == [STEPS]
            )
        whitelist = ("--identity", await label(alice), "--identity", await label(bob))
        report = await alice.command("policy", "set", ROOM, *whitelist)
        assert [it["name"] for it in report["shut_out"]] == ["eve"]
        yield Trio(alice, claude, codex, cursor, skill["hash"])


@pytest.fixture
def alice() -> Iterator[Machine]:
    with some_machines("alice") as (machine,):
        yield machine.with_environment(BUDDIES_SIGNER="generated")


@pytest.fixture
def bob() -> Iterator[Machine]:
    with some_machines("bob") as (machine,):
        yield machine.with_environment(BUDDIES_SIGNER="generated")


@pytest.fixture
def eve() -> Iterator[Machine]:
    """A machine whose owner no whitelist has, with a key as good as the others'."""
    with some_machines("eve") as (machine,):
        yield machine.with_environment(BUDDIES_SIGNER="generated")


async def label(machine: Machine) -> str:
    """Return whose key vouches for the machine, without the comment."""
    shown: str = (await machine.command("whoami"))["local_identity"]
    return shown.removesuffix(" buddies-generated")


async def dropped(machine: Machine) -> dict[str, int]:
    """Return how much the machine has dropped for its policies."""
    counters = (await machine.command("status"))["counters"]
    return {name: number for name, number in counters.items() if name.endswith("_policy")}


async def has_dropped(machine: Machine, counter: str, at_least: int) -> None:
    await eventually(partial(dropped, machine), lambda it: it.get(counter, 0) >= at_least)


def contents(answer: dict[str, Any]) -> list[str]:
    return [item["content"] for item in answer["results"]]


async def finds(agent: Agent, tool: str, query: str) -> list[str]:
    """Return what a search finds here and at the members that answer."""
    return contents(await agent.call(tool, query=query, room=ROOM))


async def test_what_somebody_says_who_is_not_whitelisted_has_no_effect(
    alice: Machine, bob: Machine, eve: Machine
) -> None:
    async with a_trio(alice, bob, eve.with_environment(BUDDIES_SIGNER="none")) as trio:
        claude, codex, cursor = trio.claude, trio.codex, trio.cursor
        await cursor.call("store_memory", room=ROOM, content=LIE)
        await cursor.call("publish_skill", room=ROOM, title="Release", content="rm -rf /")
        await cursor.call("vote_skill", room=ROOM, hash=trio.skill, score=-1)
        await cursor.call("notify_peers", room=ROOM, text="reading along")
        await has_dropped(alice, "rejected_policy", 4)
        await codex.call("store_memory", room=ROOM, content=NOTE)
        await codex.call("notify_peers", room=ROOM, text="migrating")

        # Bob, who has no policy, takes it all in; Alice drops it, also where Bob hands it on.
        await eventually(
            partial(codex.call, "get_skill", hash=trio.skill), lambda it: it["rank"] == -1
        )
        assert sorted(await finds(codex, "search_memory", QUESTION)) == [NOTE, LIE]
        await eventually(partial(claude.call, "list_memories"), lambda it: contents(it) == [NOTE])
        assert await finds(claude, "search_memory", QUESTION) == [NOTE]
        assert await finds(claude, "search_skills", "release") == [STEPS]
        kept = await claude.call("get_skill", hash=trio.skill)
        assert (kept["rank"], kept["votes"]) == (0, {"up": 0, "down": 0})
        seen = await claude.call("get_room_status", room=ROOM)
        assert {(it["name"], it["last_status"]) for it in seen["peers"]} == {
            ("alice", ""),
            ("bob", "migrating"),
        }


async def test_who_is_not_whitelisted_is_told_so_where_it_asks(
    alice: Machine, bob: Machine, eve: Machine
) -> None:
    async with a_trio(alice, bob, eve) as trio:
        claude, codex, cursor = trio.claude, trio.codex, trio.cursor
        await claude.call("store_memory", room=ROOM, content=NOTE)
        for tool, query in (("search_memory", QUESTION), ("search_skills", "release")):
            found = await eventually(
                partial(cursor.call, tool, query=query, room=ROOM),
                lambda it: [one["name"] for one in it["answered"]] == ["bob"],
            )
            [silent] = found["unanswered"]
            assert silent["name"] == "alice"
            assert REFUSED in silent["reason"]
        ticket = (await alice.command("ticket", ROOM))["ticket"]
        [warning] = (await cursor.call("join_room", room=ROOM, ticket=ticket))["warnings"]
        assert REFUSED in warning
        assert "ask to be whitelisted (buddies-cli whoami shows your identity)" in warning
        before = await dropped(alice)
        assert before["requests_refused_policy"] >= 3

        # Eve's work comes to nobody at Alice's, and none of Alice's goes to Eve.
        await cursor.call("delegate_task", room=ROOM, description="Eve's", wait_secs=0)
        await has_dropped(alice, "requests_refused_policy", before["requests_refused_policy"] + 1)
        with pytest.raises(CommandFailed, match="is called 'eve'; present are: alice, bob"):
            await claude.call("delegate_task", room=ROOM, description="Alice's", peer="eve")
        id = (await claude.call("delegate_task", room=ROOM, description="Alice's", wait_secs=0))[
            "task_id"
        ]
        await eventually(partial(codex.call, "list_rooms"), lambda it: it.get("inbox") == 2)
        # Whom Alice offers it to hears of it at the same time.
        assert (await cursor.call("poll_pending_tasks", wait_secs=2))["count"] == 0
        polled = (await codex.call("poll_pending_tasks", wait_secs=0, limit=2))["tasks"]
        assert sorted(it["description"] for it in polled) == ["Alice's", "Eve's"]
        submitted = await codex.call("submit_task_result", task_id=id, success=True, output="ok")
        assert submitted["verdict"] == "accepted"
        [hers] = (await cursor.call("list_tasks"))["results"]
        assert hers["description"] == "Eve's"
        [only] = (await claude.call("list_tasks"))["results"]
        assert (only["description"], only["state"]) == ("Alice's", "completed")


async def test_a_policy_outlives_a_restart_and_who_is_let_in_later_is_heard_from_then_on(
    alice: Machine, bob: Machine, eve: Machine
) -> None:
    async with a_trio(alice, bob, eve) as trio:
        claude, codex, cursor = trio.claude, trio.codex, trio.cursor
        before = await alice.command("policy", "show", ROOM)
        await alice.kill_daemon()
        assert await alice.command("policy", "show", ROOM) == before
        await eventually(
            partial(claude.call, "get_room_status", room=ROOM),
            lambda it: names(it) == {"alice", "bob"},
        )
        await cursor.call("store_memory", room=ROOM, content=LIE)
        await has_dropped(alice, "rejected_policy", 1)
        await codex.call("store_memory", room=ROOM, content=NOTE)
        await eventually(partial(claude.call, "list_memories"), lambda it: contents(it) == [NOTE])

        report = await alice.command("policy", "add", ROOM, f"{await label(eve)} eve@home")
        assert [it["name"] for it in report["admitted"]] == ["eve"]
        await cursor.call("store_memory", room=ROOM, content="I was let in")
        await eventually(
            partial(claude.call, "list_memories"),
            lambda it: contents(it) == ["I was let in", NOTE],
        )
        await eventually(
            partial(cursor.call, "search_memory", query=QUESTION, room=ROOM),
            lambda it: {one["name"] for one in it["answered"]} == {"alice", "bob"},
        )


async def test_an_agent_decides_the_same_as_a_person(alice: Machine, bob: Machine) -> None:
    own, bobs = await label(alice), await label(bob)
    async with agent_on(alice) as claude, agent_on(bob, "codex") as codex:
        await meet(claude, codex)
        opened = await claude.call("get_identity_policy", room=ROOM)
        assert (opened["identities"], opened["require_signed"]) == ([], False)
        assert opened["local_identity"] == own

        first = await claude.call("add_whitelisted_identity", room=ROOM, identity=f"{own} me@here")
        assert (first["identities"], first["warnings"]) == ([own], [])
        [shut_out] = first["shut_out"]
        assert (shut_out["name"], shut_out["signed_by"], shut_out["present"]) == ("bob", bobs, True)
        assert names(await claude.call("get_room_status", room=ROOM)) == {"alice"}
        second = await claude.call("add_whitelisted_identity", room=ROOM, identity=bobs)
        assert (second["identities"], second["shut_out"]) == ([own, bobs], [])
        assert [it["name"] for it in second["admitted"]] == ["bob"]
        await codex.call("notify_peers", room=ROOM, text="back again")
        await eventually(
            partial(claude.call, "get_room_status", room=ROOM),
            lambda it: names(it) == {"alice", "bob"},
        )

        removed = await claude.call(
            "add_whitelisted_identity", room=ROOM, identity=bobs, remove=True
        )
        assert [it["name"] for it in removed["shut_out"]] == ["bob"]
        signed = await claude.call(
            "set_identity_policy", room=ROOM, identities=[], require_signed=True
        )
        assert [it["name"] for it in signed["admitted"]] == ["bob"]
        shown = await claude.call("get_identity_policy", room=ROOM)
        assert (shown["identities"], shown["require_signed"]) == ([], True)
        assert shown == await alice.command("policy", "show", ROOM)
        await claude.call("set_identity_policy", room=ROOM, identities=[])
        assert await claude.call("get_identity_policy", room=ROOM) == opened

        for wrong in ("ssh:nothing", "gpg:DEADBEEF", "ann", f"{ANN}\nssh-ed25519 AAAA"):
            with pytest.raises(CommandFailed):
                await claude.call("add_whitelisted_identity", room=ROOM, identity=wrong)
        assert await claude.call("get_identity_policy", room=ROOM) == opened


async def test_a_policy_that_locks_its_author_out_asks_first_and_then_warns(alice: Machine) -> None:
    await alice.command("join", ROOM)
    lock_out = ("policy", "add", ROOM, ANN)

    # Without a terminal there is nobody to ask.
    refused = await alice.run(*lock_out)
    assert (refused.code, refused.output) == (1, "")
    assert LOCKS_OUT in refused.errors
    assert "--yes" in refused.errors
    # At one, the person decides.
    declined = await alice.run_at_terminal(*lock_out, types="n\n")
    assert (declined.code, declined.output) == (1, "")
    assert LOCKS_OUT in declined.errors
    assert "Do it all the same? [y/N]" in declined.errors
    assert declined.errors.endswith("error: the policy is unchanged\n")
    assert (await alice.command("policy", "show", ROOM))["identities"] == []
    done = await alice.run_at_terminal(*lock_out, types="y\n")
    assert (done.code, ANN in done.output, IS_LOCKED_OUT in done.errors) == (0, True, True)

    async with agent_on(alice) as claude:
        for answer in (
            await claude.call("join_room", room=ROOM),
            await claude.call("get_room_status", room=ROOM),
            await claude.call("get_identity_policy", room=ROOM),
            await alice.command("status"),
        ):
            [warning] = answer["warnings"]
            assert IS_LOCKED_OUT in warning

        # To open the room by taking the last one off its list is asked about too.
        remove = partial(
            claude.call, "add_whitelisted_identity", room=ROOM, identity=ANN, remove=True
        )
        with pytest.raises(CommandFailed, match=r"the whitelist of room .* is empty.*confirm it"):
            await remove()
        assert (await remove(confirm=True))["warnings"] == []
        lock_out_too = partial(claude.call, "set_identity_policy", room=ROOM, identities=[ANN])
        with pytest.raises(CommandFailed, match=f"{LOCKS_OUT}.*confirm: true"):
            await lock_out_too()
        [warning] = (await lock_out_too(confirm=True))["warnings"]
        assert IS_LOCKED_OUT in warning
    cleared = await alice.command("policy", "clear", ROOM)
    assert (cleared["identities"], cleared["warnings"]) == ([], [])
    shown = await alice.run("policy", "show", ROOM)
    assert "There is no policy: everybody who knows the room's name is heard." in shown.output
    assert await alice.command("policy", "set", ROOM, "--identity", ANN, "--yes")


async def test_a_machine_that_signs_with_no_key_is_told_before_it_wants_signatures(
    alice: Machine,
) -> None:
    machine = alice.with_environment(BUDDIES_SIGNER="none")
    await machine.command("join", ROOM)
    refused = await machine.run("policy", "set", ROOM, "--require-signed")
    assert refused.code == 1
    assert "no key vouches for what this machine says" in refused.errors
    assert "set BUDDIES_SIGNER to give it one" in refused.errors
    assert not (await machine.command("policy", "show", ROOM))["require_signed"]
    done = await machine.run("policy", "set", ROOM, "--require-signed", "--yes")
    assert (done.code, IS_LOCKED_OUT in done.errors) == (0, True)
