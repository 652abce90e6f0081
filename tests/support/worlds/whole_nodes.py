"""Machines on a virtual clock, each with all of a daemon but its socket, its disk and its UDP port.

`daemon/build` puts each together, over a store in memory and iroh in memory. A machine can be
killed, which leaves what was on its disk; frozen, as by a closed lid or SIGSTOP; cut off; have its
disk filled, its clock set, and its address changed.
"""

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast
from uuid import UUID

from buddies_core.daemon.build import Parts, build
from buddies_core.daemon.config import Config
from buddies_core.daemon.outside import Outside
from buddies_core.errors import BuddiesError, StoreError
from buddies_core.finding.embedder import Embedder
from buddies_core.finding.feeding import DocumentSource
from buddies_core.finding.index import Index
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.ids import RoomName
from buddies_core.model.task import Caller
from buddies_core.net.binding import NetworkMode
from buddies_core.net.context import NetContext
from buddies_core.net.endpoint import Endpoint
from buddies_core.paths import Paths
from buddies_core.rpc.server import GRACE_S
from buddies_core.store.quotas import Quotas
from buddies_core.store.rocks import RocksStore
from tests.support.fakes.quic import FakeIroh, Quic, fake_endpoint
from tests.support.in_memory.store import InMemoryStore
from tests.support.virtual_time import Freezer, LoopClock
from tests.support.worlds.team import FakeEmbedder, FakeIndex

T = TypeVar("T")

_READS = ("list", "memories_since", "heads_since", "skills_since", "tasks", "offers", "records")
_PARTS = ("amendments", "skills", "invites", "policies")


class Killed(Exception):
    """The daemon that was asked is no more."""


class Disk:
    """What one run of a daemon sees of its disk; nothing reaches it after the kill."""

    def __init__(self, kept: Any, life: "Life") -> None:
        self._kept = kept
        self._life = life

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._kept, name)
        if name in _PARTS:
            value = Disk(value, self._life)
        elif inspect.iscoroutinefunction(value) and not name.startswith(_READS) and name != "read":
            value = self._writing(value)
        elif not callable(value):
            return value
        self.__dict__[name] = value  # This is not called for it again.
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_kept", "_life"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._kept, name, value)

    def _writing(self, write: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        async def commit(*args: Any, **named: Any) -> T:
            life = self._life
            if life.machine.disk_full:
                raise StoreError("can't write: no space left on device")
            await asyncio.sleep(life.rng.uniform(0.0, 0.02))
            if life.dead:
                raise StoreError("this daemon is no more")
            done = await write(*args, **named)
            await asyncio.sleep(life.rng.uniform(0.0, 0.02))
            return done

        return commit

    # What a store on a real disk has besides

    def warnings(self) -> tuple[str, ...]:
        return ()

    def peer_before(self, endpoint: bytes) -> None:
        return None

    async def note_peer(self, endpoint: bytes) -> None:
        pass

    async def upgrade(self) -> None:
        pass


@dataclass(eq=False)
class Life:
    """One run of a machine's daemon."""

    machine: "Machine"
    rng: Random
    freezer: Freezer = field(default_factory=Freezer)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    dead: bool = False
    parts: Parts | None = None
    task: asyncio.Task[None] | None = None
    promised: "dict[asyncio.Future[Any], None]" = field(default_factory=dict)
    """What it has yet to answer."""
    _group: asyncio.TaskGroup | None = None
    _calls: "dict[asyncio.Task[None], None]" = field(default_factory=dict)

    def is_on(self) -> bool:
        """Whether it sends and receives packets."""
        return not self.dead and not self.freezer.closed and not (self.task and self.task.done())

    @property
    def serves(self) -> bool:
        """Whether it answers, or will when it is thawed."""
        return self.parts is not None and not self.dead and not self.stop.is_set()

    async def live(self) -> None:
        """Run until it is stopped, or never again once it is killed."""
        try:
            async with (
                build(self.machine.config, self.stop, self._outside()) as parts,
                asyncio.TaskGroup() as group,
            ):
                self.parts, self._group = parts, group
                loops = [group.create_task(loop) for loop in parts.loops()]
                self.ready.set()
                await self.stop.wait()
                # As `rpc/server` does: calls that are being answered get a moment.
                if self._calls:
                    await asyncio.wait(self._calls, timeout=GRACE_S)
                for task in (*self._calls, *loops):
                    task.cancel()
        except BaseException as error:
            if not self.dead:
                self.machine.world.faults.append(f"{self.machine.name} ended: {error!r}")
                logging.getLogger(__name__).exception("daemon_ended")
            raise
        finally:
            self.ready.set()
            self.ended.set()
            self.end_answers()

    def call(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> "asyncio.Future[T]":
        """Have the daemon do something; the future fails with Killed if it ends before."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._group is None or not self.serves:
            answer.set_exception(Killed(self.machine.name))
            return answer
        work = _answer(ask, answer)
        try:
            calling = self._group.create_task(work, context=self.freezer.context())
        except RuntimeError:  # It is ending, by a bug of its own.
            work.close()
            answer.set_exception(Killed(self.machine.name))
            return answer
        self.promised[answer] = None
        answer.add_done_callback(lambda it: self.promised.pop(it, None))
        self._calls[calling] = None
        calling.add_done_callback(lambda it: self._calls.pop(it, None))
        return answer

    def end_answers(self) -> None:
        """Tell whoever waits for this daemon that it is no more."""
        for answer in tuple(self.promised):
            if not answer.done():
                answer.set_exception(Killed(self.machine.name))
                answer.exception()  # Nobody may be waiting any more.

    def _outside(self) -> Outside:
        return Outside(
            clock=self.machine.clock,
            rng=self.rng,
            open_store=self._open_store,
            bind=self._bind,
            open_embedder=_open_embedder,
            open_index=_open_index,
        )

    @asynccontextmanager
    async def _open_store(self, path: Path, quotas: Quotas) -> AsyncIterator[RocksStore]:
        yield cast(RocksStore, Disk(self.machine.store, self))

    async def _bind(self, *, context: NetContext, **_: object) -> tuple[Endpoint, tuple[str, ...]]:
        machine = self.machine
        iroh = FakeIroh(machine.world.quic, machine.key.endpoint, machine.port, self.is_on)
        return fake_endpoint(iroh, context), ()


@asynccontextmanager
async def _open_embedder(_model: object) -> AsyncIterator[Embedder]:
    yield cast(Embedder, FakeEmbedder())


@asynccontextmanager
async def _open_index(
    _directory: Path, source: DocumentSource, _embedder: Embedder
) -> AsyncIterator[Index]:
    yield cast(Index, FakeIndex(source))


async def _answer(ask: Callable[[], Coroutine[Any, Any, T]], answer: "asyncio.Future[T]") -> None:
    try:
        result = await ask()
    except BuddiesError as error:
        if not answer.done():
            answer.set_exception(error)
            answer.exception()  # Nobody may be waiting any more.
    else:
        if not answer.done():
            answer.set_result(result)


class Machine:
    """A machine that may be on or off; its disk stays."""

    def __init__(self, world: "World", name: str, number: int) -> None:
        self.world = world
        self.name = name
        self.port = 10_000 + number
        self.key = NodeKey(name.encode().ljust(32, b"."))
        self.store = InMemoryStore()
        self.clock = LoopClock()
        self.disk_full = False
        self.life: Life | None = None
        self.starts = 0
        paths = Paths(world.directory / name, world.directory / name / "run")
        paths.data_dir.mkdir()
        paths.node_key.write_bytes(self.key.seed)
        paths.node_key.chmod(0o600)
        self.config = Config(
            paths=paths,
            user=name,
            network=NetworkMode.LOOPBACK,
            relay_url=None,
            legacy=True,
            model=None,
            environ={"BUDDIES_SIGNER": "none", "HOME": str(world.directory)},
        )

    @property
    def parts(self) -> Parts:
        """What runs now; raises Killed if nothing does."""
        if self.life is None or self.life.parts is None or not self.life.serves:
            raise Killed(self.name)
        return self.life.parts

    @property
    def is_on(self) -> bool:
        """Whether its daemon serves."""
        return self.life is not None and self.life.serves

    @property
    def is_frozen(self) -> bool:
        """Whether nothing of its daemon runs."""
        return self.life is not None and self.life.freezer.closed

    async def start(self) -> None:
        """Start the daemon; on return it serves, or has ended."""
        self.starts += 1
        life = Life(self, Random(f"{self.world.seed} {self.name} {self.starts}"))
        self.life = life
        self.world.lives.append(life)
        life.task = asyncio.create_task(life.live(), context=life.freezer.context())  # noqa: TID251 - it outlives any group
        await life.ready.wait()

    def kill(self) -> None:
        """End the daemon as if it had never been told."""
        life, self.life = self.life, None
        if life is not None:
            life.dead = life.freezer.closed = True
            life.ready.set()
            life.ended.set()
            life.end_answers()

    async def shut_down(self) -> None:
        """End the daemon as a restart does."""
        life = self.life
        if life is not None:
            life.stop.set()
            await life.ended.wait()
            self.life = None

    def freeze(self) -> None:
        """Stop all that the machine does."""
        if self.life is not None:
            self.life.freezer.closed = True

    def thaw(self) -> None:
        """Let it go on."""
        if self.life is not None and self.life.freezer.closed:
            self.life.freezer.open()

    async def join(self, room: RoomName, ticket: str | None) -> str:
        """Be in a room, and return a ticket to it."""
        report = await self.call(
            lambda it: it.services.room_changes.join(
                room, ticket, None, private=False, history=None
            )
        )
        return report.ticket

    async def call(self, ask: Callable[[Parts], Coroutine[Any, Any, T]]) -> T:
        """Return what the daemon answers; raises Killed if it ends before."""
        parts = self.parts
        assert self.life is not None
        return await self.life.call(lambda: ask(parts))


class Agent:
    """An agent that is attached to a machine's daemon, and attaches again to the next."""

    def __init__(self, machine: Machine, name: str, *capabilities: str) -> None:
        self.machine = machine
        self.name = name
        self._capabilities = capabilities
        self.life: Life | None = None
        """The daemon that it is attached to."""
        self._leave = asyncio.Event()
        self._id: UUID | None = None

    async def call(self, ask: Callable[[Parts, Caller], Coroutine[Any, Any, T]]) -> T:
        """Return what the daemon answers the agent; raises Killed if it ends before."""
        await self.attach()
        me = Caller(agent_id=self._id, agent=self.name, user="", capabilities=self._capabilities)
        return await self.machine.call(lambda it: ask(it, me))

    async def attach(self) -> None:
        """Attach to the daemon that runs now, if it is another one; raises Killed if none does."""
        life = self.machine.life
        if life is None or not self.machine.is_on:
            raise Killed(self.machine.name)
        if life is not self.life:
            attached: asyncio.Future[UUID] = asyncio.get_running_loop().create_future()
            leave = self._leave = asyncio.Event()
            life.call(lambda: self._stay(life, attached, leave))
            life.promised[attached] = None
            self._id = await attached
            life.promised.pop(attached)
            self.life = life

    async def detach(self) -> None:
        """End the agent; the next call of it is a new one's."""
        self._leave.set()
        self.life = None

    async def _stay(
        self, life: Life, attached: "asyncio.Future[UUID]", leave: asyncio.Event
    ) -> None:
        assert life.parts is not None
        with life.parts.services.agents.attach(
            name=self.name, user="", pid=1, capabilities=self._capabilities
        ) as agent:
            if not attached.done():
                attached.set_result(agent.id)
            ends = [asyncio.ensure_future(it.wait()) for it in (leave, life.stop)]  # noqa: TID251
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()


class World:
    """All machines and the network between them. Use it as `async with`; leaving ends all."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.seed = seed
        self.directory = directory
        self.quic = Quic(Random(f"{seed} network"))
        self.machines: list[Machine] = []
        self.lives: list[Life] = []
        self.faults: list[str] = []
        """Daemons that have ended by themselves, and why."""
        self._network: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "World":
        self._network = asyncio.create_task(self.quic.run())  # noqa: TID251 - ends with the world
        return self

    async def __aexit__(self, *_: object) -> None:
        for life in self.lives:
            life.dead = True
            life.end_answers()
            if life.task is not None and not life.task.done():
                life.task.cancel()
            life.freezer.open()
        tasks = [life.task for life in self.lives if life.task is not None]
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # A dead daemon may say what it likes.
        if self._network is not None:
            self._network.cancel()

    def machine(self, name: str) -> Machine:
        """Return a new machine, which is off."""
        machine = Machine(self, name, len(self.machines))
        self.machines.append(machine)
        return machine

    def bugs(self) -> Counter[str]:
        """Return how often each daemon met a bug while acting on what a peer said."""
        return Counter(
            {
                life.machine.name: life.parts.inbound.counters["bugs"]
                for life in self.lives
                if life.parts is not None
            }
        )
