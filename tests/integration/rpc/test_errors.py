"""What goes wrong behind the socket, or with it, as the client tells it."""

import asyncio
import logging
import socket
from contextlib import AsyncExitStack

import pytest

from buddies_core import errors
from buddies_core.client import DaemonClient
from buddies_core.client.reasons import ERRORS
from buddies_core.errors import (
    BuddiesError,
    Busy,
    DaemonUnavailable,
    InvalidInput,
    NotAllowed,
    NotFound,
    Rotated,
    StoreError,
    StoreGone,
    TimedOut,
    Unreachable,
    VersionMismatch,
    WireError,
)
from buddies_core.local_protocol import PROTOCOL
from buddies_core.paths import Paths
from buddies_core.rpc.errors import STATUS_CODES, TEXT_CHARS_MAX
from tests.support.eventually import until
from tests.support.fakes.node import FakeNode, fake_node
from tests.support.fakes.services import JOIN_REPORT, daemon_info


class DialRefused(Unreachable):
    """A class that only the daemon knows."""


RAISED = [
    (kind("what happened: ☺; 50 %\nwhat to do next"), kind)
    for kind in (
        BuddiesError, Busy, InvalidInput, NotAllowed, NotFound, StoreError, TimedOut, Unreachable,
        WireError,
    )
] + [
    (DialRefused("refused"), Unreachable),
    (StoreGone("its directory was deleted"), StoreError),
]  # fmt: skip


@pytest.mark.parametrize(("raised", "seen"), RAISED, ids=lambda error: repr(error)[:12])
async def test_an_error_crosses_the_socket_with_its_class_and_its_text(
    raised: BuddiesError, seen: type[BuddiesError], client: DaemonClient, node: FakeNode
) -> None:
    node.rooms.failure = raised

    with pytest.raises(BuddiesError) as caught:
        await client.join_room("r")

    assert (type(caught.value), str(caught.value)) == (seen, str(raised))


def test_both_ends_know_every_error_that_can_cross() -> None:
    defined = {
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, BuddiesError)
    }

    assert set(STATUS_CODES) == set(ERRORS.values())
    assert set(STATUS_CODES) == defined - {DaemonUnavailable, VersionMismatch, Rotated, StoreGone}


async def test_a_text_too_long_for_metadata_is_cut_not_lost(
    client: DaemonClient, node: FakeNode
) -> None:
    node.rooms.failure = NotFound("☺" * 100_000)

    with pytest.raises(NotFound) as caught:
        await client.join_room("r")

    assert str(caught.value) == "☺" * TEXT_CHARS_MAX


async def test_a_bug_names_the_log_and_hides_its_text(
    client: DaemonClient, node: FakeNode, paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    node.rooms.failure = KeyError("secret")

    with pytest.raises(BuddiesError) as caught:
        await client.join_room("r")

    assert str(caught.value) == (
        "the daemon failed at this (KeyError), which is a bug of buddies; "
        f"what happened is in {paths.log}"
    )
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == "rpc_failed method=/buddies.room.Rooms/Join"
    assert record.exc_info is not None


async def test_one_failed_call_leaves_the_others_alone(
    client: DaemonClient, node: FakeNode
) -> None:
    node.rooms.failure = KeyError("secret")
    with pytest.raises(BuddiesError):
        await client.join_room("r")
    node.rooms.failure = None

    assert await client.join_room("feature-a") == JOIN_REPORT


async def test_without_a_daemon_the_text_says_how_to_start_one(paths: Paths) -> None:
    with pytest.raises(DaemonUnavailable) as caught:
        async with DaemonClient.connect(paths):
            pass

    assert str(caught.value) == (
        f"no daemon at {paths.socket}; start it with: buddies-cli daemon start"
    )


async def test_a_socket_that_nobody_answers_is_a_daemon_that_hangs(paths: Paths) -> None:
    paths.create()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(paths.socket))
        silent.listen()
        with pytest.raises(DaemonUnavailable, match=r"does not answer.*buddies-cli daemon restart"):
            async with DaemonClient.connect(paths, timeout_s=0.1):
                pass


@pytest.mark.parametrize(
    ("protocol", "remedy"),
    [
        (PROTOCOL - 1, "the daemon is older. Replace it: buddies-cli daemon restart"),
        (PROTOCOL + 1, "this program is older. If an agent's client started it, restart that"),
    ],
)
async def test_another_protocol_is_refused_with_both_versions_and_what_to_do(
    paths: Paths, protocol: int, remedy: str
) -> None:
    async with fake_node(paths, daemon_info(protocol=protocol)):
        with pytest.raises(VersionMismatch, match=rf"protocol {protocol}\).*{remedy}"):
            async with DaemonClient.connect(paths):
                pass


async def test_of_another_protocol_info_and_stop_still_work(paths: Paths) -> None:
    info = daemon_info(protocol=PROTOCOL + 1)
    async with fake_node(paths, info) as node, DaemonClient.connect_any_version(paths) as client:
        assert client.info == info
        assert await client.stop() == info.pid
        assert node.daemon.stop_requested.is_set()


async def test_a_call_that_takes_too_long_times_out(
    client: DaemonClient, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.client.rooms.JOIN_TIMEOUT_S", 0.1)
    node.rooms.hold = asyncio.Event()

    with pytest.raises(TimedOut, match=r"did not answer within 0\.1 s"):
        await client.join_room("r")


async def test_a_daemon_that_ends_during_a_call_leaves_its_effect_open(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.rpc.server.GRACE_S", 0.05)

    async def join(client: DaemonClient) -> None:
        with pytest.raises(DaemonUnavailable, match="may have happened or not"):
            await client.join_room("r")

    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group, fake_node(paths) as node:
        node.rooms.hold = asyncio.Event()
        client = await stack.enter_async_context(DaemonClient.connect(paths))
        group.create_task(join(client))
        await until(lambda: bool(node.rooms.calls))


async def test_an_error_raised_by_the_user_of_a_client_comes_out_as_it_went_in(
    paths: Paths, node: FakeNode
) -> None:
    async def fail() -> None:
        async with DaemonClient.connect(paths) as client:
            await client.attach("claude", "alice")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
