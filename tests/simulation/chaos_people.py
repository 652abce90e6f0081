"""What people and agents do on the machines of `chaos`, and what they were told."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from buddies_core.daemon.build import Parts
from buddies_core.errors import BuddiesError, StoreError
from buddies_core.model.ids import MemoryId, TaskId
from buddies_core.model.memory import MemoryFilter, MemoryKind, MemoryRef
from buddies_core.model.task import (
    Caller,
    TaskFailed,
    TaskResult,
    TaskSucceeded,
    TaskView,
)
from buddies_core.store.task_records import TaskRecord
from buddies_core.tasks.orders import Wish
from tests.support.memories import DEMO
from tests.support.worlds.whole_nodes import Agent, Killed, Machine

LONG_CHARS = 12_000
"""More than a broadcast holds."""
WORDS = ("postgres", "release", "deploy", "colour", "tests", "broken", "friday", "index")
TIMEOUT_S = (60.0, 240.0)


@dataclass
class Said:
    """What was acknowledged to people and agents of all machines."""

    done: Counter[str] = field(default_factory=Counter)
    stored: dict[MemoryId, str] = field(default_factory=dict)
    """By which machine."""
    deleting: set[MemoryId] = field(default_factory=set)
    """Memories that may be gone."""
    deleted: dict[MemoryId, str] = field(default_factory=dict)
    """Memories that are gone, and by which machine."""
    published: dict[str, str] = field(default_factory=dict)
    delegated: dict[tuple[str, str], TaskId] = field(default_factory=dict)
    """By machine and idempotency key."""
    accepted: defaultdict[TaskId, dict[str, None]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """The results of which an agent was told that they are accepted."""
    gone: set[str] = field(default_factory=set)
    """Machines that are off for good."""
    over: bool = False

    def wrong_results(self, name: str, kept: Mapping[TaskId, TaskRecord]) -> list[str]:
        """Return what a requester shows that agents were told otherwise."""
        found = []
        for (machine, key), id in self.delegated.items():
            if machine != name:
                continue
            record = kept.get(id)
            if record is None:
                found.append(f"task {key} of {name} is lost")
                continue
            told = list(self.accepted[id])
            if len(told) > 1:
                found.append(f"task {key} of {name} has two accepted results: {told}")
            found += [
                f"task {key} of {name}: {it!r} was accepted, but {record.result} is shown"
                for it in told
                if it != text_of(record.result)
            ]
        return found


@dataclass
class Person:
    """Stores, deletes, publishes, votes, searches and hands out tasks, for a while."""

    said: Said
    machine: Machine
    rng: Random
    for_s: float
    number: int = 0

    async def live(self) -> None:
        """Do one thing after the other."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.for_s
        while loop.time() < until_s and self.machine.name not in self.said.gone:
            await asyncio.sleep(self.rng.expovariate(1 / 4))
            self.number += 1
            what = self.rng.choices(
                (
                    self.store,
                    self.store_long,
                    self.replace,
                    self.delete,
                    self.publish,
                    self.vote,
                    self.search,
                    self.notify,
                    self.delegate,
                ),
                (12, 2, 2, 2, 2, 3, 3, 2, 6),
            )[0]
            try:
                await what()
            except Killed:
                self.said.done["calls of killed daemons"] += 1
            except BuddiesError:
                self.said.done["calls refused"] += 1

    async def store(self) -> None:
        """Store a short memory."""
        await self._store(self._text())

    async def store_long(self) -> None:
        """Store a memory that does not fit into a broadcast."""
        await self._store(f"{self._text()} " * (LONG_CHARS // 30))

    async def replace(self) -> None:
        """Store a memory in the place of another one, of anybody."""
        if id := await self._any_memory():
            self.said.done["replaced"] += 1
            await self._store(self._text(), MemoryRef(id))

    async def _store(self, text: str, supersedes: MemoryRef | None = None) -> None:
        view = await self.machine.call(
            lambda it: it.memories.store(
                DEMO, "", text, MemoryKind.CONTEXT, (), (), supersedes, agent="claude", user=""
            )
        )
        self.said.stored[view.id] = self.machine.name
        self.said.done["memories"] += 1

    async def delete(self) -> None:
        """Delete a memory of this machine."""
        own = [id for id, name in self.said.stored.items() if name == self.machine.name]
        own = [it for it in own if it not in self.said.deleting]
        if own:
            id = self.rng.choice(own)
            self.said.deleting.add(id)
            await self.machine.call(
                lambda it: it.memories.amending.delete(MemoryRef(id), "", agent="claude", user="")
            )
            self.said.deleted[id] = self.machine.name
            self.said.done["deleted"] += 1

    async def publish(self) -> None:
        """Publish a skill, long or short."""
        text = f"{self._text()} " * self.rng.choice((1, 1, 400))
        view = await self.machine.call(
            lambda it: it.skills.publish(
                DEMO, self._text(), text, (), 0, None, agent="claude", user=""
            )
        )
        self.said.published[view.hash] = self.machine.name
        self.said.done["skills"] += 1

    async def vote(self) -> None:
        """Vote on any skill."""
        skills = await self.machine.call(lambda it: it.skills.list(DEMO, (), 1000))
        if skills.results:
            skill, score = self.rng.choice(skills.results), self.rng.choice((1, -1))
            await self.machine.call(
                lambda it: it.skills.vote(DEMO, skill.hash, score, agent="claude", user="")
            )
            self.said.done["votes"] += 1

    async def search(self) -> None:
        """Ask all members, and read what was found first."""
        query = self.rng.choice(WORDS)
        found = await self.machine.call(
            lambda it: it.services.search.search(query, MemoryFilter(room=DEMO), 3.0, 10)
        )
        ids = [it.id for it in found.results]
        assert len(ids) == len(set(ids)), f"found twice: {ids}"
        self.said.done["searches"] += 1
        if ids:
            await self.machine.call(lambda it: it.memories.get(ids[0], 0, 20_000))

    async def notify(self) -> None:
        """Tell what this machine does."""
        await self.machine.call(
            lambda it: it.services.rooms.notify(DEMO, f"at number {self.number}", None)
        )

    async def delegate(self) -> None:
        """Hand out a task; until there is an answer, with the same key."""
        name, key, rng = self.machine.name, f"task {self.number}", self.rng
        others = [it for it in self.machine.world.machines if it is not self.machine]
        peer = rng.choice(others).key.endpoint.hex()
        target: dict[str, str] = rng.choice(
            ({}, {}, {}, {"capability": "tests"}, {"agent": "gemini"}, {"peer": peer})
        )
        retryable, timeout_s = rng.random() < 0.8, rng.uniform(*TIMEOUT_S)
        requester = Caller(agent_id=UUID(int=1), agent="claude", user="")
        wish = Wish(
            room=DEMO,
            description=f"do {key} of {name}",
            timeout_s=timeout_s,
            peer=target.get("peer", ""),
            agent=target.get("agent", ""),
            capability=target.get("capability", ""),
            idempotency_key=key,
            retryable=retryable,
            parent=None,
        )
        # Some clients ask again though they were answered, maybe by another daemon by then.
        asks = 2 if rng.random() < 0.3 else 1
        for _ in range(5):
            try:
                id = await self.machine.call(lambda it: _delegated(it, wish, requester))
            except (Killed, StoreError):
                await asyncio.sleep(2)
                continue
            self.said.delegated[name, key] = id
            asks -= 1
            if not asks:
                self.said.done["tasks"] += 1
                break
            await asyncio.sleep(rng.uniform(0, 10))
        else:
            return
        if rng.random() < 0.1:
            await asyncio.sleep(rng.uniform(0, 20))
            await self.machine.call(lambda it: it.tasks.cancel(id, "not needed", requester))
            self.said.done["cancels"] += 1

    async def _any_memory(self) -> MemoryId | None:
        listed = await self.machine.call(lambda it: it.memories.list(MemoryFilter(room=DEMO), 20))
        return self.rng.choice(listed.results).id if listed.results else None

    def _text(self) -> str:
        words = " ".join(self.rng.choices(WORDS, k=4))
        return f"{self.machine.name} {self.number} {words}"


@dataclass
class ChaosAgent:
    """An agent that does the tasks that it gets: quickly, slowly, wrongly, or not at all."""

    said: Said
    agent: Agent
    rng: Random
    is_attached: bool = False

    @property
    def machine(self) -> Machine:
        """Where the agent is."""
        return self.agent.machine

    @property
    def name(self) -> str:
        return self.agent.name

    async def work(self) -> None:
        """Work until all is over."""
        while not self.said.over:
            self.is_attached = self.machine.life is self.agent.life and self.is_attached
            try:
                await self.agent.attach()
                self.is_attached = True
                for view in await self._poll():
                    if self.rng.random() < 0.04:
                        self.said.done["agents gone"] += 1
                        self.is_attached = False
                        await self.agent.detach()
                        await asyncio.sleep(self.rng.uniform(0, 30))
                        break
                    await self._do(view.id)
            except Killed:
                await asyncio.sleep(0.5)
            except BuddiesError:
                await asyncio.sleep(1)

    async def _poll(self) -> tuple[TaskView, ...]:
        wait_s, limit = (5.0, self.rng.randint(1, 3))
        poll = self.agent.call(lambda it, me: it.tasks.poll(me, None, wait_s, limit))
        patience_s = self.rng.uniform(0, 5) if self.rng.random() < 0.1 else None
        try:
            async with asyncio.timeout(patience_s):
                return await poll
        except TimeoutError:
            self.said.done["polls broken off"] += 1
            return ()

    async def _do(self, id: TaskId) -> None:
        loop, rng = asyncio.get_running_loop(), self.rng
        if rng.random() < 0.03:
            self.said.done["rejections"] += 1
            with suppress(BuddiesError):
                await self.agent.call(lambda it, me: it.tasks.reject(id, "not for me", me))
            return
        until_s = loop.time() + rng.choices((rng.uniform(0, 3), rng.uniform(10, 100)), (12, 1))[0]
        while loop.time() < until_s:
            await asyncio.sleep(min(10.0, until_s - loop.time()))
            with suppress(BuddiesError, Killed):
                await self.agent.call(lambda it, me: it.tasks.progress(id, "at it", me))
        output = f"{id} by {self.machine.name}/{self.name} {loop.time():.3f}"
        success = rng.random() > 0.05
        while not self.said.over and self.machine.name not in self.said.gone:
            try:
                verdict = await self.agent.call(
                    lambda it, me: it.tasks.submit(id, success, output, me)
                )
            except (Killed, StoreError):
                # The agent outlives the daemon, attaches again and says it once more.
                await asyncio.sleep(0.5)
                continue
            except BuddiesError:
                self.said.done["submits refused"] += 1
                return
            if verdict.verdict == "accepted":
                self.said.accepted[id][output] = None
            self.said.done[f"submits {verdict.verdict}"] += 1
            return


async def _delegated(parts: Parts, wish: Wish, requester: Caller) -> TaskId:
    view = await parts.tasks.delegate(
        room=wish.room,
        description=wish.description,
        timeout_s=wish.timeout_s,
        peer=wish.peer,
        agent_target=wish.agent,
        capability=wish.capability,
        idempotency_key=wish.idempotency_key,
        retryable=wish.retryable,
        parent=wish.parent,
        caller=requester,
    )
    return view.id


def text_of(result: TaskResult | None) -> str | None:
    """Return what a result says."""
    match result:
        case TaskSucceeded(text) | TaskFailed(text):
            return text
        case None:
            return None
