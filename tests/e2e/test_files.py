"""A room and a whole machine as files: exported, imported, backed up and restored."""

from pathlib import Path

from tests.support.worlds.machines import Machine, agent_on
from tests.support.worlds.meeting import ROOM, eventually


async def test_what_one_machine_exports_another_imports_as_its_authors_words(
    alice: Machine, bob: Machine, tmp_path: Path
) -> None:
    file = str(tmp_path / "room.jsonl")
    for machine in (alice, bob):
        await machine.command("join", ROOM)
    stored = await alice.command("memory", "store", "We use PostgreSQL", "--room", ROOM)
    await alice.command("memory", "store", "long " * 2000, "--room", ROOM)
    assert (await alice.command("memory", "export", ROOM, file))["lines"] == 2

    expected = {"room": ROOM, "imported": 2, "known": 0, "refused": []}
    assert await bob.command("memory", "import", ROOM, file) == expected
    got = await bob.command("memory", "get", stored["id"])
    assert (got["content"], got["author_name"], got["verified"]) == (
        "We use PostgreSQL",
        "alice",
        "peer",
    )
    again = await bob.command("memory", "import", ROOM, file)
    assert (again["imported"], again["known"]) == (0, 2)
    piped = await bob.run("memory", "export", ROOM, "-")
    assert piped.output.encode() == Path(file).read_bytes()  # noqa: ASYNC240 - a test


async def test_a_backup_made_while_agents_work_brings_a_machine_back(
    alice: Machine, tmp_path: Path
) -> None:
    backup = str(tmp_path / "backup")
    async with agent_on(alice) as claude:
        await claude.call("join_room", room=ROOM)
        await claude.call("store_memory", room=ROOM, content="We use PostgreSQL")
        assert (await alice.command("backup", backup))["memories"] == 1
        await claude.call("store_memory", room=ROOM, content="this came later")

        done = await alice.run("restore", backup, "--yes")
        assert done.code == 0, done.errors
        assert done.output.startswith("Restored 1 memories from ")

        async def contents() -> list[str]:
            listed = await claude.call("list_memories", room=ROOM)
            return [it["content"] for it in listed["results"]]

        assert await contents() == ["We use PostgreSQL"]
        await eventually(
            lambda: claude.call("search_memory", query="which database?", room=ROOM),
            lambda found: [it["content"] for it in found["results"]] == ["We use PostgreSQL"],
        )
    assert await alice.command("store", "verify") == {"records": 2, "damaged": []}


async def test_what_is_no_backup_is_refused_and_the_machine_goes_on(
    alice: Machine, tmp_path: Path
) -> None:
    await alice.command("join", ROOM)
    await alice.command("memory", "store", "We use PostgreSQL", "--room", ROOM)
    refused = await alice.run("restore", str(tmp_path), "--yes")
    assert (refused.code, refused.errors) == (
        1,
        f"error: {tmp_path} is not a backup: it holds no store/CURRENT\n",
    )
    assert len((await alice.command("memory", "list"))["results"]) == 1
