"""Whose key vouches for a machine, as its owner sees it."""

from dataclasses import dataclass

import pytest

from tests.support.machines import Machine, agent_on
from tests.support.person import Person, needs

pytestmark = [pytest.mark.timeout(60), needs("ssh-keygen"), needs("git")]

ROOM = "feature-a"


@dataclass(frozen=True)
class Choosing(Machine):
    """A machine whose owner has set BUDDIES_SIGNER."""

    signer: str = ""

    def environment(self, agent: str = "person") -> dict[str, str]:
        return super().environment(agent) | {"BUDDIES_SIGNER": self.signer}


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


async def test_a_chosen_key_that_cannot_work_keeps_the_daemon_from_starting(
    alice: Machine,
) -> None:
    machine = Choosing(alice.user, alice.home, signer="ssh")
    answer = await machine.run("whoami")
    assert answer.code == 3
    assert "BUDDIES_SIGNER=ssh can't work: set BUDDIES_SSH_PRIVATE_KEY" in answer.errors
    assert machine.daemon_pid() is None


async def test_a_generated_identity_outlives_the_daemon(alice: Machine) -> None:
    machine = Choosing(alice.user, alice.home, signer="generated")
    before = await machine.command("whoami")
    await machine.command("daemon", "restart")
    assert await machine.command("whoami") == before
    assert before["local_identity"].endswith(" buddies-generated")


async def test_peers_see_whose_key_vouches_for_a_machine_and_its_memories(
    alice: Machine, bob: Machine
) -> None:
    signing = Choosing(alice.user, alice.home, signer="generated")
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
