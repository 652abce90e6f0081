"""Whole machines under everything that happens to laptops, on a virtual clock; then they agree.

    python -m tests.simulation.chaos [--seed N | --seeds 200]

First harm: people store, delete, vote, search and hand out tasks, agents do them, while machines
are killed, restarted, frozen, cut off, filled up, and set to another time, and one is gone for
good. Then all heals, and within bounded time

- all members have equal sets, and show the same; nothing that was acknowledged is missing;
- every task is over, everywhere, with one result that its requester shows;
- nobody shows a member that is gone, nor misses one that is here;
- nothing is shown twice, no daemon has met a bug.

The seed decides who does what to whom, and when. A run of the same seed takes the same steps.
"""

import argparse
import asyncio
import logging
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, TypeAlias
from unittest import mock

from buddies_core.daemon.build import Parts
from buddies_core.errors import BuddiesError
from buddies_core.model.ids import EndpointId
from buddies_core.model.item import BEGIN, END
from buddies_core.model.memory import MemoryFilter
from buddies_core.model.skill import Skill
from buddies_core.model.task import PERSON
from buddies_core.rooms.attached import CLI_AGENT
from tests.simulation.chaos_people import ChaosAgent, Person, Said
from tests.support.memories import DEMO
from tests.support.virtual_time import run_virtually
from tests.support.worlds.whole_nodes import Agent, Killed, Machine, World

MACHINES = 5
HARM_S = 150.0
HEALED_WITHIN_S = 1200.0
"""A history's turn comes every 5 minutes, and a task takes 4 at most."""
LOOK_EVERY_S = 5.0
REST_S = 45.0
"""What is true when all has healed stays true."""
HOUR_MS = 3_600_000
FAULTS_SHOWN = 20


Shows: TypeAlias = Callable[[Parts], Coroutine[Any, Any, list[object]]]
"""What a daemon shows of something."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done to the machines, what came of it, and what should not have."""

    steps: tuple[str, ...]
    counts: dict[str, int]
    healed_s: float
    faults: tuple[str, ...]


@dataclass
class Chaos:
    """One run."""

    world: World
    rng: Random
    harm_s: float = HARM_S
    said: Said = field(default_factory=Said)
    steps: list[str] = field(default_factory=list)
    harm: Counter[str] = field(default_factory=Counter)
    gone: set[Machine] = field(default_factory=set)
    """Those that are off for good."""
    agents: list[ChaosAgent] = field(default_factory=list)

    @property
    def living(self) -> list[Machine]:
        """The machines that are there in the end."""
        return [it for it in self.world.machines if it not in self.gone]

    def step(self, kind: str, text: str = "") -> None:
        """Note what is done."""
        self.harm[kind] += 1
        now_s = asyncio.get_running_loop().time()
        self.steps.append(f"{now_s:7.2f} {kind} {text}".rstrip())

    async def run(self) -> Outcome:
        """Do harm, heal, and return what is wrong then."""
        await self._meet()
        async with asyncio.TaskGroup() as group:
            for number, machine in enumerate(self.world.machines):
                for name in ("codex", "gemini")[: 1 + number % 2]:
                    agent = Agent(machine, name, *(("tests",) if name == "gemini" else ()))
                    working = ChaosAgent(self.said, agent, self._rng(f"{machine.name} {name}"))
                    self.agents.append(working)
                    group.create_task(working.work())
            async with asyncio.TaskGroup() as people:
                for machine in self.world.machines:
                    person = Person(self.said, machine, self._rng(machine.name), self.harm_s)
                    people.create_task(person.live())
                people.create_task(self._do_harm(people))
            self._heal()
            healed_s = await self._wait_equal()
            faults = await self.faults()
            if not faults:
                await asyncio.sleep(REST_S)
                faults = [f"after a rest: {it}" for it in await self.faults()]
            self.said.over = True
        return Outcome(
            tuple(self.steps),
            dict(sorted((self.harm + self.said.done).items())),
            healed_s,
            tuple(faults),
        )

    def _rng(self, name: str) -> Random:
        return Random(f"{self.world.seed} {name}")

    async def _meet(self) -> None:
        """Start all machines, and have all but the last join the room."""
        for number in range(MACHINES):
            await self.world.machine(f"m{number}").start()
        first = self.world.machines[0]
        self._ticket = await first.join(DEMO, None)
        for machine in self.world.machines[1:-1]:
            await self._join(machine)

    async def _join(self, machine: Machine) -> None:
        while DEMO not in {room.name for room in machine.store.rooms()}:
            try:
                await machine.join(DEMO, self._ticket)
            except Killed:
                await asyncio.sleep(1)
            except BuddiesError:
                await asyncio.sleep(5)

    # Harm

    async def _do_harm(self, group: asyncio.TaskGroup) -> None:
        loop, rng, world = asyncio.get_running_loop(), self.rng, self.world
        began_s = loop.time()
        late, lost = world.machines[-1], rng.choice(world.machines[1:-1])
        group.create_task(self._join_late(late, rng.uniform(0.1, 0.6) * self.harm_s))
        group.create_task(self._lose(lost, rng.uniform(0.5, 1.0) * self.harm_s))
        spells = ("kill", "restart", "freeze", "split", "loss", "full disk", "clock")
        weights = tuple(rng.choice((0, 1, 2, 4)) for _ in spells)
        if not any(weights):
            weights = (1,) * len(spells)
        while (at_s := loop.time() - began_s) < self.harm_s:
            await asyncio.sleep(rng.uniform(1, 15))
            machine = rng.choice(world.machines)
            for_s = min(rng.choice((0.5, 4, 15, 50)) * rng.uniform(0.5, 1.5), self.harm_s - at_s)
            match rng.choices(spells, weights)[0]:
                case "kill":
                    group.create_task(self._kill(machine, for_s))
                case "restart":
                    group.create_task(self._restart(machine))
                case "freeze":
                    group.create_task(self._freeze(machine, for_s))
                case "split":
                    count = rng.randint(1, len(world.machines) // 2)
                    island = rng.sample(world.machines, count)
                    group.create_task(self._split(island, for_s))
                case "loss":
                    world.quic.weather.lost = rng.choice((0.0, 0.02, 0.1, 0.4))
                    world.quic.weather.latency_s = (0.001, rng.choice((0.01, 0.2, 1.5)))
                    self.step("loss", str(world.quic.weather))
                case "full disk":
                    group.create_task(self._fill(machine, for_s))
                case _:
                    machine.clock.skew_ms = rng.choice((-1, 0, 1)) * HOUR_MS
                    self.step("clock", f"{machine.name} {machine.clock.skew_ms}")

    async def _kill(self, machine: Machine, for_s: float) -> None:
        if machine.is_on:
            self.step("kill", f"{machine.name} for {for_s:.1f} s")
            machine.kill()
            await asyncio.sleep(for_s)
            await self._start(machine)

    async def _restart(self, machine: Machine) -> None:
        if machine.is_on and not machine.is_frozen:
            self.step("restart", machine.name)
            await machine.shut_down()
            await self._start(machine)

    async def _start(self, machine: Machine) -> None:
        if machine not in self.gone and machine.life is None:
            await machine.start()

    async def _freeze(self, machine: Machine, for_s: float) -> None:
        if machine.is_on and not machine.is_frozen:
            self.step("freeze", f"{machine.name} for {for_s:.1f} s")
            machine.freeze()
            await asyncio.sleep(for_s)
            machine.thaw()

    async def _split(self, machines: list[Machine], for_s: float) -> None:
        island = frozenset(it.key.endpoint for it in machines)
        names = " ".join(sorted(it.name for it in machines))
        self.step("split", f"{names} for {for_s:.1f} s")
        self.world.quic.islands.append(island)
        await asyncio.sleep(for_s)
        if island in self.world.quic.islands:
            self.world.quic.islands.remove(island)

    async def _fill(self, machine: Machine, for_s: float) -> None:
        self.step("full disk", f"{machine.name} for {for_s:.1f} s")
        machine.disk_full = True
        await asyncio.sleep(for_s)
        machine.disk_full = False

    async def _join_late(self, machine: Machine, at_s: float) -> None:
        await asyncio.sleep(at_s)
        self.step("join", machine.name)
        await self._join(machine)

    async def _lose(self, machine: Machine, at_s: float) -> None:
        await asyncio.sleep(at_s)
        self.step("gone for good", machine.name)
        self.gone.add(machine)
        self.said.gone.add(machine.name)
        machine.kill()

    def _heal(self) -> None:
        weather = self.world.quic.weather
        weather.lost, weather.latency_s = 0.0, (0.001, 0.05)
        self.world.quic.islands.clear()
        for machine in self.world.machines:
            machine.disk_full = False
            machine.thaw()
        self.step("healed")

    # What is true then

    async def _wait_equal(self) -> float:
        """Return after how many seconds nothing was wrong any more, or the time was up."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for _ in range(int(HEALED_WITHIN_S / LOOK_EVERY_S)):
            if not await self.faults():
                break
            await asyncio.sleep(LOOK_EVERY_S)
        return loop.time() - began_s

    # What is looked at

    async def faults(self) -> list[str]:
        """Return what is wrong now."""
        found = list(self.world.faults)
        found += [f"{name} met {n} bugs" for name, n in self.world.bugs().items() if n]
        off = [it.name for it in self.living if not it.is_on]
        if off:
            return [*found, f"off: {off}"]
        # What takes longest to look at comes last, and only if all else is well.
        if found := found + self._members():
            return found
        for machine in self.living:
            found += await self._tasks(machine)
        if found := found + await self._different("items", _items):
            return found
        found += await self._different("memories", _memories)
        found += await self._different("skills", _skills)
        return found + self._missing()

    async def _different(self, what: str, of: Shows) -> list[str]:
        sets: dict[str, frozenset[object]] = {}
        found = []
        for machine in self.living:
            try:
                shown = await machine.call(of)
            except Killed:
                return [f"killed: {machine.name}"]
            sets[machine.name] = frozenset(shown)
            if len(sets[machine.name]) != len(shown):
                found.append(f"{what}: {machine.name} shows something twice")
        first, expected = next(iter(sets.items()))
        found += [
            f"{what}: {name} has {len(its - expected)} that {first} lacks, "
            f"and lacks {len(expected - its)}"
            for name, its in sets.items()
            if its != expected
        ]
        return found

    def _members(self) -> list[str]:
        expected = {it.key.endpoint: it.name for it in self.living}
        attached = {it.name: Counter[str]() for it in self.living}
        for agent in self.agents:
            if agent.is_attached and agent.machine.name in attached:
                attached[agent.machine.name][agent.name] += 1
        found = []
        for machine in self.living:
            shown = machine.parts.services.rooms.status(DEMO).members
            names = dict[EndpointId, str]((it.endpoint, it.name) for it in shown)
            if names != expected or len(shown) != len(names):
                found.append(f"members: {machine.name} shows {sorted(it.name for it in shown)}")
            found += [
                f"agents: {machine.name} shows {[a.name for a in it.agents]} of {it.name}"
                for it in shown
                if it.name in attached
                and Counter(a.name for a in it.agents if a.name != CLI_AGENT) != attached[it.name]
            ]
        return found

    async def _tasks(self, machine: Machine) -> list[str]:
        try:
            views, _ = await machine.call(lambda it: it.tasks.list(DEMO, None, 100_000, PERSON))
        except Killed:
            return [f"killed: {machine.name}"]
        gone = {it.key.endpoint for it in self.gone}
        found = [
            f"{machine.name} shows task {it.description!r} as {it.state}"
            for it in views
            # What is for a requester that is gone is kept for it for a week.
            if not it.state.is_terminal and it.requester not in gone
        ]
        kept = await machine.store.tasks()
        keys = Counter(it.idempotency_key for it in kept)
        found += [f"task {key} was made twice" for key, n in keys.items() if n > 1]
        return found + self.said.wrong_results(machine.name, {it.order.id: it for it in kept})

    def _missing(self) -> list[str]:
        kept = {it.entry.id for _, it in self.living[0].store._memories.values()}
        found = [
            f"memory {id} of {name} is missing"
            for id, name in self.said.stored.items()
            if id not in kept and id not in self.said.deleting and name not in self.said.gone
        ]
        gone = self.said.gone
        found += [
            f"memory {id} of {name} is back"
            for id, name in self.said.deleted.items()
            if id in kept and name not in gone
        ]
        skills = self.living[0].store.skills.all(DEMO)
        hashes = {it.entry.hash for it in skills if isinstance(it, Skill)}
        return found + [
            f"skill {hash} of {name} is missing"
            for hash, name in self.said.published.items()
            if hash not in hashes and name not in self.said.gone
        ]


async def _items(parts: Parts) -> list[object]:
    return [*parts.store.items(DEMO).list(BEGIN, END, 100_000)]


async def _memories(parts: Parts) -> list[object]:
    filter = MemoryFilter(room=DEMO, include_superseded=True)
    listed = await parts.memories.list(filter, 100_000)
    heads = [head for it in listed.results for head in parts.store.find_heads(it.id)]
    wholes = [parts.store.get_memory(it.key) for it in heads]
    contents = [it and it.entry.content for it in wholes]
    shown = [(it.id, it.superseded_by) for it in listed.results]
    return [*zip(shown, contents, strict=True)]


async def _skills(parts: Parts) -> list[object]:
    """Return what is listed, without ranks.

    Votes are among the items. Which of them count differs: those of members that were gone before
    this machine could meet them are strangers' to it.
    """
    listed = await parts.skills.list(DEMO, (), 100_000)
    return [(it.hash, it.title) for it in listed.results]


def play(seed: int, harm_s: float = HARM_S) -> Outcome:
    """Return what becomes of this seed."""
    chance = Random(f"{seed} secrets")
    errors = _Errors()
    with (
        tempfile.TemporaryDirectory() as directory,
        mock.patch.object(os, "urandom", chance.randbytes),
        mock.patch.object(secrets, "token_bytes", chance.randbytes),
        errors,
    ):
        outcome = run_virtually(_run(seed, harm_s, Path(directory)))
    return replace(outcome, faults=(*outcome.faults, *errors.told))


async def _run(seed: int, harm_s: float, directory: Path) -> Outcome:
    async with World(seed, directory) as world:
        return await Chaos(world, Random(f"{seed} harm"), harm_s).run()


class _Errors(logging.Handler):
    """What is logged as an error, which is a bug."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))

    def __enter__(self) -> None:
        logging.getLogger().addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


def main() -> None:
    """Play one seed or many; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=200)
    given = parser.parse_args()
    seeds = range(given.seeds) if given.seed is None else (given.seed,)
    began_s, totals, failed = time.perf_counter(), Counter[str](), list[int]()
    healed_s: list[float] = []
    for seed in seeds:
        outcome = play(seed)
        totals += Counter(outcome.counts)
        healed_s.append(outcome.healed_s)
        if given.seed is not None:
            _say("\n".join(outcome.steps))
        if outcome.faults:
            failed.append(seed)
            _say(f"seed {seed}: {len(outcome.faults)} faults; again: make chaos SEED={seed}")
            for fault in outcome.faults[:FAULTS_SHOWN]:
                _say(f"  {fault}")
    _say(", ".join(f"{n} × {what}" for what, n in sorted(totals.items())))
    _say(f"all well after {median(healed_s):.0f} s in the middle, {max(healed_s):.0f} s at most")
    took_s = time.perf_counter() - began_s
    _say(f"make chaos: {len(healed_s)} seeds, {len(failed)} failed, {took_s:.0f} s")
    sys.exit(1 if failed else 0)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
