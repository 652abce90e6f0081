"""Whole daemons of several people in this process, who meet in a private room."""

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

from buddies_core.model.ids import RoomName
from buddies_core.model.room import JoinReport
from buddies_core.rooms.room import Room
from tests.support.worlds.meeting import eventually
from tests.support.worlds.whole_daemon import WholeDaemon, a_whole_daemon

SECRET = RoomName("secret")


@dataclass
class Someone:
    """A person's machine, on or off; its disk stays."""

    name: str
    home: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    daemon: WholeDaemon | None = None
    _life: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def on(self) -> WholeDaemon:
        """The daemon that runs."""
        assert self.daemon is not None, f"{self.name}'s machine is off"
        return self.daemon

    async def start(self) -> None:
        """Turn the machine on."""
        environ = {"BUDDIES_USER": self.name, "BUDDIES_SIGNER": "none", **self.environ}
        self.daemon = await self._life.enter_async_context(a_whole_daemon(self.home, environ))

    async def stop(self) -> None:
        """Turn it off."""
        self.daemon = None
        await self._life.aclose()

    async def join(
        self, ticket: str | None = None, *, room: RoomName = SECRET, private: bool = False
    ) -> JoinReport:
        return await self.on.client.join_room(room, ticket, private=private)

    async def opens(self, room: RoomName = SECRET) -> str:
        """Open a private room, and return an invite for up to ten."""
        assert (await self.join(room=room, private=True)).ticket == "", "none is made unasked"
        return (await self.on.client.room_ticket(room, uses=10)).ticket

    def room(self, name: RoomName = SECRET) -> Room:
        return self.on.parts.inbound.rooms.room(name)

    def number(self) -> int:
        """Return the epoch that its private room is in."""
        epochs = self.room().epochs
        assert epochs is not None, "an open room has no epochs"
        return epochs.keyring.epoch.number

    async def sees(self, *names: str, room: RoomName = SECRET) -> None:
        """Return once exactly these are in the room with it."""

        async def others() -> set[str]:
            status = await self.on.client.room_status(room)
            return {member.name for member in status.members if not member.is_self}

        await eventually(others, lambda seen: seen == set(names))

    async def stores(self, content: str, room: RoomName = SECRET) -> None:
        await self.on.client.store_memory(room=room, content=content)

    async def contents(self, room: RoomName | None = None) -> list[str]:
        """Return what is kept here, the oldest first."""
        listed = await self.on.client.list_memories(room=room)
        return [memory.content for memory in reversed(listed.results)]

    async def hears(self, *contents: str) -> None:
        """Return once exactly these memories are kept here."""
        await eventually(self.contents, lambda kept: sorted(kept) == sorted(contents))


@asynccontextmanager
async def people(
    *names: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Someone, ...]]:
    """Yield these people's machines, all on; off and gone at the end."""
    everybody = tuple(
        Someone(name, Path(mkdtemp(prefix=f"b-{name[:3]}-")), environ or {}) for name in names
    )
    async with AsyncExitStack() as stack:
        for one in everybody:
            stack.callback(shutil.rmtree, one.home)
            stack.push_async_callback(one.stop)
            await one.start()
        yield everybody
