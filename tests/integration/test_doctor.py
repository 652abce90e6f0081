"""What the doctor finds out from a daemon of another version, and from a relay."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from buddies_cli.doctor.asking import ask_daemon, ask_relay
from buddies_core import launcher
from buddies_core.errors import VersionMismatch
from buddies_core.local_protocol import PROTOCOL
from buddies_core.paths import Paths, data_lock_holder
from tests.support.worlds.relay import a_relay

ROOT = Path(__file__).parents[2]
STUB = (sys.executable, "-m", "tests.support.worlds.stub_daemon")


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    paths = Paths(tmp_path / "data", tmp_path / "data" / "run")
    yield paths
    if pid := data_lock_holder(paths):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(("protocol", "version"), [(PROTOCOL - 1, "0.0.9"), (PROTOCOL + 1, "99.0")])
async def test_a_daemon_that_this_program_can_not_talk_to_is_looked_at_all_the_same(
    paths: Paths, protocol: int, version: str
) -> None:
    paths.create()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "STUB_PROTOCOL": str(protocol),
        "STUB_VERSION": version,
    }
    with suppress(VersionMismatch):  # it runs, which is all that is wanted
        await launcher.ensure_daemon(paths, environ, STUB)

    facts = await ask_daemon(paths, environ, can_check=True)

    assert facts.info is not None
    assert (facts.info.protocol, facts.info.version) == (protocol, version)
    assert facts.pid == data_lock_holder(paths)
    assert facts.status is not None


async def test_a_relay_that_answers_is_told_with_its_status() -> None:
    async with a_relay() as relay:
        facts = await ask_relay(relay.url)

    assert (facts.url, facts.problem) == (relay.url, "")
    assert facts.answered.startswith("HTTP 200, ")
