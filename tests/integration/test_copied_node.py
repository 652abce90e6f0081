"""A data directory that was copied to a second machine: two nodes with one key."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from buddies_core.rooms import room
from tests.support.memories import DEMO
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import some_person
from tests.support.worlds.whole_daemon import WholeDaemon, a_whole_daemon

SAYS = "another machine uses this machine's key; it spoke "


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nodes speak and ask every second or so, not every half a minute."""
    monkeypatch.setattr(room, "PRESENCE_EVERY_S", 1.0)
    monkeypatch.setattr(room, "REUNITE_EVERY_S", 0.5)
    monkeypatch.setattr(room, "ABOUT_US_EVERY_S", 0.5)


def says_so(warnings: tuple[str, ...]) -> bool:
    return any(it.startswith(SAYS) for it in warnings)


@asynccontextmanager
async def a_copied_node() -> AsyncIterator[tuple[WholeDaemon, WholeDaemon]]:
    """Run Alice's daemon and one with a copy of her data directory, in a room with Carol."""
    with some_person() as owner, some_person() as second, some_person() as other:
        async with a_whole_daemon(other.home, {"BUDDIES_USER": "carol"}) as carol:
            ticket = (await carol.client.join_room(DEMO)).ticket
            async with a_whole_daemon(owner.home, {}) as alice:
                await alice.client.join_room(DEMO, ticket)
            shutil.copytree(owner.home / "data", second.home / "data")
            async with a_whole_daemon(owner.home, {}) as alice:
                assert not says_so((await alice.client.status()).warnings)
                async with a_whole_daemon(second.home, {"BUDDIES_USER": "copy"}) as copy:
                    assert alice.client.info.endpoint == copy.client.info.endpoint
                    yield alice, copy


async def test_both_say_so_at_every_door() -> None:
    """Peers keep one connection to both, so either may be out of touch for some seconds."""
    async with a_copied_node() as nodes:
        for node in nodes:
            # Asked only: a join has the node speak, which hides the other for a moment.
            await eventually(node.client.status, lambda status: says_so(status.warnings), 45)
            assert says_so((await node.client.room_status(DEMO)).warnings)
            assert says_so((await node.client.join_room(DEMO)).warnings)


async def test_a_node_that_was_moved_says_nothing_of_the_messages_from_before() -> None:
    """The others hand on what its former machine said after the copy was made."""
    with some_person() as owner, some_person() as second, some_person() as other:
        async with a_whole_daemon(other.home, {"BUDDIES_USER": "carol"}) as carol:
            ticket = (await carol.client.join_room(DEMO)).ticket
            async with a_whole_daemon(owner.home, {}) as alice:
                await alice.client.join_room(DEMO, ticket)
            shutil.copytree(owner.home / "data", second.home / "data")
            async with a_whole_daemon(owner.home, {}) as alice:
                await alice.client.store_memory(room=DEMO, content="after the copy")
                me = alice.client.info.endpoint
                await eventually(
                    lambda: carol.client.list_memories(room=DEMO), lambda it: it.results != ()
                )
            async with a_whole_daemon(second.home, {}) as moved:
                found = await eventually(
                    lambda: moved.client.search_memory("after the copy"), lambda it: it.answered
                )
                assert [it.author for it in found.results] == [me.hex()]
                assert not says_so((await moved.client.status()).warnings)
