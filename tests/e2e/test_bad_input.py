"""What users, files and machines get wrong: each is told at both doors, and nothing hangs."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from rocksdict import Options, Rdict

from buddies_core.identity.node_key import NodeKey
from buddies_core.local_protocol import PROTOCOL
from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.model.ids import RoomName, topic_of
from buddies_core.model.room import ROOM_NAME_BYTES_MAX, STATUS_BYTES_MAX, Ticket
from buddies_core.paths import Paths, hold_data_lock
from buddies_core.wire.tickets import decode_ticket, encode_ticket
from tests.support.fakes.node import fake_node
from tests.support.worlds.machines import CommandFailed, Machine, agent_on

ROOM = "feature-a"
NOTE = "We're using PostgreSQL for the user table"
QUESTION = "how is the DB set up?"
MIB = 1 << 20
NO_MEMORIES = {"results": [], "damaged": 0, "next_cursor": None}
NOBODY = NodeKey(b"nobody" + bytes(26)).endpoint
STARTS_WITHIN_S = 60.0


async def told_at_both_doors(machine: Machine, said: str, *, code: int) -> None:
    """Assert that an agent and a person who need the daemon are told this, in one line."""
    async with agent_on(machine) as claude:
        with pytest.raises(CommandFailed) as failed:
            await claude.call("list_rooms")
    answer = await machine.run("daemon", "start")
    assert said in str(failed.value)
    assert said in answer.errors
    assert (answer.code, answer.output, answer.errors.count("\n")) == (code, "", 1)


WRONG_CALLS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("join_room", {"room": ""}, "room must not be empty"),
    ("join_room", {"room": " "}, "room is empty; give the name of a room"),
    ("join_room", {"room": "a\nb"}, "contains U+000A, which cannot be seen"),
    (
        "join_room",
        {"room": "a\u202eb"},
        "contains RIGHT-TO-LEFT OVERRIDE (U+202E), which cannot be seen",
    ),
    ("join_room", {"room": "é" * 200}, f"400 bytes long, {ROOM_NAME_BYTES_MAX} are allowed"),
    ("join_room", {"room": 7}, "room must be a string, not 7"),
    ("join_room", {"room": ROOM, "ticket": ""}, "ticket must not be empty"),
    ("join_room", {"room": ROOM, "ticket": " "}, "this ticket can't be read: it is empty"),
    ("join_room", {"room": ROOM, "ticket": "a" * MIB}, "it has 1048576 characters"),
    ("leave_room", {"room": "elsewhere"}, "(it is in: feature-a)"),
    ("get_room_status", {"room": "elsewhere"}, "(it is in: feature-a)"),
    ("notify_peers", {"room": "elsewhere", "text": "x"}, "join it first"),
    ("notify_peers", {"room": ROOM, "text": " "}, "text is empty"),
    ("notify_peers", {"room": ROOM, "text": "é" * 513}, f"{STATUS_BYTES_MAX} are allowed"),
    ("search_memory", {"query": "x", "room": "elsewhere"}, "join it first"),
    ("search_memory", {"query": " "}, "query is empty"),
    ("search_memory", {"query": "q" * 4001}, "query has 4001 characters"),
    ("search_memory", {"query": "x", "timeout_secs": 0}, "must be a number from 0.1 to 45, not 0"),
    ("search_memory", {"query": "x", "kind": "rumour"}, "kind must be one of decision, "),
    ("list_memories", {"room": "elsewhere"}, "nothing of it is kept here"),
    ("list_memories", {"limit": 501}, "limit must be a whole number from 1 to 500, not 501"),
    ("list_memories", {"since": "soon"}, "'soon' is no point in time"),
    ("get_memory", {"id": "7"}, "id '7' is no id; one looks like"),
    ("get_memory", {"id": str(uuid4())}, "is not on this machine (no member is present)"),
    (
        "get_memory",
        {"id": str(uuid4()), "offset": 1 << 40},
        "offset must be a whole number from 0 to",
    ),
)
WRONG_MEMORIES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"room": "elsewhere"}, "join it first"),
    ({"content": ""}, "content must not be empty"),
    ({"content": " \n"}, "content is empty; write down"),
    ({"content": "x" * (MIB + 1)}, "content has 1048577 characters; at most 1048576 are allowed"),
    ({"content": "é" * (MIB // 2) + "x"}, "content has 1048577 bytes, at most 1048576 are allowed"),
    ({"content": {"text": "x"}}, "content must be a string"),
    ({"title": "é" * 257}, "title has 514 bytes, at most 512 are allowed"),
    ({"kind": "rumour"}, "kind must be one of decision, "),
    ({"tags": "db"}, "tags must be a list of strings"),
    ({"tags": [str(number) for number in range(33)]}, "tags has 33 items; at most 32 are allowed"),
    ({"tags": ["é" * 33]}, "a tag has 66 bytes, at most 64 are allowed"),
    ({"tags": [" "]}, "tags holds an empty one"),
    ({"references": ["7"]}, "reference '7' is no id"),
    ({"references": [str(uuid4())] * 33}, "references has 33 items; at most 32 are allowed"),
    ({"colour": "red"}, "there is no argument 'colour'; allowed: room, title, content"),
)


async def test_each_field_that_cannot_be_taken_is_named_and_nothing_is_kept(
    alice: Machine,
) -> None:
    memory = {"room": ROOM, "content": "x"}
    stores = tuple(("store_memory", memory | wrong, said) for wrong, said in WRONG_MEMORIES)
    async with agent_on(alice) as claude:
        await claude.call("join_room", room=ROOM)
        for tool, arguments, said in WRONG_CALLS + stores:
            with pytest.raises(CommandFailed) as failed:
                await claude.call(tool, **arguments)
            assert said in str(failed.value), (tool, arguments)
        assert await claude.call("list_memories") == NO_MEMORIES
        assert await claude.call("list_rooms") == {"rooms": [ROOM]}
        whole = await claude.call("store_memory", room=ROOM, content="x" * MIB, tags=["t" * 64] * 2)
        assert (whole["size"], whole["tags"]) == (MIB, ["t" * 64])


async def test_a_person_is_told_the_same_in_one_line_with_an_exit_code(alice: Machine) -> None:
    await alice.command("join", ROOM)
    store = ("memory", "store", "--room", ROOM)
    for words, stdin, code, said in (
        (("join", ""), "", 2, "room is empty"),
        (("join", ROOM, "--ticket", ""), "", 2, "the ticket is empty"),
        (("join", ROOM, "--ticket", "-"), "\n", 2, "the ticket is empty"),
        (("join", ROOM, "--ticket", "-"), "a" * 70_000, 2, "more than 65536 bytes"),
        (("notify", ROOM, "é" * 513), "", 2, "1026 bytes long, 1024 are allowed"),
        ((*store, ""), "", 2, "content is empty"),
        ((*store, "-"), "x" * (MIB + 1), 2, "more than 1048576 bytes"),
        ((*store, "x", "--title", "t" * 513), "", 2, "title has 513 bytes, at most 512"),
        ((*store, "x", "--tag", ""), "", 2, "Invalid value for '--tag': it is empty"),
        ((*store, "x", "--reference", "7"), "", 2, "reference '7' is no id"),
        (("memory", "search", "q" * 20_000), "", 2, "query has 20000 characters, at most 4000"),
        (("memory", "search", "q", "--timeout", "nan"), "", 2, "nan is not in the range"),
        (("memory", "search", "q", "--room", "elsewhere"), "", 1, "join it first"),
        (("memory", "list", "--room", "elsewhere"), "", 1, "nothing of it is kept here"),
        (("memory", "get", str(uuid4())), "", 1, "no member is present"),
    ):
        answer = await alice.run(*words, stdin=stdin)
        assert (answer.code, answer.output, answer.errors.count("\n")) == (code, "", 1), words
        assert said in answer.errors
    assert await alice.command("memory", "list") == NO_MEMORIES


async def test_a_ticket_and_a_name_are_taken_as_people_paste_them(
    alice: Machine, bob: Machine
) -> None:
    typed, composed = "cafe\u0301", "caf\u00e9"
    opened = await alice.run("join", f"{typed}\u200b ")
    async with agent_on(bob) as cursor:
        mail = "> " + opened.output.replace("\n", "\n> ")  # all that the command has printed
        joined = await cursor.call("join_room", room=typed, ticket=mail)
        assert (joined["room"], {it["name"] for it in joined["members"]}) == (
            composed,
            {"alice", "bob"},
        )
        kept = await cursor.call("store_memory", room=typed, content="x")
        assert kept["room"] == composed
        found = await cursor.call("list_memories", room=f"\ufeff{typed}")
        assert [memory["id"] for memory in found["results"]] == [kept["id"][:8]]
        again = await bob.command("memory", "get", f"`{kept['id']}`,")
        assert again["id"] == kept["id"]
        left = await bob.run("leave", typed)
        assert (left.output, "leaving for" in left.errors) == (f"Left {composed}.\n", True)
        assert await cursor.call("list_rooms") == {"rooms": []}


async def test_a_ticket_that_leads_nowhere_is_told_from_one_that_is_none(
    alice: Machine, bob: Machine, carol: Machine
) -> None:
    text = (await alice.command("join", ROOM))["ticket"]
    there = decode_ticket(text)
    assert isinstance(there, Ticket)
    [alices] = there.endpoints
    [bobs] = decode_ticket((await bob.command("join", "other"))["ticket"]).endpoints

    def ticket(*peers: PeerAddress) -> str:
        return encode_ticket(replace(there, endpoints=peers))

    led_astray = encode_ticket(Ticket(RoomName(ROOM), topic_of(RoomName("other")), (alices,)))
    wrong = (
        (text[:-8], 2, "a part of it is missing"),
        (text.replace(text[9], "1"), 2, "it is no base32 text"),
        ((await bob.command("ticket", "other"))["ticket"], 2, "is for room 'other', not"),
        (led_astray, 2, "leads elsewhere; it is damaged or made up"),
        (ticket(), 2, "the ticket names nobody who is in room 'feature-a'"),
        (ticket(replace(bobs, info=AddressInfo())), 1, "no address of it is known"),
        (ticket(bobs), 1, "was reached, but is not in this room"),
        (ticket(replace(alices, endpoint=NOBODY)), 1, "another node answers at 127.0.0.1:"),
    )
    async with agent_on(carol) as cursor:
        for given, code, said in wrong:
            with pytest.raises(CommandFailed) as failed:
                await cursor.call("join_room", room=ROOM, ticket=given)
            assert said in str(failed.value)
            assert "ticket" in str(failed.value)
            answer = await carol.run("join", ROOM, "--ticket", "-", stdin=given)
            assert (answer.code, answer.output, answer.errors.count("\n")) == (code, "", 1), said
            assert said in answer.errors
        assert await cursor.call("list_rooms") == {"rooms": []}
        mangled = f" {text[:40].upper()}\n{text[40:]}"  # as a mail may have left it
        joined = await cursor.call("join_room", room=ROOM, ticket=mangled)
        assert {member["name"] for member in joined["members"]} == {"alice", "carol"}
    own = await alice.command("join", ROOM, "--ticket", text)
    assert (own["already_joined"], own["warnings"]) == (True, [])


@asynccontextmanager
async def a_stub(machine: Machine, protocol: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run something that answers like a daemon of that protocol."""
    machine.data_dir.mkdir()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.worlds.stub_daemon",
        env=os.environ | machine.environment() | {"STUB_PROTOCOL": str(protocol)},
        cwd=Path(__file__).parents[2],
    )
    socket_path = Paths.from_environment(machine.environment()).socket
    try:
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not socket_path.exists():  # noqa: ASYNC110 - across processes
                await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_newer_daemon_is_left_alone_and_both_versions_named(alice: Machine) -> None:
    async with a_stub(alice, PROTOCOL + 1) as newer:
        said = f"(protocol {PROTOCOL + 1}), this program is "
        await told_at_both_doors(alice, said, code=3)
        answer = await alice.run("rooms")
        assert (answer.code, answer.output) == (3, "")
        assert "this program is older. If an agent's client started it, restart" in answer.errors
        assert newer.returncode is None
        assert await alice.command("daemon", "stop") == {"stopped": newer.pid}


async def test_an_older_daemon_without_agents_is_named_by_who_looks_and_replaced_by_who_asks(
    alice: Machine,
) -> None:
    async with a_stub(alice, PROTOCOL - 1) as older:
        answer = await alice.run("rooms")
        assert (answer.code, answer.output) == (3, "")
        assert f"(protocol {PROTOCOL - 1}), this program is " in answer.errors
        async with agent_on(alice) as claude:
            assert await claude.call("list_rooms") == {"rooms": []}
        assert await older.wait() == 0
        assert alice.daemon_pid() not in (None, older.pid)


async def test_a_data_directory_in_use_is_told_with_the_process_that_has_it(
    alice: Machine,
) -> None:
    pid = (await alice.command("daemon", "start"))["pid"]
    second = await alice.run(program="buddies-core")
    assert (second.code, second.output, second.errors.count("\n")) == (1, "", 1)
    assert f"is in use by process {pid}; stop that daemon with" in second.errors
    assert alice.daemon_pid() == pid


def _cut_key(machine: Machine) -> None:
    machine.data_dir.mkdir()
    (machine.data_dir / "node_key").write_bytes(b"cut short")


def _torn_store(machine: Machine) -> None:
    (machine.data_dir / "store").mkdir(parents=True)
    (machine.data_dir / "store" / "CURRENT").write_text("garbage")


@pytest.mark.parametrize(
    ("spoil", "more", "code", "said"),
    [
        (None, {"BUDDIES_NETWORK": "moon"}, 3, "BUDDIES_NETWORK is 'moon'; it must be one of"),
        (None, {"XDG_RUNTIME_DIR": "/" + "x" * 90}, 2, "bytes long; the system allows"),
        (_cut_key, {}, 3, "node_key is damaged: it has 9 bytes, not 32. Restore it"),
        (_torn_store, {}, 3, "is damaged (Corruption: "),
    ],
    ids=["network", "socket path", "node key", "store"],
)
async def test_a_daemon_that_cannot_start_says_why_at_both_doors(
    spoil: Any, more: dict[str, str], code: int, said: str, alice: Machine
) -> None:
    machine = alice.with_environment(**more)
    if spoil:
        spoil(machine)
    await told_at_both_doors(machine, said, code=code)
    assert machine.daemon_pid() is None


async def test_a_broken_settings_file_is_told_with_its_line_at_every_door(alice: Machine) -> None:
    file = alice.home / ".config" / "buddies" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text('user = "alice"\nnetwork = "wan"\n')

    said = f"{file}, line 2: network is 'wan'; it must be one of public, lan, loopback."
    await told_at_both_doors(alice, said, code=2)
    daemon = await alice.run("--check", program="buddies-core")
    assert (daemon.code, daemon.output) == (1, "")
    assert said in daemon.errors

    file.write_text('user = "alice"\nnetwork =\n')
    await told_at_both_doors(alice, f"{file} can't be read: Invalid value (at line 2", code=2)

    # What needs no settings works; so does everything once the line is removed.
    assert (await alice.run("rooms")).code == 3
    file.unlink()
    await alice.command("daemon", "start")


async def test_a_port_that_is_taken_or_makes_no_sense_is_replaced(alice: Machine) -> None:
    alice.data_dir.mkdir()
    port_file = alice.data_dir / "udp_port"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taking:
        taking.bind(("127.0.0.1", 0))
        taken = taking.getsockname()[1]
        port_file.write_text(str(taken))
        [warning] = (await alice.command("daemon", "start"))["warnings"]
        assert warning.startswith(f"UDP port {taken} is in use by another program")
        assert (await alice.command("join", ROOM))["room"] == ROOM
        await alice.command("daemon", "stop")
    port_file.write_text("no port")
    assert (await alice.command("daemon", "start"))["warnings"] == []
    assert 0 < int(port_file.read_text()) < 1 << 16


def damage_record(machine: Machine, id: str) -> None:
    """Turn bits of a memory's record in the store of a machine whose daemon is stopped."""
    database = Rdict(str(machine.data_dir / "store"), Options(raw_mode=True))
    try:
        records: dict[bytes, bytes] = dict(database.items())  # type: ignore[arg-type]
        [place] = [it for it in records if it[:1] == b"m" and it.endswith(UUID(id).bytes)]
        database[place] = bytes(byte ^ 0xA5 for byte in records[place])
    finally:
        database.close()


async def test_a_damaged_record_and_a_ruined_index_take_nothing_else_with_them(
    alice: Machine, bob: Machine
) -> None:
    notes = (NOTE, "Deploys happen on Fridays", "The cat is asleep")
    async with agent_on(alice) as claude:
        ticket = (await claude.call("join_room", room=ROOM))["ticket"]
        kept = [await claude.call("store_memory", room=ROOM, content=note) for note in notes]
        await bob.command("join", ROOM, "--ticket", ticket)
        copy = await bob.command("memory", "get", kept[0]["id"])
        assert copy["content"] == NOTE
        await bob.command("daemon", "stop")
    await alice.command("daemon", "stop")

    damage_record(alice, kept[0]["id"])
    for file in (alice.data_dir / "index").rglob("*"):
        if file.is_file():
            file.write_bytes(os.urandom(100))

    async with agent_on(alice) as claude:
        listed = await claude.call("list_memories")
        assert {memory["content"] for memory in listed["results"]} == set(notes[1:])
        assert listed["damaged"] == 1
        found = await claude.call("search_memory", query="when do we deploy?")
        assert found["results"][0]["content"] == notes[1]
        with pytest.raises(CommandFailed, match=f"memory {kept[0]['id']} by .* is damaged"):
            await claude.call("get_memory", id=kept[0]["id"])
        answer = await alice.run("memory", "get", kept[0]["id"])
        assert (answer.code, answer.output, answer.errors.count("\n")) == (1, "", 1)
        assert "other members of its room may still have it" in answer.errors
        await claude.call("store_memory", room=ROOM, content="Fridays are off")
        assert "1 damaged record skipped" in (await alice.run("memory", "list")).errors


async def test_a_daemon_that_hangs_is_named_to_all_who_ask_at_once(alice: Machine) -> None:
    async with agent_on(alice) as claude:
        await claude.call("list_rooms")
        pid = alice.daemon_pid()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(_hangs(claude.call("list_rooms")))
                typed = group.create_task(alice.run("rooms"))
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (typed.result().code, typed.result().output) == (3, "")
        assert typed.result().errors.startswith(f"error: the daemon at {alice.home}")
        assert typed.result().errors.endswith("if it stays so: buddies-cli daemon restart\n")
        assert await claude.call("list_rooms") == {"rooms": []}


async def _hangs(call: Any) -> None:
    remedy = "if it stays so: buddies-cli daemon restart$"
    with pytest.raises(CommandFailed, match=f"within 10 s; .*{remedy}"):
        await call


async def test_a_daemon_that_stops_answering_during_a_command_is_exit_code_4(
    alice: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths.from_environment(alice.environment())
    paths.create()
    with hold_data_lock(paths):
        async with fake_node(paths) as node:
            monkeypatch.setattr(node.search, "search", _never)
            answer = await alice.run("memory", "search", "x", "--timeout", "0.5")
    assert (answer.code, answer.output, answer.errors.count("\n")) == (4, "", 1)
    assert answer.errors.startswith("error: the daemon did not answer within 2.5 s; what it was")
    assert answer.errors.endswith("if it stays so: buddies-cli daemon restart\n")


async def _never(*_arguments: object) -> None:
    await asyncio.Event().wait()
