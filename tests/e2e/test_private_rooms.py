"""Rooms that are entered by invite alone: who comes in, who is left out, and what nobody learns."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from buddies_core.clock import SystemClock
from buddies_core.model.ids import RoomName, topic_of
from buddies_core.model.private import Invite
from buddies_core.model.room import Ticket
from buddies_core.store.rocks import RocksStore
from buddies_core.wire.tickets import decode_ticket, encode_ticket
from tests.support.worlds.machines import CommandFailed, Machine, agent_on, some_machines
from tests.support.worlds.meeting import eventually, names

ROOM = RoomName("launch")
NOTE = "The launch is on Friday"
LATER = "The launch was moved to Monday"
QUESTION = "when is the launch?"
LETS_NOBODY_IN = "this invite lets nobody in"
ASK_ANEW = "ask for a new one: buddies-cli ticket ROOM"


@pytest.fixture
def eve() -> Iterator[Machine]:
    with some_machines("eve") as (machine,):
        yield machine


def invite(text: str) -> Invite:
    parsed = decode_ticket(text)
    assert isinstance(parsed, Invite)
    return parsed


def contents(answer: dict[str, Any]) -> list[str]:
    return [memory["content"] for memory in answer["results"]]


async def open_room(machine: Machine) -> str:
    """Open the private room as a person does, and return an invite for up to ten."""
    joined = await machine.command("join", ROOM, "--private")
    assert (joined["private"], joined["ticket"]) == (True, "")
    return str((await machine.command("ticket", ROOM, "--uses", "10"))["ticket"])


async def come_in(machine: Machine, text: str) -> None:
    """Join by an invite that no other process sees."""
    answer = await machine.run("join", ROOM, "--ticket", "-", stdin=text)
    assert (answer.code, answer.errors) == (0, "")


async def sees(machine: Machine, *users: str) -> None:
    """Return once the machine sees exactly these people in the room."""
    await eventually(partial(machine.command, "status", ROOM), lambda it: names(it) == set(users))


async def store(machine: Machine, content: str) -> None:
    await machine.command("memory", "store", content, "--room", ROOM)


async def keeps(machine: Machine, *memories: str) -> None:
    """Return once the machine keeps exactly these, the newest first."""
    await eventually(
        partial(machine.command, "memory", "list"), lambda it: contents(it) == list(memories)
    )


async def test_agents_meet_by_invite_and_who_knows_only_the_name_gets_nothing(
    alice: Machine, bob: Machine, eve: Machine
) -> None:
    async with (
        agent_on(alice) as claude,
        agent_on(bob, "codex") as codex,
        agent_on(eve, "cursor") as cursor,
    ):
        opened = await claude.call("join_room", room=ROOM, private=True)
        alices = await claude.call("create_invite", room=ROOM)
        joined = await codex.call("join_room", room=ROOM, ticket=alices["ticket"])
        assert (opened["private"], joined["private"]) == (True, True)
        assert names({"peers": joined["members"]}) == {"alice", "bob"}
        # No invite is made, and none shown, but when it is asked for.
        assert (opened["ticket"], joined["ticket"]) == ("", "")
        bobs = await codex.call("create_invite", room=ROOM, uses=3)
        ours, theirs = invite(alices["ticket"]), invite(bobs["ticket"])
        assert ours.room_id == theirs.room_id
        assert (ours.uses, theirs.uses) == (1, 3)
        assert [it.endpoint.hex() for it in theirs.endpoints] == [joined["endpoint_id"]]
        kept = await claude.call("store_memory", room=ROOM, content=NOTE)
        await eventually(partial(codex.call, "list_memories"), lambda it: contents(it) == [NOTE])

        # Eve knows the room's name, and even where Alice's machine is.
        assert not (await cursor.call("join_room", room=ROOM))["private"]
        made_up = encode_ticket(Ticket(ROOM, topic_of(ROOM), ours.endpoints))
        [attempt] = (await cursor.call("join_room", room=ROOM, ticket=made_up))["tried"]
        assert attempt["outcome"] == "was reached, but is not in this room"
        await cursor.call("store_memory", room=ROOM, content=LATER)
        found = await cursor.call("search_memory", query=QUESTION)
        assert (contents(found), found["answered"], found["unanswered"]) == ([LATER], [], [])
        with pytest.raises(CommandFailed, match="no member is present"):
            await cursor.call("get_memory", id=kept["id"])
        assert names(await cursor.call("get_room_status", room=ROOM)) == {"eve"}
        for agent in (claude, codex):
            assert contents(await agent.call("search_memory", query=QUESTION)) == [NOTE]
            status = await agent.call("get_room_status", room=ROOM)
            assert (names(status), status["private"]) == ({"alice", "bob"}, True)
            assert status["topic"] == ""


async def test_an_invite_that_is_not_good_any_more_says_what_to_do(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    await open_room(alice)
    once = (await alice.command("ticket", ROOM, "--uses", "1", "--expires", "30m"))["ticket"]
    assert invite(once).uses == 1
    assert 29 * 60 < invite(once).expires_at_s - SystemClock().wall_ms() / 1000 <= 30 * 60
    unused = (await alice.command("ticket", ROOM))["ticket"]
    await come_in(bob, once)
    async with agent_on(carol) as cursor:
        # One that is used up, one from before the keys were changed, one that was cut short.
        for rotates, text, code, said, way_out in (
            (False, once, 1, LETS_NOBODY_IN, ASK_ANEW),
            (True, unused, 1, LETS_NOBODY_IN, ASK_ANEW),
            (False, unused[:-40], 2, "a part of it is missing", "Copy it again, or ask for a new"),
        ):
            if rotates:
                await alice.command("room", "rotate", ROOM)
            answer = await carol.run("join", ROOM, "--ticket", "-", stdin=text)
            assert (answer.code, answer.output, answer.errors.count("\n")) == (code, "", 1)
            assert said in answer.errors
            assert way_out in answer.errors
            with pytest.raises(CommandFailed, match=said):
                await cursor.call("join_room", room=ROOM, ticket=text)
        assert await cursor.call("list_rooms") == {"rooms": []}
    assert (await alice.command("status"))["counters"]["invites_refused"] == 4
    assert names(await alice.command("status", ROOM)) == {"alice", "bob"}

    await alice.command("join", "open")
    for words, said in (
        ((ROOM, "--uses", "0"), "0 is not in the range 1<=x<=64"),
        ((ROOM, "--expires", "soon"), "write one such as 30m, 24h or 7d"),
        ((ROOM, "--expires", "31d"), "lasts 1 s to 30 days"),
        (("open", "--uses", "1"), "leave out uses and expiry"),
    ):
        answer = await alice.run("ticket", *words)
        assert (answer.code, answer.output) == (2, "")
        assert said in answer.errors


async def test_whom_a_rotation_left_out_while_away_reads_nothing_new_and_is_told(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    text = await open_room(alice)
    for machine in (bob, carol):
        await come_in(machine, text)
    await store(alice, NOTE)
    await keeps(carol, NOTE)
    for machine in (alice, bob):
        await sees(machine, "alice", "bob", "carol")
    await carol.command("daemon", "stop")
    await alice.command("daemon", "restart")
    await sees(alice, "alice", "bob")

    # By the name that was heard of her last, before either restart.
    rotated = await alice.command("room", "rotate", ROOM, "--without", "carol")
    assert [[it["name"] for it in rotated[who]] for who in ("removed", "told", "waiting")] == [
        ["carol"],
        ["bob"],
        [],
    ]
    await store(bob, LATER)
    await keeps(alice, LATER, NOTE)
    await carol.command("daemon", "start")
    [warning] = (
        await eventually(partial(carol.command, "status", ROOM), lambda it: bool(it["warnings"]))
    )["warnings"]
    assert "no member of this room answers this machine as one any more" in warning
    assert "join again by an invite (buddies-cli ticket ROOM)" in warning
    assert f"warning: {warning}\n" in (await carol.run("status", ROOM)).output
    found = await carol.command("memory", "search", QUESTION)
    assert (contents(found), found["answered"]) == ([NOTE], [])
    refused = await carol.run("join", ROOM, "--ticket", "-", stdin=text)
    assert (refused.code, LETS_NOBODY_IN in refused.errors) == (1, True)
    for machine in (alice, bob):
        assert names(await machine.command("status", ROOM)) == {"alice", "bob"}

    await come_in(carol, (await bob.command("ticket", ROOM))["ticket"])
    found = await carol.command("memory", "search", QUESTION)
    assert sorted(contents(found)) == [NOTE, LATER]
    assert (await carol.command("status", ROOM))["warnings"] == []


async def test_a_member_that_was_away_while_the_keys_were_changed_catches_up(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    text = await open_room(alice)
    for machine in (bob, carol):
        await come_in(machine, text)
    for machine in (alice, carol):
        await sees(machine, "alice", "bob", "carol")
    await bob.command("daemon", "stop")
    rotated = await alice.command("room", "rotate", ROOM)
    assert [[it["name"] for it in rotated[who]] for who in ("removed", "told", "waiting")] == [
        [],
        ["carol"],
        ["bob"],
    ]
    await store(alice, NOTE)
    await keeps(carol, NOTE)
    await alice.command("daemon", "stop")  # Who rotated is not needed.

    await bob.command("daemon", "start")
    await sees(bob, "bob", "carol")
    assert contents(await bob.command("memory", "search", QUESTION)) == [NOTE]
    await store(bob, LATER)
    await keeps(carol, LATER, NOTE)


async def test_no_secret_is_in_a_log_or_shown_to_other_processes(
    alice: Machine, bob: Machine
) -> None:
    alice, bob = (it.with_environment(BUDDIES_LOG="debug") for it in (alice, bob))
    text = await open_room(alice)
    joined = await bob.run("join", ROOM, "--ticket", "-", "--json", stdin=text)
    rotated = await alice.run("room", "rotate", ROOM)
    void = await bob.run("join", ROOM, "--ticket", "-", stdin=text)
    assert (joined.code, rotated.code) == (0, 0)
    bobs = (await bob.command("ticket", ROOM))["ticket"]
    told = [(joined.errors + rotated.output + rotated.errors + void.errors).encode()]
    for machine in (alice, bob):
        process = Path("/proc", str(machine.daemon_pid()))
        told += [(process / shown).read_bytes() for shown in ("cmdline", "environ")]

    tickets = (text, bobs)
    secrets = {invite(ticket).token for ticket in tickets}
    for machine in (alice, bob):
        await machine.command("daemon", "stop")
        log = (machine.data_dir / "core.log").read_bytes()
        assert b" DEBUG " in log
        assert b" epoch room_id=" in log
        told += [log, (machine.data_dir / "start.log").read_bytes()]
        async with RocksStore.open(machine.data_dir / "store") as kept:
            [room] = kept.rooms()
            assert room.private is not None
            secrets.add(room.private.epoch.secret)
    assert len(secrets) == 3, "two tokens, and the epoch that both are in"
    seen = b"\n".join(told)
    for secret in secrets:
        for written in (secret, secret.hex().encode(), repr(secret)[2:-1].encode()):
            assert written not in seen
    assert not any(ticket.encode() in seen for ticket in tickets)
