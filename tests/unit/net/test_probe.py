"""A host that takes connections is told from one that does not, and names are not asked often."""

import asyncio
import socket
from contextlib import closing

import pytest

from buddies_core.net import probe as module
from buddies_core.net.probe import FOUND_KEPT_S, MISSED_KEPT_S, Probe, look_up
from tests.support.fakes.clocks import ManualClock


async def test_only_a_port_that_takes_connections_is_reached() -> None:
    probe = Probe(ManualClock())
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
        assert await probe.reaches("127.0.0.1", port)
    assert not await probe.reaches("127.0.0.1", port)


@pytest.mark.parametrize("found", [["127.0.0.1"], []])
async def test_a_name_is_looked_up_anew_after_a_while_or_in_another_network(
    monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    asked: list[str] = []

    async def asks(host: str) -> list[str]:
        asked.append(host)
        return found

    monkeypatch.setattr(module, "look_up", asks)
    clock = ManualClock()
    probe = Probe(clock)
    kept_s = FOUND_KEPT_S if found else MISSED_KEPT_S
    for after_s, looks_up in ((0, 1), (kept_s - 1, 1), (2, 2)):
        clock.monotonic_s += after_s
        await probe.reaches("relay.example", 9)
        assert len(asked) == looks_up
    probe.forget()
    await probe.reaches("relay.example", 9)
    assert len(asked) == 3


async def test_a_name_that_the_system_knows_is_found_and_no_other_is() -> None:
    async with asyncio.timeout(10):
        assert await look_up("127.0.0.1") == ["127.0.0.1"]
        assert await look_up("no-such-host.invalid") == []
