"""What becomes of a real daemon's index: damaged, killed in the middle, on a full disk."""

import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.worlds.machines import Agent, Machine, agent_on
from tests.support.worlds.meeting import ROOM, eventually

NOTES = (
    "We're using PostgreSQL for the user table",
    "The staging cluster is rebooted every Sunday night",
    "Buttons are blue and have round corners",
    "orders.v2 has twelve partitions",
)


async def search(agent: Agent, query: str) -> dict[str, Any]:
    found: dict[str, Any] = await agent.call("search_memory", query=query, room=ROOM)
    return found


def first(found: dict[str, Any]) -> str:
    return str(found["results"][0]["content"]) if found["results"] else ""


async def store(agent: Agent, *contents: str) -> None:
    for content in contents:
        await agent.call("store_memory", room=ROOM, content=content)


async def until_noted(agent: Agent, part: str, *, noted: bool = True) -> None:
    """Search until this is among the notes of a result, or no longer is."""
    await eventually(
        lambda: search(agent, "anything"),
        lambda found: noted == any(part in note for note in found["notes"]),
    )


async def all_is_indexed(agent: Agent) -> None:
    await until_noted(agent, "indexed", noted=False)


async def test_the_first_search_after_a_start_finds_by_meaning(alice: Machine) -> None:
    async with agent_on(alice) as claude:
        await claude.call("join_room", room=ROOM)
        await store(claude, *NOTES)
        await all_is_indexed(claude)
    for _ in range(2):
        await alice.command("daemon", "restart")
        async with agent_on(alice) as claude:
            found = await search(claude, "how is the DB set up?")
            assert (first(found), found["method"], found["notes"]) == (NOTES[0], "hybrid", [])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 97):
        data[place] ^= 0x10
    path.write_bytes(data)


def _to_all(harm: Callable[[Path], None]) -> Callable[[Path], None]:
    def harm_all(index: Path) -> None:
        for path in [it for it in index.rglob("*") if it.is_file() and it.stat().st_size]:
            harm(path)

    return harm_all


@pytest.mark.parametrize(
    "harm",
    [shutil.rmtree, _to_all(_cut), _to_all(_flip)],
    ids=["deleted", "cut short", "bits flipped"],
)
async def test_a_damaged_index_is_rebuilt_and_says_so_until_it_is(
    harm: Callable[[Path], None], alice: Machine
) -> None:
    async with agent_on(alice) as claude:
        await claude.call("join_room", room=ROOM)
        await store(claude, *NOTES)
        await all_is_indexed(claude)
    await alice.command("daemon", "stop")

    harm(alice.data_dir / "index")

    async with agent_on(alice) as claude:
        found = await search(claude, "orders.v2")
        assert first(found) == NOTES[3] or any("indexed" in note for note in found["notes"])
        await all_is_indexed(claude)
        assert first(await search(claude, "orders.v2")) == NOTES[3]
        assert first(await search(claude, "how is the DB set up?")) == NOTES[0]


async def test_what_was_being_indexed_when_the_daemon_was_killed_is_found_by_the_next(
    alice: Machine,
) -> None:
    notes = [f"ticket ABC-{number} is about {NOTES[number % 4]}" for number in range(60)]
    async with agent_on(alice) as claude:
        await claude.call("join_room", room=ROOM)
        for begin in (0, 20, 40):
            await store(claude, *notes[begin : begin + 20])
            await alice.kill_daemon()
        await all_is_indexed(claude)
        for number in range(0, 60, 7):
            assert first(await search(claude, f"what about ABC-{number}?")) == notes[number]


async def test_on_a_full_disk_a_search_says_what_is_missing_and_finds_it_once_there_is_space(
    alice: Machine,
) -> None:
    async with agent_on(alice) as claude:
        await claude.call("join_room", room=ROOM)
        await store(claude, *NOTES)
    await alice.command("daemon", "stop")
    index = alice.data_dir / "index"
    halves = [*index.glob("words-*"), *index.glob("vectors-*")]
    assert len(halves) == 2
    for half in halves:
        shutil.rmtree(half)
        half.write_text("where a directory should be, so that nothing can be indexed yet")

    async with agent_on(alice) as claude:
        found = await search(claude, "orders.v2")
        [note] = [note for note in found["notes"] if "indexed" in note]
        assert (found["results"], note[:37]) == ([], "this machine: 0 of 4 indexed: the sea")

        pid = alice.daemon_pid()
        assert pid is not None
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        for half in halves:
            half.unlink()
        await until_noted(claude, "File too large")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        await all_is_indexed(claude)
        assert first(await search(claude, "orders.v2")) == NOTES[3]
        assert alice.daemon_pid() == pid
