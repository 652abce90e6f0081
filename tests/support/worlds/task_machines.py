"""Machines that share a room and hand tasks to each other: real services, a network in memory.

A machine can be killed as by `kill -9`: from then on nothing of that run is done, written or
answered, and only what was on its disk is there when it starts again. What is asked over the
network takes a while, and may get lost on either way, or arrive twice.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar
from uuid import UUID

from buddies_core.errors import BuddiesError, NotFound, StoreError, TimedOut, Unreachable
from buddies_core.identity.node_key import NodeKey
from buddies_core.legacy.tasks import TaskBroadcasts
from buddies_core.model.bodies import AgentPresence, Body
from buddies_core.model.ids import EndpointId, RoomName, TaskId, short
from buddies_core.model.room import Member
from buddies_core.model.task import Caller
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from buddies_core.store.task_records import OfferRecord, TaskRecord
from buddies_core.tasks.service import Tasks
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO
from tests.support.virtual_time import LoopClock

T = TypeVar("T")


class Killed(Exception):
    """The daemon that was asked is no more."""


@dataclass
class Weather:
    """How the network and the disks behave."""

    latency_s: tuple[float, float] = (0.001, 0.001)
    lost: float = 0.0
    """Of requests, and of replies."""
    doubled: float = 0.0
    """Of requests, of which the second comes up to half a minute later."""
    write_s: tuple[float, float] = (0.0, 0.0)


class Disk:
    """What one run of a daemon sees of its disk; nothing reaches it after the kill."""

    def __init__(self, kept: InMemoryStore, world: "TaskWorld", rng: Random) -> None:
        self._kept = kept
        self._world = world
        self._rng = rng
        self.dead = False
        self.full = False

    async def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        if self.full:
            raise StoreError("no space left on the disk")
        first, last = self._world.weather.write_s
        if last:
            await asyncio.sleep(self._rng.uniform(first, last))
        if self.dead:
            raise StoreError("this daemon is no more")
        await write()
        if last:
            await asyncio.sleep(self._rng.uniform(first, last))

    async def put_task(self, task: TaskRecord) -> None:
        await self._write(lambda: self._kept.put_task(task))

    def get_task(self, id: TaskId) -> TaskRecord | None:
        return self._kept.get_task(id)

    async def tasks(self) -> tuple[TaskRecord, ...]:
        return await self._kept.tasks()

    async def delete_task(self, id: TaskId) -> None:
        await self._write(lambda: self._kept.delete_task(id))

    async def put_offer(self, offer: OfferRecord) -> None:
        await self._write(lambda: self._kept.put_offer(offer))

    def get_offer(self, id: TaskId) -> OfferRecord | None:
        return self._kept.get_offer(id)

    async def offers(self) -> tuple[OfferRecord, ...]:
        return await self._kept.offers()

    async def delete_offer(self, id: TaskId) -> None:
        await self._write(lambda: self._kept.delete_offer(id))


@dataclass(eq=False)
class Daemon:
    """One run of a machine's daemon. It is the room, the network and the agents that it sees."""

    machine: "TaskMachine"
    disk: Disk
    rng: Random
    group: asyncio.TaskGroup
    said: list[Body] = field(default_factory=list)
    promised: "dict[asyncio.Future[Any], None]" = field(default_factory=dict)
    """What it has yet to answer."""

    def serve(self, work: Coroutine[Any, Any, T]) -> "tuple[asyncio.Future[T], asyncio.Task[None]]":
        """Begin to do something that ends with this daemon; return what will hold the answer."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.promised[answer] = None
        answer.add_done_callback(self.promised.pop)
        return answer, self.group.create_task(_answer(work, answer))

    @property
    def endpoint(self) -> EndpointId:
        return self.machine.endpoint

    def joined(self) -> tuple[RoomName, ...]:
        return self.machine.rooms

    def members(self, room: RoomName) -> tuple[Member, ...]:
        if room not in self.machine.rooms:
            raise NotFound(f"this machine is not in room {room!r}")
        return self.machine.members()

    def name_of(self, endpoint: EndpointId) -> str:
        names = {it.endpoint: it.name for it in self.machine.world.machines}
        return names.get(endpoint, short(endpoint))

    async def publish(self, room: RoomName, body: Body) -> bytes:
        assert room == DEMO, "only what was joined can be spoken in"
        self.said.append(body)
        return b""

    async def ask(
        self, peer: EndpointId, room: RoomName, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        self.members(room)
        copy = PeerRequest.FromString(request.SerializeToString())
        try:
            async with asyncio.timeout(timeout_s):
                return await self.machine.world.carry(self.machine, peer, copy)
        except TimeoutError:
            raise TimedOut(f"no answer within {timeout_s:g} s") from None


class TaskMachine:
    """A machine that may be on or off; its disk stays."""

    def __init__(self, world: "TaskWorld", name: str, skew_ms: int = 0) -> None:
        self.world = world
        self.name = name
        self.endpoint = NodeKey(name.encode().ljust(32, b".")).endpoint
        self.store = InMemoryStore()
        self.clock = LoopClock(skew_ms)
        self.agents: dict[UUID, AgentPresence] = {}
        self.rooms: tuple[RoomName, ...] = (DEMO,)
        self.legacy: tuple[Member, ...] = ()
        self.talks_legacy = True
        self.counters: Counter[str] = Counter()
        self.daemon: Daemon | None = None
        self.started = asyncio.Event()
        self._life: asyncio.Task[None] | None = None
        self._tasks: Tasks | None = None
        self.starts = 0
        self.last_heard_s: dict[EndpointId, float] = {}

    @property
    def tasks(self) -> Tasks:
        """The service of the daemon that runs now."""
        if self._tasks is None:
            raise Killed(self.name)
        return self._tasks

    async def start(self) -> None:
        """Start the daemon; on return it has read its disk and serves."""
        self.starts += 1
        rng = Random(f"{self.world.seed} {self.name} {self.starts}")
        ready = asyncio.Event()
        self._life = self.world.group.create_task(self._live(rng, ready))
        await ready.wait()

    def kill(self) -> None:
        """End the daemon as if it had never been told."""
        if self.daemon is not None and self._life is not None:
            self.daemon.disk.dead = True
            # In order: the group would cancel them in any, and one seed have many outcomes.
            for answer in tuple(self.daemon.promised):
                if not answer.done():
                    answer.set_exception(Killed(self.name))
                    answer.exception()  # Nobody may be waiting any more.
            self.daemon = self._tasks = None
            self.started.clear()
            self.agents.clear()
            self._life.cancel()

    async def _live(self, rng: Random, ready: asyncio.Event) -> None:
        disk = Disk(self.store, self.world, rng)
        with suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                daemon = Daemon(self, disk, rng, group)
                tasks = Tasks(
                    store=disk,
                    rooms=daemon,
                    clock=self.clock,
                    rng=rng,
                    counters=self.counters,
                    legacy=TaskBroadcasts(daemon, self.clock) if self.talks_legacy else None,
                )
                await tasks.load()
                self.daemon, self._tasks = daemon, tasks
                self.last_heard_s.clear()
                group.create_task(tasks.run())
                self.started.set()
                ready.set()

    def attach(self, id: UUID, name: str, *capabilities: str) -> Caller:
        """Attach an agent, and return it as a caller."""
        presence = AgentPresence(name=name, capabilities=capabilities)
        self.agents[id] = presence
        self.tasks.agent_attached(id, presence)
        return Caller(agent_id=id, agent=name, user="", capabilities=capabilities)

    def detach(self, id: UUID) -> None:
        """End an agent's shim."""
        if self.agents.pop(id, None) is not None:
            self.tasks.agent_detached(id)

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what the daemon answers; raises Killed if it is killed before."""
        if self.daemon is None:
            work.close()
            raise Killed(self.name)
        answer, calling = self.daemon.serve(work)
        try:
            return await answer
        finally:
            calling.cancel()

    def members(self) -> tuple[Member, ...]:
        """Return who is present, as this machine sees it: who is cut off for long is not."""
        now_s = self.clock.now_s()
        found = [self._member(self, is_self=True)]
        for other in self.world.machines:
            if other is self:
                continue
            if self.world.reaches(self, other):
                self.last_heard_s[other.endpoint] = now_s
            if now_s - self.last_heard_s.setdefault(other.endpoint, now_s) < 90.0:
                found.append(self._member(other))
        return (*found, *self.legacy)

    def _member(self, machine: "TaskMachine", *, is_self: bool = False) -> Member:
        return Member(
            endpoint=machine.endpoint,
            name=machine.name,
            agents=tuple(machine.agents.values()),
            is_self=is_self,
        )


class TaskWorld:
    """All machines and the network between them. Use it as `async with`; leaving ends all."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.rng = Random(f"{seed} network")
        self.weather = Weather()
        self.machines: list[TaskMachine] = []
        self.islands: list[frozenset[str]] = []
        """Each is cut off from everybody else."""
        self.asked: list[tuple[str, str, PeerRequest]] = []
        self.on_reply: Callable[[TaskMachine, TaskMachine, PeerRequest, PeerReply], None] = (
            lambda caller, machine, request, reply: None
        )
        self.group = asyncio.TaskGroup()

    async def __aenter__(self) -> "TaskWorld":
        await self.group.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        for machine in self.machines:
            machine.kill()
        await self.group.__aexit__(*error)

    async def machine(self, name: str, *, skew_ms: int = 0) -> TaskMachine:
        """Add a machine and start its daemon."""
        machine = TaskMachine(self, name, skew_ms)
        self.machines.append(machine)
        await machine.start()
        return machine

    def reaches(self, one: TaskMachine, other: TaskMachine) -> bool:
        """Whether the one's messages get to the other now."""
        if one.daemon is None or other.daemon is None:
            return False
        return all((one.name in it) == (other.name in it) for it in self.islands)

    async def carry(
        self, caller: TaskMachine, peer: EndpointId, request: PeerRequest
    ) -> Sequence[PeerReply]:
        """Return a machine's answer; a cancelled caller does not cancel what is done there."""
        other = next((it for it in self.machines if it.endpoint == peer), None)
        rng, weather = self.rng, self.weather
        if other is None:
            raise Unreachable("no such machine")
        self.asked.append((caller.name, other.name, request))
        await asyncio.sleep(rng.uniform(*weather.latency_s))
        if not self.reaches(caller, other):
            if other.daemon is None:
                raise Unreachable("connection refused")
            await asyncio.Event().wait()
        if rng.random() < weather.lost:
            await asyncio.Event().wait()
        if rng.random() < weather.doubled:
            self.group.create_task(self._again(caller, other, request, rng.uniform(0, 30)))
        assert other.daemon is not None, "who is reached is on"
        answer, _ = other.daemon.serve(self._serve(caller, other, request))
        try:
            replies = await answer
        except Killed:
            raise Unreachable("the connection was lost") from None
        is_lost = rng.random() < weather.lost
        await asyncio.sleep(rng.uniform(*weather.latency_s))
        if is_lost or not self.reaches(other, caller):
            await asyncio.Event().wait()
        return replies

    async def _serve(
        self, caller: TaskMachine, other: TaskMachine, request: PeerRequest
    ) -> Sequence[PeerReply]:
        replies = await other.tasks.answer(caller.endpoint, DEMO, request)
        for reply in replies:
            self.on_reply(caller, other, request, reply)
        return replies or [PeerReply()]

    async def _again(
        self, caller: TaskMachine, other: TaskMachine, request: PeerRequest, delay_s: float
    ) -> None:
        await asyncio.sleep(delay_s)
        if other.daemon is not None:
            other.daemon.serve(self._serve(caller, other, request))


async def _answer(work: Coroutine[Any, Any, T], answer: "asyncio.Future[T]") -> None:
    """Do it, and bring what comes of it to who waits."""
    try:
        result = await work
    except BuddiesError as error:
        if not answer.done():
            answer.set_exception(error)
            answer.exception()  # Nobody may be waiting any more.
    else:
        if not answer.done():
            answer.set_result(result)
