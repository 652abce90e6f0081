"""Alice's daemon in a room, with a forger beside it: whole daemons, real keys, loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId
from tests.support.forgers import ForgersKeys, forgers_keys
from tests.support.memories import DEMO
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import Person, some_person
from tests.support.worlds.whole_daemon import (
    Stranger,
    WholeDaemon,
    a_stranger_among,
    a_whole_daemon,
)


@dataclass(frozen=True)
class HostileRoom:
    """Alice's daemon in a room, and Mallory, her neighbor there."""

    owner: Person
    """Of Alice's machine."""
    other: Person
    """Has a machine of their own, whose daemon is not yet started."""
    forger: Person
    keys: ForgersKeys
    alice: WholeDaemon
    mallory: Stranger

    @asynccontextmanager
    async def second(
        self, person: Person | None = None, **environ: str
    ) -> AsyncIterator[WholeDaemon]:
        """Run the other's daemon, or that person's, in the room with Alice's."""
        person = person or self.other
        environ = person.environ | {"BUDDIES_USER": "bob"} | environ
        async with a_whole_daemon(person.home, environ) as daemon:
            await daemon.client.join_room(DEMO, (await self.alice.client.room_ticket(DEMO)).ticket)
            endpoint = daemon.client.info.endpoint
            await eventually(lambda: members(self.alice), lambda it: endpoint in it)
            yield daemon

    async def hears(self, *raw: bytes) -> None:
        """Have the stranger say this, and wait until all of it has been dealt with."""
        for said in raw:
            await self.mallory.says(said)
        nonsense, before = b"\xff" * 16 + uuid4().bytes, await self.alice.counters()
        await self.mallory.says(nonsense)
        # It was heard in this order, so all before it has at least been begun.
        await eventually(self.alice.counters, lambda it: it != before)
        await self.alice.has_settled()

    async def memories(self) -> dict[str, tuple[Verified, str]]:
        """Return Alice's memories by content, with who vouches for them."""
        listed = (await self.alice.client.list_memories()).results
        return {it.content: (it.verified, it.signed_by) for it in listed}


async def members(daemon: WholeDaemon) -> dict[EndpointId, tuple[str, Verified]]:
    status = await daemon.client.room_status(DEMO)
    return {it.endpoint: (it.name, it.verified) for it in status.members if not it.is_self}


@asynccontextmanager
async def a_world() -> AsyncIterator[HostileRoom]:
    with some_person() as owner, some_person() as other, some_person() as forger:
        keys = forgers_keys(forger, owner)
        async with a_whole_daemon(owner.home, owner.environ) as alice:
            await alice.client.join_room(DEMO)
            async with a_stranger_among(alice) as mallory:
                yield HostileRoom(owner, other, forger, keys, alice, mallory)
