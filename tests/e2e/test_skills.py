"""Skills from machine to machine, with real daemons, real shims and real MCP sessions."""

import json

from tests.support.worlds.machines import Machine, agent_on
from tests.support.worlds.meeting import ROOM, eventually, meet

STEPS = "# Release\n\n1. run make check\n2. tag the commit\n3. push the tag"
LONG = "\n".join(f"{n}. migrate table number {n}" for n in range(20_000))


async def test_a_skill_is_published_found_voted_on_improved_and_installed(
    alice: Machine, bob: Machine
) -> None:
    async with agent_on(alice) as claude, agent_on(bob, "codex") as codex:
        await meet(claude, codex)
        first = await claude.call("publish_skill", room=ROOM, title="Release", content=STEPS)
        long = await claude.call("publish_skill", room=ROOM, title="Migrate", content=LONG)

        # Alice's daemon has just begun and loads its model: on a busy machine nobody waits for it.
        found = await eventually(
            lambda: codex.call("search_skills", query="how do we ship a new version?"),
            lambda it: [peer["name"] for peer in it["answered"]] == ["alice"],
        )
        assert first["hash"] in [skill["hash"] for skill in found["results"]]

        voted = await codex.call("vote_skill", room=ROOM, hash=first["hash"], score=1)
        assert (voted["new_rank"], voted["your_score"]) == (1, 1)
        ranked = await eventually(
            lambda: claude.call("get_skill", hash=first["hash"]), lambda it: it["rank"] == 1
        )
        assert ranked["your_score"] is None

        better = await claude.call(
            "publish_skill",
            room=ROOM,
            title="Release",
            content=f"{STEPS}\n4. tell the team",
            parent_hash=first["hash"],
        )
        await eventually(
            lambda: codex.call("search_skills"),
            lambda it: (
                {skill["hash"] for skill in it["results"]}
                == {first["hash"], better["hash"], long["hash"]}
            ),
        )

    # Alice's machine is gone for good; Bob's has it all, on disk.
    await alice.kill_daemon()
    await bob.kill_daemon()
    shown = await bob.command("skill", "get", better["hash"])
    assert (shown["version"], shown["author_name"], shown["verified"]) == (2, "alice", "peer")
    assert "+4. tell the team" in shown["diff_from_parent"].splitlines()
    assert [one["hash"] for one in shown["chain"]] == [first["hash"], better["hash"]]
    assert LONG in (await bob.run("skill", "get", long["hash"])).output
    page = await bob.command("skill", "get", long["hash"])
    assert (page["content"], page["next_offset"]) == (LONG[:20_000], 20_000)

    preview = await bob.run("skill", "install", first["hash"], "--client", "cursor", stdin="n\n")
    assert (preview.code, "tag the commit" in preview.output) == (0, True)
    assert not (bob.home / ".cursor").exists()
    await bob.command("skill", "install", first["hash"], "--client", "cursor", "--yes")
    file = bob.home / ".cursor/skills/release/SKILL.md"
    assert file.read_text().startswith("---\nname: release\ndescription: ")
    await bob.command("skill", "update", "--yes")
    assert file.read_text().endswith("4. tell the team\n")
    lock = json.loads((bob.home / ".cursor/skills/.buddies-skills.json").read_text())
    assert lock["skills"]["release"]["hash"] == better["hash"]
    await bob.command("skill", "uninstall", "release", "--client", "cursor")
    assert not file.exists()


async def test_a_signed_skill_is_found_verified_and_installed_on_another_machine(
    alice: Machine, bob: Machine
) -> None:
    async with agent_on(alice, BUDDIES_SIGNER="generated") as claude, agent_on(bob) as codex:
        await meet(claude, codex)
        whoami = await alice.command("whoami")
        label = whoami["local_identity"].removesuffix(" buddies-generated")
        assert label.startswith("ssh:ssh-ed25519 ")
        first = await claude.call("publish_skill", room=ROOM, title="Release", content=STEPS)

        (found,) = (await codex.call("search_skills", query="how to release"))["results"]
        shown = await bob.command("skill", "get", first["hash"])
        for skill in (first, found, shown):
            assert (skill["hash"], skill["verified"]) == (first["hash"], "signer")
            assert skill["author_name"] == "alice"
        assert first["signed_by"] == shown["signed_by"] == label

        preview = await bob.run("skill", "install", first["hash"], "--client", "codex", stdin="n\n")
        assert label in preview.output
        assert await bob.command("skill", "list", "--installed") == {"results": []}
        await bob.command("skill", "install", first["hash"], "--client", "codex", "--yes")
        (installed,) = (await bob.command("skill", "list", "--installed"))["results"]
        assert (installed["name"], installed["client"]) == ("release", "codex")
        assert (installed["hash"], installed["signed_by"]) == (first["hash"], label)
        listed = await bob.run("skill", "list", "--installed")
        assert (listed.code, "release" in listed.output) == (0, True)
