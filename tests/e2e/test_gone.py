"""What a daemon keeps is deleted or another one's: it says so, and acknowledges nothing."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.eventually import until
from tests.support.processes import alive
from tests.support.worlds.machines import CommandFailed, Machine
from tests.support.worlds.meeting import ROOM


@pytest.mark.parametrize("what", ["data", "data/store"])
async def test_nothing_is_acknowledged_once_the_data_directory_is_deleted_and_the_daemon_ends(
    alice: Machine, what: str
) -> None:
    await alice.command("join", ROOM)
    pid = alice.daemon_pid()
    assert pid is not None
    log = alice.home / "seen.log"
    os.link(alice.data_dir / "core.log", log)
    await asyncio.to_thread(shutil.rmtree, alice.home / what)

    with pytest.raises(CommandFailed) as refused:
        await alice.command("memory", "store", "We use PostgreSQL", "--room", ROOM)
    assert "saved" not in str(refused.value)
    await until(lambda: not alive(pid))
    assert "data_directory_gone" in log.read_text()


async def test_a_node_key_with_other_bytes_is_told_as_another_peer(alice: Machine) -> None:
    before = (await alice.command("join", ROOM))["warnings"]
    assert not any("another peer" in warning for warning in before)
    await alice.command("daemon", "stop")
    (alice.data_dir / "node_key").write_bytes(os.urandom(32))

    joined = await alice.command("join", ROOM)
    assert any("is another peer than before" in warning for warning in joined["warnings"])
    status = await alice.command("daemon", "status")
    assert any("is another peer than before" in warning for warning in status["warnings"])
    await alice.command("daemon", "restart")
    status = await alice.command("daemon", "status")
    assert not any("another peer" in warning for warning in status["warnings"])


async def test_a_damaged_log_is_told_in_joins_and_status_and_by_doctor_until_it_is_deleted(
    alice: Machine,
) -> None:
    await alice.command("join", ROOM)
    for number in range(12):
        await alice.command("memory", "store", f"{number} " + "x" * 3000, "--room", ROOM)
    await alice.kill_daemon()
    await asyncio.to_thread(flip_a_bit_of_the_newest_log, alice.data_dir / "store")

    def tells(answer: dict[str, Any]) -> bool:
        return any("was damaged on disk" in warning for warning in answer["warnings"])

    assert tells(await alice.command("join", ROOM))
    status = await alice.command("daemon", "status")
    assert tells(status)
    assert 0 < status["memories"] < 12
    listed = (await alice.command("memory", "list"))["results"]
    assert len(listed) == status["memories"]
    doctor = await alice.run("doctor", "--json")
    assert "was damaged on disk" in doctor.output

    await asyncio.to_thread(delete_what_is_aside, alice.data_dir)
    assert not tells(await alice.command("daemon", "status"))


def flip_a_bit_of_the_newest_log(store: Path) -> None:
    log = max(store.glob("*.log"))
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)


def delete_what_is_aside(data: Path) -> None:
    [aside] = data.glob("store.damaged-*")
    shutil.rmtree(aside)
