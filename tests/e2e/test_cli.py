"""What a person types, against real daemons: what is printed where, and with which exit code."""

import asyncio
import json
import os
import pty
import signal
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.support.worlds.machines import Answer, Machine, agent_on

ROOM = "feature-a"
NOTE = "We're using PostgreSQL for the user table"
ENDS_WITHIN_S = 30.0


@asynccontextmanager
async def started(
    machine: Machine, *words: str, stdin: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command and kill it in the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        "buddies-cli",
        *words,
        env=os.environ | machine.environment(),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_json_is_the_object_that_the_mcp_tool_returns_or_more_of_each_hit(
    alice: Machine,
) -> None:
    async with agent_on(alice) as claude:
        await claude.call("join_room", room=ROOM)
        kept = await claude.call("store_memory", room=ROOM, content=NOTE, tags=["db"])
        assert await alice.command("rooms") == await claude.call("list_rooms")
        assert await alice.command("ticket", ROOM) == {
            "room": ROOM,
            "ticket": (await claude.call("join_room", room=ROOM))["ticket"],
            "warnings": [],
        }
        [listed] = (await alice.command("memory", "list"))["results"]
        [shown] = (await claude.call("list_memories"))["results"]
        assert (shown["id"], shown["content"]) == (listed["id"][:8], listed["content"])
        assert await alice.command("memory", "get", kept["id"]) == await claude.call(
            "get_memory", id=kept["id"]
        )
        asked = await alice.command("memory", "search", "how is the DB set up?")
        found = await claude.call("search_memory", query="how is the DB set up?")
        assert [it["content"] for it in asked["results"]] == [
            it["content"] for it in found["results"]
        ]
        assert asked["results"][0]["id"].startswith(found["results"][0]["id"])


async def test_a_person_joins_with_a_ticket_from_stdin_and_sees_who_is_there(
    alice: Machine, bob: Machine
) -> None:
    ticket = await alice.run("join", ROOM)
    assert ticket.code == 0
    given = await alice.run("ticket", ROOM)
    assert given.output.strip() in ticket.output
    joined = await bob.run("join", ROOM, "--ticket", "-", stdin=given.output)
    assert (joined.code, joined.errors) == (0, "")
    assert joined.output.startswith(f"Joined {ROOM}; alice is here.\n")
    status = await bob.run("status", ROOM)
    assert "bob (this machine)" in status.output
    assert "alice" in status.output
    assert given.output.strip() not in status.output


async def test_a_long_text_goes_in_by_stdin_and_comes_out_whole(alice: Machine) -> None:
    text = "".join(f"Schritt {number}: prüfe das Protokoll.\n" for number in range(5_000))
    await alice.command("join", ROOM)
    stored = await alice.run("memory", "store", "-", "--room", ROOM, "--json", stdin=text)
    assert stored.code == 0
    read = await alice.run("memory", "get", json.loads(stored.output)["id"])
    assert read.output.endswith(text)


async def test_a_command_that_only_looks_starts_no_daemon_and_exits_with_3(alice: Machine) -> None:
    for words in ("rooms", f"status {ROOM}", "status", "daemon status", "daemon stop"):
        answer = await alice.run(*words.split())
        assert (answer.code, answer.output) == (3, ""), words
        assert answer.errors.startswith("error: no daemon at ")
        assert answer.errors.endswith("start it with: buddies-cli daemon start\n")
    assert alice.daemon_pid() is None


async def test_a_failure_is_one_line_on_stderr_and_an_exit_code(alice: Machine) -> None:
    for words, code, said in (
        ("leave elsewhere", 1, "join it first"),
        ("memory store x --room elsewhere", 1, "join it first"),
        ("memory get 8d3e5c1a-7f0b-4c52-9a54-1f0c2b7d9e61", 1, "8d3e5c1a"),
        ("memory get 7", 2, "is no id"),
        (f"join {ROOM} --ticket xyz", 2, "this ticket can't be read"),
        ("memory store x --room a --kind rumour", 2, "'rumour' is not one of"),
        ("fly", 2, "No such command 'fly'"),
    ):
        answer = await alice.run(*words.split(), "--json")
        assert (answer.code, answer.output, answer.errors.count("\n")) == (code, "", 1), words
        assert answer.errors.startswith("error: ")
        assert said in answer.errors


async def test_a_ticket_whose_peers_are_gone_fails_and_leaves_no_room_behind(
    alice: Machine, bob: Machine
) -> None:
    ticket = (await alice.command("join", ROOM))["ticket"]
    await alice.kill_daemon()
    answer = await bob.run("join", ROOM, "--ticket", ticket)
    assert answer.code in (1, 4)
    assert answer.errors.startswith("error: ")
    assert await bob.command("rooms") == {"rooms": []}


async def test_leaving_names_the_agents_that_it_leaves_for(alice: Machine) -> None:
    async with agent_on(alice, "claude") as claude:
        await claude.call("join_room", room=ROOM)
        answer = await alice.run("leave", ROOM)
        assert (answer.code, answer.output) == (0, f"Left {ROOM}.\n")
        assert answer.errors.startswith("leaving for claude (process ")
        assert await claude.call("list_rooms") == {"rooms": []}


async def test_the_daemon_is_started_once_and_stopped_and_restarted_with_its_rooms(
    alice: Machine,
) -> None:
    started_once = await alice.command("daemon", "start")
    assert (await alice.command("daemon", "start"))["pid"] == started_once["pid"]
    assert started_once["pid"] == alice.daemon_pid()
    await alice.command("join", ROOM)
    restarted = await alice.command("daemon", "restart")
    assert restarted["pid"] not in (None, started_once["pid"])
    assert await alice.command("rooms") == {"rooms": [ROOM]}
    assert await alice.command("daemon", "stop") == {"stopped": restarted["pid"]}
    assert alice.daemon_pid() is None


async def test_all_that_is_kept_is_for_its_owner_alone_in_a_directory_that_is_not(
    alice: Machine,
) -> None:
    alice.data_dir.mkdir(mode=0o755)
    alice.data_dir.chmod(0o755)
    assert (await alice.run("join", ROOM)).code == 0
    kept = {
        str(path.relative_to(alice.data_dir)): stat.S_IMODE(path.stat().st_mode) & 0o077
        for path in alice.data_dir.rglob("*")
    }
    assert {"core.log", "start.log", "node_key", "store/CURRENT"} <= set(kept)
    assert {path: mode for path, mode in kept.items() if mode} == {}


async def test_nothing_is_written_to_the_home_but_what_buddies_keeps(alice: Machine) -> None:
    assert (await alice.run("join", ROOM)).code == 0
    assert (await alice.run("memory", "store", "We use PostgreSQL", "--room", ROOM)).code == 0
    found = await alice.command("memory", "search", "which database?")
    assert (len(found["results"]), found["method"]) == (1, "hybrid")
    kept = {str(path.relative_to(alice.home)) for path in alice.home.rglob("*")}
    assert {path for path in kept if path.split("/")[0] not in ("data", "run")} == set()


async def test_a_data_directory_that_cannot_be_used_is_an_error_that_says_what_to_do(
    alice: Machine,
) -> None:
    (alice.home / "file").touch()
    answer = await replace(alice, home=alice.home / "file").run("daemon", "start")
    assert (answer.code, answer.output, answer.errors.count("\n")) == (1, "", 1)
    assert "set BUDDIES_DATA_DIR to a directory that you may write to" in answer.errors


async def test_a_reader_that_has_had_enough_ends_the_command_quietly(alice: Machine) -> None:
    await alice.command("daemon", "start")
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        "buddies-cli",
        "status",
        env=os.environ | alice.environment(),
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    async with asyncio.timeout(ENDS_WITHIN_S):
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (128 + signal.SIGPIPE, b"")


async def test_an_interrupt_ends_the_command_quietly(alice: Machine) -> None:
    ours, theirs = pty.openpty()
    try:
        async with started(alice, "memory", "store", "-", "--room", ROOM, stdin=theirs) as process:
            assert process.stderr is not None
            async with asyncio.timeout(ENDS_WITHIN_S):
                assert (await process.stderr.readline()).startswith(b"Reading from the terminal")
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 130
            assert (await process.stderr.read()).strip() == b""
    finally:
        os.close(ours)
        os.close(theirs)


async def test_bytes_that_are_no_text_are_refused(alice: Machine) -> None:
    async with started(
        alice, "memory", "store", "-", "--room", ROOM, stdin=asyncio.subprocess.PIPE
    ) as process:
        output, errors = await process.communicate(b"caf\xe9")
    assert Answer(process.returncode or 0, output.decode(), errors.decode()) == Answer(
        2, "", "error: stdin is not UTF-8: byte 3 can't be read\n"
    )
