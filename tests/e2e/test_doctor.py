"""`buddies-cli doctor` on machines in every state, with real daemons and hosts."""

import json
import os
import signal
import tarfile
from functools import partial
from pathlib import Path

from buddies_core.model.private import Invite
from buddies_core.paths import Paths
from buddies_core.store.rocks import RocksStore
from buddies_core.wire.tickets import decode_ticket
from tests.support.worlds.machines import Answer, Machine, agent_on
from tests.support.worlds.meeting import eventually


async def findings_of(machine: Machine, *words: str, code: int) -> dict[str, list[tuple[str, str]]]:
    """Return what the doctor says, by check: levels and texts."""
    answer = await machine.run("doctor", "--json", *words)
    assert answer.code == code, answer
    found: dict[str, list[tuple[str, str]]] = {}
    for it in json.loads(answer.output)["findings"]:
        found.setdefault(it["check"], []).append((it["level"], it["text"]))
    return found


async def test_a_machine_that_works_has_no_failures(alice: Machine) -> None:
    async with agent_on(alice) as claude:
        await claude.call("join_room", room="r")
        await claude.call("store_memory", room="r", content="we use PostgreSQL")

        # Just stored, it is not found by meaning for a moment, of which the doctor warns.
        found = await eventually(
            partial(findings_of, alice, code=0), lambda found: found["index"][0][0] == "ok"
        )

    assert found["daemon"][0][0] == "ok"
    assert found["daemon"][0][1].startswith(f"process {alice.daemon_pid()}, buddies ")
    assert found["host"][0][0] == "ok"
    assert found["store"] == [("ok", "1 memory")]
    assert found["index"] == [("ok", "1 memories, 0 waiting")]
    assert ("warn", "r: nobody else is present") in found["peers"]


async def test_without_a_daemon_it_says_so_and_starts_none(alice: Machine) -> None:
    found = await findings_of(alice, code=0)

    assert found["daemon"] == [("warn", "none is running")]
    assert (alice.daemon_pid(), alice.data_dir.exists()) == (None, False)


async def test_a_daemon_that_hangs_is_a_failure_that_names_the_way_out(alice: Machine) -> None:
    await alice.command("daemon", "start")
    pid = alice.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    answer = await alice.run("doctor")

    assert answer.code == 1
    assert f"a daemon, process {pid}, has the data directory and does not" in answer.output
    assert "→ replace it: buddies-cli daemon restart" in answer.output


async def test_a_host_that_hangs_is_a_failure(alice: Machine) -> None:
    async with agent_on(alice) as claude:
        await claude.call("list_rooms")
        pid = int((alice.data_dir / "host.lock").read_text().partition("\n")[0])
        os.kill(pid, signal.SIGSTOP)
        try:
            found = await findings_of(alice, code=1)
        finally:
            os.kill(pid, signal.SIGCONT)

    assert found["host"] == [
        ("fail", f"process {pid} serves the agents of this machine, and does not answer")
    ]


async def test_why_no_daemon_can_start_is_said_before_anybody_tries(alice: Machine) -> None:
    alice.data_dir.mkdir()
    broken = alice.with_environment(BUDDIES_SIGNER="ssh", BUDDIES_SSH_PRIVATE_KEY="/no/such/key")

    [(level, text)] = (await findings_of(broken, code=1))["daemon"]

    assert level == "fail"
    assert text.startswith("none is running, and none can start: the signer ssh can't work: ")


async def test_a_settings_file_that_is_broken_is_named_and_the_rest_is_looked_at(
    alice: Machine,
) -> None:
    settings = alice.home / ".config" / "buddies" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("network = nowhere\n")

    found = await findings_of(alice, code=1)

    assert [level for level, _ in found["settings"]] == ["fail"]
    assert str(settings) in found["settings"][0][1]
    assert found["versions"][0][0] == "ok"


async def test_a_relay_is_asked_only_if_a_person_wants_it(alice: Machine) -> None:
    """Port 9 of this machine: nobody listens there."""
    there = alice.with_environment(BUDDIES_RELAY_URL="http://127.0.0.1:9")

    asleep = await findings_of(there, code=0)
    asked = await findings_of(there, "--probe", code=1)

    assert asleep["relay"] == [("ok", "http://127.0.0.1:9; not tried (--probe)")]
    assert asked["relay"][0][0] == "fail"
    assert asked["relay"][0][1].startswith("http://127.0.0.1:9 does not answer: ")


async def test_a_bundle_holds_no_secret_of_the_machine(alice: Machine) -> None:
    """Also where a program has written one into a log."""
    signing = alice.with_environment(BUDDIES_SIGNER="generated", BUDDIES_LOG="debug")
    await signing.command("join", "launch", "--private")
    invite = (await signing.command("ticket", "launch"))["ticket"]
    ticket = (await signing.command("join", "open"))["ticket"]
    await signing.kill_daemon(signal.SIGTERM)
    paths = Paths(alice.data_dir, alice.data_dir / "run")
    room_secrets = await secrets_of_rooms(paths)
    invited = decode_ticket(invite)
    assert isinstance(invited, Invite)
    token = "tok-0123456789"  # noqa: S105 - a test's
    paths.http_token.write_text(f"{token}\n")
    node_key = paths.node_key.read_bytes()
    identity = (alice.data_dir / "identity_ed25519").read_text()
    secrets = [
        node_key.hex(),
        invite,
        ticket,
        invited.token.hex(),
        token,
        *identity.splitlines()[1:-1],
    ]
    secrets += [secret.hex() for secret in room_secrets]
    with paths.log.open("a") as log:
        log.write(f"{alice.home} " + "\n".join([*secrets, identity]) + "\n")
    file = alice.home / "problem.tar.gz"

    answer = await signing.run("doctor", "--bundle", str(file))

    assert answer.code == 0, answer
    held = members_of(file)
    assert {"doctor.json", "packages.txt", "files.txt", "core.log"} <= held.keys()
    raw = [node_key, invited.token, *room_secrets]
    for name, content in held.items():
        assert [it for it in secrets if it.encode().lower() in content.lower()] == [], name
        assert [it for it in raw if it in content] == [], name
        assert str(alice.home).encode() not in content, name
    assert len(room_secrets) == 1
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_bundle_replaces_no_file(alice: Machine) -> None:
    file = alice.home / "mine.tar.gz"
    file.write_text("mine")

    answer = await alice.run("doctor", "--bundle", str(file))

    assert answer == Answer(1, "", f"error: {file} already exists; give another name\n")
    assert file.read_text() == "mine"


async def secrets_of_rooms(paths: Paths) -> list[bytes]:
    """Return the secrets of all private rooms, as the store keeps them."""
    async with RocksStore.open(paths.store) as store:
        return [room.private.epoch.secret for room in store.rooms() if room.private is not None]


def members_of(file: Path) -> dict[str, bytes]:
    with tarfile.open(file) as archive:
        return {
            Path(it.name).name: opened.read()
            for it in archive.getmembers()
            if (opened := archive.extractfile(it)) is not None
        }
