"""Tasks while everything dies: kills, splits, lost and doubled messages, slow and vanishing agents.

Some agents also break their polls off.

    python -m tests.simulation.chaos_tasks [--seed N] [--tasks 1000] [--workers 8]

Whole nodes run on a virtual clock. First harm, while the tasks are handed out and worked on; then
all heals, and everything must come to its end in bounded time. A seed decides everything, so one
seed twice gives one outcome. What is counted is what agents and disks saw, not what the code says:

- no task has two accepted results, nor another one than the requester shows;
- each task whose `delegate` was answered is on the requester's disk, once, in a final state;
- no result that an agent was told is accepted is missing.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from buddies_core.errors import BuddiesError, Busy
from buddies_core.model.ids import TaskId
from buddies_core.model.task import (
    PERSON,
    Caller,
    TaskFailed,
    TaskResult,
    TaskState,
    TaskSucceeded,
    TaskView,
)
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest, Verdict
from tests.support.memories import DEMO
from tests.support.virtual_time import run_virtually
from tests.support.worlds.task_machines import Killed, TaskMachine, TaskWorld

HARM_S = 900.0
HEALED_WITHIN_S = 2 * 3600.0
"""Start and finish limits together, and time to spare."""
DAY_MS = 86_400_000
REQUESTER = Caller(agent_id=UUID(int=1), agent="claude", user="")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the tasks, and what was done to the machines."""

    states: dict[str, int]
    harm: dict[str, int]
    violations: tuple[str, ...]
    virtual_s: int


@dataclass
class Chaos:
    """One run."""

    seed: int
    tasks: int
    workers: int
    harm_s: float = HARM_S
    harm: Counter[str] = field(default_factory=Counter)
    asked: dict[str, TaskId] = field(default_factory=dict)
    """The task by idempotency key, once `delegate` was answered."""
    verdicts: defaultdict[TaskId, dict[tuple[int, str], None]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    """The accepted results by attempt and text, as the network carried them."""
    heard: dict[TaskId, TaskResult] = field(default_factory=dict)
    """The results of which an agent was told that they are accepted."""
    over: bool = False

    async def run(self) -> Outcome:
        """Return what became of it all."""
        async with TaskWorld(self.seed) as world:
            world.on_reply = self._on_reply
            rng = Random(f"{self.seed} chaos")
            requester = await world.machine("requester", skew_ms=DAY_MS)
            machines = [requester]
            for number in range(self.workers):
                skew_ms = (-DAY_MS, 0, DAY_MS)[number % 3]
                machines.append(await world.machine(f"worker{number}", skew_ms=skew_ms))
            world.weather.latency_s = (0.001, 0.2)
            world.weather.lost = world.weather.doubled = 0.02
            world.weather.write_s = (0.0, 0.02)
            for number, machine in enumerate(machines):
                for name in ("codex", "gemini")[: 1 + number % 2]:
                    agent = ChaosAgent(self, machine, name, Random(f"{self.seed} {number} {name}"))
                    world.group.create_task(agent.work())
            deadline_s = self.harm_s + HEALED_WITHIN_S
            # What is not over by then will be found.
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline_s):
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._do_harm(world, rng))
                        for first in range(10):
                            numbers = range(first, self.tasks, 10)
                            rng_of = Random(f"{self.seed} delegate {first}")
                            group.create_task(self._delegate(requester, numbers, rng_of))
                    await self._wait_all_over(requester)
                    # Whatever is still under way may not change anything any more.
                    await asyncio.sleep(120)
            self.over = True
            return self._outcome(requester, asyncio.get_running_loop().time())

    async def _delegate(self, requester: TaskMachine, numbers: Sequence[int], rng: Random) -> None:
        for number in numbers:
            await asyncio.sleep(rng.uniform(0, 0.9 * self.harm_s / max(1, len(numbers)) * 2))
            key = f"task {number}"
            target = rng.choices(self._targets(requester.world), (16, 1, 1, 1))[0]
            retryable = rng.random() < 0.9
            cancels = rng.random() < 0.03
            while key not in self.asked:
                with suppress(Killed, Busy):
                    view = await requester.call(
                        requester.tasks.delegate(
                            room=DEMO,
                            description=f"Do number {number}",
                            timeout_s=None,
                            peer=target.get("peer", ""),
                            agent_target=target.get("agent_target", ""),
                            capability=target.get("capability", ""),
                            idempotency_key=key,
                            retryable=retryable,
                            parent=None,
                            caller=REQUESTER,
                        )
                    )
                    self.asked[key] = view.id
                    break
                await asyncio.sleep(1)
            if cancels:
                await asyncio.sleep(rng.uniform(0, 60))
                with suppress(Killed, BuddiesError):
                    canceled = requester.tasks.cancel(self.asked[key], "not needed", PERSON)
                    await requester.call(canceled)
                    self.harm["cancels"] += 1

    def _targets(self, world: TaskWorld) -> tuple[dict[str, str], ...]:
        first_worker = world.machines[1].endpoint.hex()
        return {}, {"agent_target": "gemini"}, {"capability": "tests"}, {"peer": first_worker}

    async def _do_harm(self, world: TaskWorld, rng: Random) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < self.harm_s:
            await asyncio.sleep(rng.uniform(2, 15))
            match rng.choices(("kill", "split", "kill requester", "slow"), (8, 4, 2, 2))[0]:
                case "kill":
                    victim = rng.choice(world.machines[1:])
                    world.group.create_task(self._kill(victim, rng.choice((0.5, 5, 40, 120))))
                case "kill requester":
                    victim = world.machines[0]
                    world.group.create_task(self._kill(victim, rng.choice((0.5, 5, 90))))
                case "split":
                    count = rng.randint(1, max(1, len(world.machines) // 2))
                    names = frozenset(it.name for it in rng.sample(world.machines, count))
                    world.group.create_task(self._split(world, names, rng.uniform(1, 150)))
                case _:
                    self.harm["slow spells"] += 1
                    world.weather.latency_s = (0.001, rng.choice((0.2, 2.0, 8.0)))
        world.weather.latency_s = (0.001, 0.05)
        world.weather.lost = world.weather.doubled = 0.0
        world.islands.clear()
        for machine in world.machines:
            with suppress(TimeoutError):
                async with asyncio.timeout(150):
                    await machine.started.wait()

    async def _kill(self, machine: TaskMachine, for_s: float) -> None:
        if machine.daemon is None:
            return
        self.harm["requester kills" if machine.name == "requester" else "worker kills"] += 1
        machine.kill()
        await asyncio.sleep(for_s)
        await machine.start()

    async def _split(self, world: TaskWorld, names: frozenset[str], for_s: float) -> None:
        self.harm["splits"] += 1
        world.islands.append(names)
        await asyncio.sleep(for_s)
        if names in world.islands:
            world.islands.remove(names)

    async def _wait_all_over(self, requester: TaskMachine) -> None:
        for id in self.asked.values():
            while True:
                with suppress(Killed):
                    view = await requester.call(_last(requester, id))
                    if view:
                        break
                await requester.started.wait()

    def _on_reply(
        self, caller: TaskMachine, machine: TaskMachine, request: PeerRequest, reply: PeerReply
    ) -> None:
        if reply.verdict.kind == Verdict.ACCEPTED:
            submit = request.submit_result
            id = TaskId(UUID(bytes=submit.task_id))
            self.verdicts[id][submit.attempt, submit.output] = None

    def _outcome(self, requester: TaskMachine, now_s: float) -> Outcome:
        kept = {id: requester.store.get_task(id) for id in self.asked.values()}
        violations = [f"delegated twice: {key}" for key in self._keys_with_two(requester)]
        violations += [f"lost: {key}" for key, id in self.asked.items() if kept[id] is None]
        for id, record in kept.items():
            if record is None:
                continue
            if not record.state.is_terminal:
                violations.append(f"not over: {id} {record.state}")
            if len(self.verdicts[id]) > 1:
                violations.append(f"two accepted results: {id} {list(self.verdicts[id])}")
            for attempt, output in self.verdicts[id]:
                text = _text(record.result)
                if (attempt, output) != (record.attempt, text):
                    violations.append(f"accepted, but not shown: {id} {attempt} {output!r}")
            if id in self.heard and self.heard[id] != record.result:
                violations.append(f"an agent was told otherwise: {id}")
        states = Counter(str(record.state) for record in kept.values() if record)
        lates = sum(len(record.late) for record in kept.values() if record)
        attempts = sum(record.attempt for record in kept.values() if record)
        harm = self.harm | Counter({"leases": attempts, "late results": lates})
        return Outcome(
            dict(sorted(states.items())), dict(sorted(harm.items())), tuple(violations), int(now_s)
        )

    def _keys_with_two(self, requester: TaskMachine) -> list[str]:
        keys = Counter(record.idempotency_key for record in requester.store._tasks.values())
        return [key for key, times in keys.items() if times > 1]


@dataclass
class ChaosAgent:
    """An agent that does what it gets: quickly, slowly, wrongly, or not at all."""

    chaos: Chaos
    machine: TaskMachine
    name: str
    rng: Random
    session: int = 0

    async def work(self) -> None:
        """Work until all is over; a killed daemon is waited for."""
        caller: Caller | None = None
        daemon = None
        while not self.chaos.over:
            try:
                if caller is None or self.machine.daemon is not daemon:
                    await self.machine.started.wait()
                    caller, daemon = self._attach(), self.machine.daemon
                for view in await self._poll(caller):
                    if self.rng.random() < 0.04:
                        self.chaos.harm["agents gone"] += 1
                        self.machine.detach(_id(caller))
                        await asyncio.sleep(self.rng.uniform(0, 60))
                        caller = None
                        break
                    await self._do(view.id, caller)
            except Killed:
                caller = None

    async def _poll(self, caller: Caller) -> tuple[TaskView, ...]:
        """Return what the agent gets; nothing if it breaks its call off."""
        poll = self.machine.tasks.poll(caller, None, 50, self.rng.randint(1, 3))
        patience_s = self.rng.uniform(0, 5) if self.rng.random() < 0.1 else None
        try:
            async with asyncio.timeout(patience_s):
                return await self.machine.call(poll)
        except TimeoutError:
            self.chaos.harm["polls broken off"] += 1
            return ()

    def _attach(self) -> Caller:
        self.session += 1
        id = UUID(int=self.rng.getrandbits(128), version=4)
        return self.machine.attach(id, self.name, *(("tests",) if self.name == "gemini" else ()))

    async def _do(self, id: TaskId, caller: Caller) -> None:
        loop, rng = asyncio.get_running_loop(), self.rng
        until_s = loop.time() + rng.choices((rng.uniform(0, 3), rng.uniform(20, 300)), (15, 1))[0]
        fails = rng.random() < 0.05
        if rng.random() < 0.02:
            self.chaos.harm["rejections"] += 1
            with suppress(BuddiesError):
                await self.machine.call(self.machine.tasks.reject(id, "not for me", caller))
            return
        while loop.time() < until_s:
            await asyncio.sleep(min(30.0, until_s - loop.time()))
            with suppress(BuddiesError, Killed):
                await self.machine.call(self.machine.tasks.progress(id, "at it", caller))
        output = f"{id} by {self.machine.name}/{self.name} {self.session}"
        result = TaskFailed(output) if fails else TaskSucceeded(output)
        while not self.chaos.over:
            try:
                verdict = await self.machine.call(
                    self.machine.tasks.submit(id, not fails, output, caller)
                )
            except Killed:
                # The agent outlives the daemon, attaches again and says it once more.
                await self.machine.started.wait()
                caller = self._attach()
                continue
            except BuddiesError:
                self.chaos.harm["submits refused"] += 1
                return
            if verdict.verdict == "accepted":
                self.chaos.heard[id] = result
            self.chaos.harm[f"submits {verdict.verdict}"] += 1
            return


async def _last(machine: TaskMachine, id: TaskId) -> bool:
    """Return whether the task is over, after waiting for that for a while."""
    state = TaskState.SUBMITTED
    async for view in machine.tasks.watch(id, 50):
        state = view.state
    return state.is_terminal


def _id(caller: Caller) -> UUID:
    assert caller.agent_id is not None
    return caller.agent_id


def _text(result: TaskResult | None) -> str | None:
    match result:
        case TaskSucceeded(text) | TaskFailed(text):
            return text
        case None:
            return None


def run_chaos(seed: int, tasks: int, workers: int, harm_s: float = HARM_S) -> Outcome:
    """Return what becomes of so many tasks."""
    return run_virtually(Chaos(seed, tasks, workers, harm_s).run())


def main() -> None:
    """Run it once and print the counts; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=int(time.time_ns() // 1_000_000) % 1_000_000)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=8)
    given = parser.parse_args()
    _say(f"seed {given.seed}: {given.tasks} tasks, {given.workers} workers")
    began_s = time.perf_counter()
    outcome = run_chaos(given.seed, given.tasks, given.workers)
    took_s = time.perf_counter() - began_s
    for name, counts in (("tasks", outcome.states), ("meanwhile", outcome.harm)):
        _say(f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    _say(f"{outcome.virtual_s} virtual seconds in {took_s:.0f} s")
    for violation in outcome.violations:
        _say(f"VIOLATION {violation}")
    again = f"; again: make chaos-tasks SEED={given.seed}" if outcome.violations else ""
    _say(f"{len(outcome.violations)} violations{again}")
    sys.exit(1 if outcome.violations else 0)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
