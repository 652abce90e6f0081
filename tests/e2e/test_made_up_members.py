"""What made-up members can do to a room: real daemons, which lose each other after the attack."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import pytest

from buddies_core.identity.node_key import NodeKey
from buddies_core.model.address import AddressInfo, SocketAddress
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import RoomName, topic_of
from buddies_core.rooms.presence import MEMBERS_PER_NEIGHBOR_MAX
from buddies_core.wire.room_messages import RoomMessage, Trailer, encode_room_message, seal
from tests.support.worlds.attacker import an_attacker, memory_mb
from tests.support.worlds.machines import Agent, Machine, agent_on, some_machines
from tests.support.worlds.meeting import ROOM, eventually, meet, names
from tests.support.worlds.networks import a_mute_port

pytestmark = pytest.mark.timeout(120)

ANSWERS_WITHIN_S = 1.0
GROWS_AT_MOST_MB = 50
MADE_UP = 4200
"""More members than are remembered of a room."""
MEETS_WITHIN_S = 5.0


@dataclass(slots=True)
class Team:
    """Alice and Bob, who share a room that the attacker knows and another one that it does not."""

    alice: Machine
    bob: Machine
    alices: Agent
    bobs: Agent
    waits_s: list[float] = field(default_factory=list)
    """How long Alice's agent waited for what it said during the attack."""
    said: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def goes_on_talking(self, *, stores: bool = True) -> AsyncIterator[None]:
        """Have Alice's agent notify, and store, for as long as the block runs.

        To store takes memory of its own: 200 MB for a hundred memories in a row, as measured.
        """
        began_mb = memory_mb(self.alice)
        done = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._talk(done, stores=stores))
            try:
                yield
            finally:
                done.set()
        assert max(self.waits_s) < ANSWERS_WITHIN_S, sorted(self.waits_s)[-5:]
        assert memory_mb(self.alice) - began_mb < GROWS_AT_MOST_MB

    async def _talk(self, done: asyncio.Event, *, stores: bool) -> None:
        for number in count():
            if done.is_set():
                return
            began_s = time.monotonic()
            await self.alices.call("notify_peers", room=ROOM, text=f"at work {number}")
            self.waits_s.append(time.monotonic() - began_s)
            await asyncio.sleep(0.05)
            if stores:
                began_s = time.monotonic()
                await self.alices.call("store_memory", room=ROOM, content=f"note {number}")
                self.waits_s.append(time.monotonic() - began_s)
                self.said.append(f"note {number}")

    async def meets_again_after_a_power_cut(self) -> float:
        """Kill and start both daemons; return how long it takes until each sees the other."""
        for machine in (self.alice, self.bob):
            await machine.kill_daemon()
        began_s = time.monotonic()
        for agent in (self.alices, self.bobs):
            await agent.call("list_rooms")
        for agent in (self.alices, self.bobs):
            status = partial(agent.call, "get_room_status", room=ROOM)
            await eventually(status, lambda it: names(it) >= {"alice", "bob"}, 60)
        took_s = time.monotonic() - began_s
        await self.warm_up()
        return took_s

    async def warm_up(self) -> None:
        """Have both daemons load model and index, so that these are not counted as their growth."""
        for agent in (self.alices, self.bobs):
            await agent.call("store_memory", room=ROOM, content="the launch is on Friday")
            found = partial(agent.call, "search_memory", query="launch")
            await eventually(found, lambda it: len(it["results"]) > 0)

    async def bob_has_all(self) -> None:
        """Wait until all that Alice's agent said has reached Bob's disk."""
        listed = partial(self.bobs.call, "list_memories", room=ROOM, limit=200)
        await eventually(
            listed, lambda it: {m["content"] for m in it["results"]} >= set(self.said[-200:])
        )


def made_up_presences(count: int) -> Iterator[bytes]:
    """Yield what so many members that don't exist would say of themselves."""
    with a_mute_port() as port:
        address = AddressInfo(None, (SocketAddress("127.0.0.1", port),))
    message = encode_room_message(RoomMessage(nonce=bytes(16), body=Presence("ghost", ())))
    for number in range(count):
        key = NodeKey(number.to_bytes(32, "big"))
        trailer = Trailer(sender=key.endpoint, sent_at_ms=1, address=address)
        yield seal(message, trailer, topic_of(RoomName(ROOM)), key.sign)


@asynccontextmanager
async def a_team() -> AsyncIterator[Team]:
    with some_machines("alice", "bob") as (alice, bob):
        async with agent_on(alice) as alices, agent_on(bob) as bobs:
            await meet(alices, bobs)
            team = Team(alice, bob, alices, bobs)
            await team.warm_up()
            yield team


async def test_made_up_members_do_not_keep_machines_from_finding_each_other_again() -> None:
    """Each presence is signed by a key of its own, and names an address where nobody answers."""
    async with a_team() as team:
        before_s = await team.meets_again_after_a_power_cut()
        async with (
            an_attacker(team.alice, ROOM) as attacker,
            team.goes_on_talking(stores=False),
        ):
            for said in made_up_presences(MADE_UP):
                await attacker.says(said)
            # All that it may bring in, and more: some of them come by way of Bob.
            status = partial(team.alice.command, "status", ROOM)
            await eventually(status, lambda it: it["members"] > MEMBERS_PER_NEIGHBOR_MAX, 60)
        listed = await team.alices.call("get_room_status", room=ROOM)
        assert listed["members"] <= 2 * MEMBERS_PER_NEIGHBOR_MAX + 3
        assert names(listed) == {"alice", "bob", "ghost"}
        after_s = await team.meets_again_after_a_power_cut()
        assert after_s < before_s + MEETS_WITHIN_S
