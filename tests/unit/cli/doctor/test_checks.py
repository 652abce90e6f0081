"""What the doctor says of a machine, from facts alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from buddies_cli.doctor.checks import CHECKS, examine
from buddies_cli.doctor.facts import (
    ClientFacts,
    ClockFacts,
    DaemonFacts,
    DataFacts,
    Facts,
    HostFacts,
    NetworkFacts,
    ProbeFacts,
    ProgramFacts,
    ServiceFacts,
    SettingsFacts,
    SignerFacts,
)
from buddies_cli.doctor.findings import Finding, Level
from buddies_core.model.contact import Path
from buddies_core.model.ids import RoomName, TopicId
from buddies_core.model.room import Member, RoomStatus
from tests.support.fakes.client import ALICE, BOB, STATUS

NOW_MS = 1_800_000_000_000
HEALTHY = Facts(
    programs=ProgramFacts(
        version="1.2.0",
        protocol=STATUS.info.protocol,
        python="3.12.1",
        system="Linux x86_64",
        shim="/bin/buddies",
        shim_says="buddies 1.2.0",
    ),
    settings=SettingsFacts(file="/home/a/config.toml", network="public", signer="git"),
    data=DataFacts(
        directory="/data",
        free_bytes=5_000_000_000,
        store_bytes=1_500_000,
        index_bytes=2_000,
        log_bytes=10,
        key_bytes=32,
        newest_ms=NOW_MS - 1000,
    ),
    daemon=DaemonFacts(
        socket="/run/core.sock",
        pid=7,
        info=replace(
            STATUS.info, version="1.2.0", network="public", signer="git", identity="ssh:key"
        ),
        status=replace(
            STATUS,
            info=replace(
                STATUS.info, version="1.2.0", network="public", signer="git", identity="ssh:key"
            ),
            index="12 memories, 0 waiting",
            model="ready",
            warnings=(),
            relay="https://relay.example",
            addresses=("192.0.2.7:4444",),
        ),
    ),
    host=HostFacts(pid=8, version="1.2.0"),
    signer=SignerFacts(agent_socket="/agent", agent_answers=True),
    clock=ClockFacts(wall_ms=NOW_MS, synchronized=True),
    clients=(ClientFacts(title="Codex", state="set up", file="/c.toml"),),
    service=ServiceFacts(installed=True, enabled=True, active=True),
    network=NetworkFacts(routes=("IPv4",), udp_port=4444),
    probe=ProbeFacts(url="https://relay.example", answered="HTTP 200, 0.05 s"),
    rooms=(
        RoomStatus(
            room=RoomName("r"),
            topic=TopicId(b""),
            members=(
                Member(endpoint=ALICE, name="alice", is_self=True),
                Member(endpoint=BOB, name="bob"),
            ),
            neighbors=1,
            joined_at_ms=0,
        ),
    ),
)


def with_(part: str, **changes: Any) -> Facts:
    """Return the healthy machine with something else in one part of it."""
    changed: Facts = replace(HEALTHY, **{part: replace(getattr(HEALTHY, part), **changes)})
    return changed


def status(**changes: Any) -> Facts:
    """Return the healthy machine, whose daemon says something else of itself."""
    assert HEALTHY.daemon.status is not None
    return with_("daemon", status=replace(HEALTHY.daemon.status, **changes))


def info(**changes: Any) -> Facts:
    assert HEALTHY.daemon.info is not None
    return with_("daemon", info=replace(HEALTHY.daemon.info, **changes))


def bad(facts: Facts) -> list[Finding]:
    return [it for it in examine(facts) if it.level is not Level.OK]


def test_nothing_is_wrong_with_a_healthy_machine_and_all_checks_say_so() -> None:
    found = examine(HEALTHY)

    assert [it.check for it in found if it.level is Level.OK] == [*CHECKS, "peers"]
    assert bad(HEALTHY) == []
    assert {it.remedy for it in found} == {""}


CASES: list[tuple[Facts, str, str, str]] = [
    (with_("programs", missing=("iroh",)), "versions", "fail", "lacks the packages iroh"),
    (with_("programs", shim=""), "versions", "fail", "no program buddies"),
    (with_("programs", shim_says="buddies 0.1.4"), "versions", "warn", "'buddies 0.1.4'"),
    (with_("programs", shim_says=""), "versions", "warn", "does not answer"),
    (with_("settings", problem="line 3: no"), "settings", "fail", "line 3: no"),
    (
        with_("settings", only_here=(("BUDDIES_USER", "user", "a b"),)),
        "settings",
        "warn",
        "BUDDIES_USER is set in this shell alone",
    ),
    (with_("data", problem="/data can't be written"), "data", "fail", "can't be written"),
    (with_("data", free_bytes=1_000_000), "data", "fail", "the disk is full: 1.0 MB are free"),
    (with_("data", free_bytes=60_000_000), "data", "warn", "nearly full: 60.0 MB"),
    (with_("data", key_bytes=31), "data", "fail", "the node key has 31 bytes, not 32"),
    (with_("data", exposed=("/data/node_key",)), "data", "warn", "other users can read"),
    (with_("daemon", socket_problem="too long"), "daemon", "fail", "too long"),
    (with_("daemon", pid=9, info=None, status=None), "daemon", "fail", "does not answer"),
    (with_("daemon", status=None, trouble="late"), "daemon", "fail", "report its state: late"),
    (with_("daemon", pid=None, info=None, status=None), "daemon", "warn", "none is running"),
    (
        with_("daemon", pid=None, info=None, status=None, start_problem="no key"),
        "daemon",
        "fail",
        "none can start: no key",
    ),
    (
        with_("daemon", pid=None, info=None, status=None, last_words="disk full"),
        "daemon",
        "warn",
        "the last one could not start: disk full",
    ),
    (info(version="1.10.0"), "daemon", "warn", "is newer than this program"),
    (info(version="1.1.9"), "daemon", "warn", "is still running, although 1.2.0 is installed"),
    (info(protocol=0), "daemon", "fail", "can't talk to it"),
    (status(warnings=("a twin",)), "daemon", "warn", "a twin"),
    (with_("host", answers=False), "host", "fail", "does not answer"),
    (with_("host", version="1.1.0"), "host", "warn", "is still buddies 1.1.0"),
    (with_("host", pid=None, last_words="no space"), "host", "warn", "no space"),
    (status(index="rebuilding: 5 of 900"), "index", "warn", "rebuilding: 5 of 900"),
    (status(index="5 memories, 0 waiting; broken"), "index", "warn", "broken"),
    (status(model="unavailable: no onnxruntime"), "model", "warn", "find only words"),
    (info(signer_problem="git can't sign"), "signer", "fail", "git can't sign; this shell has"),
    (info(identity=""), "signer", "warn", "no key of yours vouches"),
    (with_("signer", agent_answers=False), "signer", "warn", "no SSH agent answers at /agent"),
    (with_("clock", wall_ms=1_000), "clock", "fail", "the clock is wrong"),
    (with_("clock", wall_ms=NOW_MS - 7_200_000), "clock", "warn", "2 hours later"),
    (with_("clock", synchronized=False), "clock", "warn", "nothing synchronizes the clock"),
    (
        replace(HEALTHY, clients=(ClientFacts(title="Zed", state="differs", file="/z"),)),
        "clients",
        "warn",
        "Zed",
    ),
    (
        replace(HEALTHY, clients=(ClientFacts(title="Zed", state="unreadable", file="/z"),)),
        "clients",
        "fail",
        "Zed",
    ),
    (
        replace(HEALTHY, clients=(ClientFacts(title="Zed", state="not set up", file="/z"),)),
        "clients",
        "warn",
        "Zed does not know buddies",
    ),
    (replace(HEALTHY, clients=()), "clients", "warn", "no MCP client was found"),
    (with_("service", is_current=False), "service", "warn", "not correct"),
    (with_("service", enabled=False), "service", "warn", "does not start at login"),
    (with_("network", routes=()), "network", "warn", "no network connection"),
    (status(addresses=()), "network", "warn", "knows no address of its own"),
    (status(relay=""), "network", "warn", "no relay can be reached"),
    (info(network="loopback"), "network", "warn", "no other machine can be reached"),
    (
        replace(info(network="lan"), network=NetworkFacts(routes=("IPv4",), firewalls=("ufw",))),
        "network",
        "warn",
        "ufw is on",
    ),
    (replace(HEALTHY, probe=ProbeFacts(url="")), "relay", "warn", "no relay is known"),
    (
        replace(HEALTHY, probe=ProbeFacts(url="https://r", problem="refused")),
        "relay",
        "fail",
        "https://r does not answer: refused",
    ),
    (
        replace(HEALTHY, rooms=(replace(HEALTHY.rooms[0], members=()),)),
        "peers",
        "warn",
        "r: nobody else is present",
    ),
    (replace(HEALTHY, problems=("the host: boom",)), "doctor", "warn", "the host: boom"),
]


@pytest.mark.parametrize(("facts", "check", "level", "said"), CASES)
def test_what_is_wrong_is_said_by_one_check_with_what_to_do(
    facts: Facts, check: str, level: str, said: str
) -> None:
    found = [it for it in bad(facts) if it.check == check]

    assert [it.level.value for it in found] == [level]
    assert said in found[0].text
    assert found[0].remedy
    # Without a daemon less is known, and that is no further trouble.
    assert {it.check for it in bad(facts)} == {check}


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (
            lambda: with_("settings", only_here=(("BUDDIES_USER", "user", "a b"),)),
            "to keep it: buddies-cli config set user 'a b'",
        ),
        (
            lambda: replace(
                info(network="lan"),
                network=NetworkFacts(routes=("IPv4",), udp_port=4444, firewalls=("ufw",)),
            ),
            "sudo ufw allow 4444/udp",
        ),
        (
            lambda: with_("daemon", pid=9, info=None, status=None),
            "replace it: buddies-cli daemon restart; its log is in /data",
        ),
    ],
)
def test_what_to_do_is_what_can_be_typed(change: Callable[[], Facts], remedy: str) -> None:
    assert [it.remedy for it in bad(change())] == [remedy]


def test_every_check_says_something_whatever_is_missing() -> None:
    for facts, *_ in CASES:
        assert {it.check for it in examine(facts)} >= CHECKS.keys()


def test_each_member_is_shown_with_the_way_to_it() -> None:
    members = (
        Member(endpoint=BOB, name="bob", path=Path.DIRECT, round_trip_ms=12),
        Member(endpoint=BOB, name="carol", path=Path.RELAY),
        Member(endpoint=BOB, name="dave", silent_since_ms=1, path=Path.RELAY),
        Member(endpoint=BOB, name="eve"),
    )
    facts = replace(HEALTHY, rooms=(replace(HEALTHY.rooms[0], members=members),))

    assert [it.text for it in examine(facts) if it.check == "peers"][1:] == [
        "r: bob (direct, 12 ms), carol (relay), dave (silent), eve"
    ]
