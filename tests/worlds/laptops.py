"""Laptops in an internet in a box: real daemons, shims and agents, and a relay for them."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

from tests.support.worlds.machines import (
    Agent,
    CommandFailed,
    Machine,
    agent_on,
    programs_in,
    some_machines,
)
from tests.support.worlds.meeting import ROOM, all_memories, names
from tests.support.worlds.relay import Relay, a_relay
from tests.worlds import inside, namespaces
from tests.worlds.internet import Host, Internet, Network, an_internet

RELAY_PORT = 3340
ASK_AGAIN_AFTER_S = 0.1
PROGRAMS = ("buddies", "buddies-cli")


@dataclass(slots=True)
class RelayHost:
    """A host on the public segment whose relay can be ended and started again."""

    host: Host
    relay: Relay | None = None
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def url(self) -> str:
        """The relay's URL, also while it is down."""
        address = self.host.addresses[0].ip
        return f"http://{f'[{address}]' if address.version == 6 else address}:{RELAY_PORT}/"

    async def start(self) -> None:
        """Let the relay run."""
        address = self.host.addresses[0].ip
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        make = partial(socket.create_server, (str(address), RELAY_PORT), family=family)
        listening = namespaces.inside(self.host.namespace, make)
        self.relay = await self._running.enter_async_context(a_relay(listening))

    async def stop(self) -> None:
        """End the relay, as a restart does: its clients' connections are closed."""
        await self._running.aclose()
        self.relay = None


@dataclass(frozen=True, slots=True)
class Laptop:
    """Somebody's machine, where it is, and the agent that works on it."""

    user: str
    machine: Machine
    host: Host
    agent: Agent

    async def join(self, ticket: str | None = None) -> str:
        """Join the room and return its ticket."""
        more = {"ticket": ticket} if ticket else {}
        answer = await self.agent.call("join_room", room=ROOM, **more)
        return str(answer["ticket"])

    async def say(self, text: str) -> None:
        """Store a memory in the room."""
        await self.agent.call("store_memory", room=ROOM, content=text)

    async def sees(self) -> set[str]:
        """Return who is in the room, by name."""
        return names(await self.agent.call("get_room_status", room=ROOM))

    async def has(self) -> set[str]:
        """Return all memories that this machine has."""
        return {memory["content"] for memory in await all_memories(self.agent)}

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Stop all programs of this machine until the block ends, as closing the lid does."""
        pids = programs_in(self.machine.home)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@dataclass(slots=True)
class World:
    """An internet, and what is plugged into it."""

    internet: Internet
    _stack: AsyncExitStack
    _texts: Iterator[int] = field(default_factory=count)

    async def relay(self, address: str = "198.51.100.1/24") -> RelayHost:
        """Return a relay that runs on the public segment."""
        relay = RelayHost(self.internet.host(self.internet.public, address))
        self._stack.push_async_callback(relay.stop)
        await relay.start()
        return relay

    async def laptop(
        self,
        user: str,
        network: Network,
        *addresses: str,
        relay: RelayHost | None = None,
        dead_bridges: int = 0,
        mode: str = "",
    ) -> Laptop:
        """Return a laptop that is plugged in, with an agent that has joined nothing."""
        host = self.internet.host(network, *addresses)
        host.add_dead_bridges(dead_bridges)
        (machine,) = self._stack.enter_context(some_machines(user))
        machine = machine.with_environment(
            PATH=f"{_programs(machine, host)}:{os.environ['PATH']}",
            BUDDIES_NETWORK=mode or "lan",
            # Which keys this machine's owner has does not matter here.
            BUDDIES_SIGNER="none",
            **({"BUDDIES_RELAY_URL": relay.url} if relay else {}),
        )
        agent = await self._stack.enter_async_context(agent_on(machine))
        return Laptop(user, machine, host, agent)

    def a_text(self, of: Laptop) -> str:
        """Return a text that nobody has said."""
        return f"What {of.user} found out, part {next(self._texts)}"

    async def meet(self, *laptops: Laptop, within_s: float = 60.0) -> str:
        """Bring them all into one room by the ticket of the first; return the ticket."""
        first, *others = laptops
        ticket = await first.join()
        for other in others:
            await other.join(ticket)
        everybody = {laptop.user for laptop in laptops}
        seconds = await seconds_until(laptops, lambda it: it.sees(), everybody, within_s)
        assert seconds is not None, f"{everybody} see each other within {within_s:g} s"
        return ticket

    async def share_s(
        self, teller: Laptop, *hearers: Laptop, within_s: float = 60.0
    ) -> float | None:
        """Return how long a new memory takes to all hearers; None if longer than that."""
        text = self.a_text(teller)
        await teller.say(text)
        return await seconds_until_all_have(hearers, {text}, within_s)

    async def joins(self, laptop: Laptop, ticket: str) -> bool:
        """Return whether one call of join_room with this ticket works."""
        try:
            await laptop.join(ticket)
        except CommandFailed:
            return False
        return True


async def seconds_until(
    laptops: Sequence[Laptop],
    ask: Callable[[Laptop], Awaitable[set[str]]],
    wanted: set[str],
    within_s: float,
) -> float | None:
    """Return how long it takes until all of these answer with all that is wanted.

    None stands for longer than that.
    """
    began_s = time.monotonic()
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            for laptop in laptops:
                while not wanted <= await ask(laptop):  # noqa: ASYNC110 - across processes
                    await asyncio.sleep(ASK_AGAIN_AFTER_S)
            return time.monotonic() - began_s
    return None


async def seconds_until_all_have(
    laptops: Sequence[Laptop], texts: set[str], within_s: float
) -> float | None:
    """Return how long it takes until all of these have all of the texts; None if longer."""
    return await seconds_until(laptops, lambda it: it.has(), texts, within_s)


@asynccontextmanager
async def a_world(seed: int = 1) -> AsyncIterator[World]:
    """Make a world; all of its programs and namespaces end with the block."""
    with an_internet(seed) as internet:
        async with AsyncExitStack() as stack:
            yield World(internet, stack)


def _programs(machine: Machine, host: Host) -> Path:
    """Return a directory with our programs, each of which runs in the host's namespace."""
    directory = machine.home / "bin"
    directory.mkdir()
    namespace = f"/proc/{os.getpid()}/fd/{host.namespace}"
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None, f"{name} is installed in the virtual environment"
        path = directory / name
        path.write_text(
            f'#!/bin/sh\nexec {sys.executable} -I -S {inside.__file__} {namespace} {program} "$@"\n'
        )
        path.chmod(0o700)
    return directory
