"""Whose key vouches for a machine, as its owner sees it."""

from datetime import UTC, datetime
from functools import partial

from buddies_core.clock import SystemClock
from tests.support.worlds.machines import Machine, agent_on
from tests.support.worlds.meeting import eventually, meet
from tests.support.worlds.person import Person, needs

pytestmark = [needs("ssh-keygen"), needs("git")]

ROOM = "feature-a"


def git_signs_by_ssh(machine: Machine, key: str) -> None:
    person = Person(machine.home)
    person.run("git", "config", "--global", "gpg.format", "ssh")
    person.run("git", "config", "--global", "user.signingkey", key)


async def test_the_key_that_git_signs_by_vouches_for_the_machine(alice: Machine) -> None:
    person = Person(alice.home)
    key = person.ssh_key()
    git_signs_by_ssh(alice, "~/id_ed25519.pub")
    endpoint = (await alice.command("daemon", "start"))["endpoint_id"]
    assert await alice.command("whoami") == {
        "user": alice.user,
        "endpoint_id": endpoint,
        "signer": "git",
        "local_identity": f"ssh:{person.public_line(key)}",
        "signer_problem": None,
    }


async def test_a_key_of_git_that_cannot_work_is_said_at_every_turn(alice: Machine) -> None:
    git_signs_by_ssh(alice, "~/missing")
    problem = (await alice.command("whoami"))["signer_problem"]
    assert f"there is no SSH key {alice.home}/missing" in problem
    assert "buddies-cli daemon restart" in problem
    assert (await alice.command("daemon", "status"))["warnings"] == [problem]
    assert (await alice.command("join", ROOM))["warnings"] == [problem]
    async with agent_on(alice) as claude:
        assert (await claude.call("join_room", room=ROOM))["warnings"] == [problem]


@needs("gpg")
async def test_a_switch_of_git_without_a_key_is_said_and_nothing_goes_out_unsigned(
    alice: Machine,
) -> None:
    person = Person(alice.home)
    for name, value in (("commit.gpgsign", "true"), ("user.name", "Ann"), ("user.email", "a@b")):
        person.run("git", "config", "--global", name, value)
    problem = (await alice.command("join", ROOM))["warnings"][0]
    assert "gpg has no secret key 'Ann <a@b>'" in problem
    assert (await alice.command("daemon", "status"))["warnings"] == [problem]

    refused = await alice.run("skill", "publish", "x", "--room", ROOM, "--title", "Release")
    assert (refused.code, problem in refused.errors) == (2, True)
    assert (await alice.command("skill", "list"))["results"] == []


async def test_a_chosen_key_that_cannot_work_keeps_the_daemon_from_starting(
    alice: Machine,
) -> None:
    machine = alice.with_environment(BUDDIES_SIGNER="ssh")
    answer = await machine.run("whoami")
    assert answer.code == 3
    assert "the signer ssh can't work: set BUDDIES_SSH_PRIVATE_KEY" in answer.errors
    assert machine.daemon_pid() is None


async def test_a_generated_identity_outlives_the_daemon(alice: Machine) -> None:
    machine = alice.with_environment(BUDDIES_SIGNER="generated")
    before = await machine.command("whoami")
    await machine.command("daemon", "restart")
    assert await machine.command("whoami") == before
    assert before["local_identity"].endswith(" buddies-generated")


async def test_peers_see_whose_key_vouches_for_a_machine_and_its_memories(
    alice: Machine, bob: Machine
) -> None:
    signing = alice.with_environment(BUDDIES_SIGNER="generated")
    label = (await signing.command("whoami"))["local_identity"].removesuffix(" buddies-generated")
    ticket = (await signing.command("join", ROOM))["ticket"]
    joined = await bob.command("join", ROOM, "--ticket", ticket)
    shown = {it["name"]: (it["verified"], it["signed_by"]) for it in joined["members"]}
    assert shown == {"alice": ("signer", label), "bob": ("peer", None)}

    await signing.command("memory", "store", "We use PostgreSQL", "--room", ROOM)
    (found,) = (await bob.command("memory", "search", "PostgreSQL"))["results"]
    assert (found["verified"], found["signed_by"]) == ("signer", label)
    await signing.command("daemon", "stop")
    await bob.command("daemon", "restart")
    (kept,) = (await bob.command("memory", "list"))["results"]
    assert (kept["verified"], kept["signed_by"]) == ("signer", label)


async def test_what_a_revoked_identity_said_is_hidden_over_restarts_and_brought_back(
    alice: Machine, bob: Machine
) -> None:
    signing = alice.with_environment(BUDDIES_SIGNER="generated")
    label = (await signing.command("whoami"))["local_identity"].removesuffix(" buddies-generated")
    ticket = (await signing.command("join", ROOM))["ticket"]
    await bob.command("join", ROOM, "--ticket", ticket)
    memory = (await signing.command("memory", "store", "We use PostgreSQL", "--room", ROOM))["id"]
    told = ("--room", ROOM, "--title", "Release")
    skill = (await signing.command("skill", "publish", "run make check", *told))["hash"]
    await eventually(lambda: bob.command("memory", "list"), lambda it: bool(it["results"]))
    await bob.command("skill", "vote", skill, "up", "--room", ROOM)
    await signing.command("skill", "vote", skill, "up", "--room", ROOM)
    await eventually(lambda: bob.command("skill", "get", skill), lambda it: it["rank"] == 2)

    async def shown() -> list[int]:
        """Return how much Bob sees of Alice, in lists and in searches of his and her machine."""
        return [
            len((await bob.command(*asked))["results"])
            for asked in (
                ("memory", "list"),
                ("memory", "search", "PostgreSQL"),
                ("skill", "list"),
                ("skill", "search", "release"),
            )
        ]

    assert await shown() == [1, 1, 1, 1]
    revoked = await bob.command("identity", "revoke", f"{label} any comment", "--since", "1h")
    assert (revoked["identity"], revoked["is_own"]) == (label, False)
    assert revoked["hidden"] == {"memories": 1, "skills": 1, "votes": 1}
    assert await shown() == [0, 0, 0, 0]
    for refused in (
        ("memory", "get", memory),
        ("skill", "get", skill),
        ("skill", "install", skill, "--client", "claude", "--yes"),
    ):
        answer = await bob.run(*refused)
        assert answer.code == 1
        assert f"buddies-cli identity restore '{label}'" in answer.errors
    assert not (bob.home / ".claude").exists()

    await bob.kill_daemon()
    assert (await bob.command("identity", "list"))["results"] == [revoked]
    assert await shown() == [0, 0, 0, 0]
    restored = await bob.command("identity", "restore", label)
    assert restored == {"identity": label, "shown_again": revoked["hidden"]}
    assert (await bob.command("identity", "list"))["results"] == []
    assert await shown() == [1, 1, 1, 1]
    assert (await bob.command("skill", "get", skill))["rank"] == 2


async def test_what_came_before_is_shown_and_what_came_since_is_hidden_from_all_who_ask(
    alice: Machine, bob: Machine
) -> None:
    label = f"peer:{(await alice.command('whoami'))['endpoint_id']}"
    async with agent_on(alice) as claude, agent_on(bob, "codex") as codex:
        await meet(claude, codex)

        async def arrives(content: str) -> None:
            """Return once Bob keeps one more of Alice's memories, shown or hidden."""
            before = (await bob.command("status"))["memories"]
            await claude.call("store_memory", room=ROOM, content=content)
            await eventually(partial(bob.command, "status"), lambda it: it["memories"] > before)

        async def found() -> tuple[list[str], int]:
            """Return what Bob's agent finds, and how much his machine hands to Alice's."""
            query = {"query": "which database do we use?", "room": ROOM}
            results = (await codex.call("search_memory", **query))["results"]
            asks = partial(claude.call, "search_memory", **query)
            [bobs] = (await eventually(asks, lambda it: it["answered"]))["answered"]
            return sorted(memory["content"] for memory in results), bobs["results"]

        await arrives("We use PostgreSQL")
        # As a person would write down when the machine was lost.
        lost = datetime.fromtimestamp(SystemClock().wall_ms() / 1000, UTC).isoformat()
        await arrives("We use SQLite")
        for wrong, since, said in (
            (label, "soon", "'soon' is no point in time"),
            ("alice", "1h", "'alice' is no identity"),
            ("peer:1234", "1h", "'peer:1234' is no identity"),
        ):
            refused = await bob.run("identity", "revoke", wrong, "--since", since)
            assert (refused.code, refused.output) == (2, "")
            assert said in refused.errors
        assert await found() == (["We use PostgreSQL", "We use SQLite"], 2)

        revoked = await bob.run("identity", "revoke", label, "--since", lost)
        assert revoked.code == 0
        assert "Hidden: 1 memory, 0 skills, 0 votes." in revoked.output
        assert "Received before, and still shown: 1 memory, 0 skills, 0 votes." in revoked.output
        await arrives("We use MongoDB")
        assert await found() == (["We use PostgreSQL"], 1)
        [listed] = (await bob.command("identity", "list"))["results"]
        assert (listed["hidden"]["memories"], listed["shown"]["memories"]) == (2, 1)

        restored = await bob.run("identity", "restore", label)
        assert (restored.code, "Shown again: 2 memories" in restored.output) == (0, True)
        assert await found() == (["We use MongoDB", "We use PostgreSQL", "We use SQLite"], 3)
        again = await bob.run("identity", "restore", label)
        assert (again.code, again.output) == (1, "")
        assert "is not revoked here; buddies-cli identity list shows what is" in again.errors


async def test_ones_own_identity_is_not_revoked_by_mistake(alice: Machine) -> None:
    label = f"peer:{(await alice.command('whoami'))['endpoint_id']}"
    refused = await alice.run("identity", "revoke", label, "--since", "1h")
    assert refused.code == 1
    assert "is this machine's own identity" in refused.errors
    declined = await alice.run_at_terminal("identity", "revoke", label, "--since", "1h", types="\n")
    assert (declined.code, declined.output) == (1, "")
    assert "Hide the entries of this machine all the same? [y/N]" in declined.errors
    assert declined.errors.endswith("error: nothing is hidden\n")
    assert (await alice.command("identity", "list"))["results"] == []
    revoked = await alice.command("identity", "revoke", label, "--since", "1h", "--yes")
    assert revoked["is_own"]
