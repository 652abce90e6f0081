"""Let five machines with three agents each work through kills, sleep, full disks and wrong clocks.

    python -m tests.soak.run [--minutes N] [--seed N] [--chart FILE]

`make soak`. Real daemons and shims on loopback. At the end all is quiet for up to a minute; then
nothing that was acknowledged may be missing at its author's, and nothing may be there twice.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from tests.soak.chart import Sample, draw
from tests.soak.faults import (
    Faults,
    mount_a_disk,
    own_mounts,
    set_clock,
    unmount,
    with_a_clock_that_jumps,
)
from tests.soak.load import Acknowledged, Busy, all_of, answers
from tests.support.worlds.machines import Agent, CommandFailed, Machine, agent_on, some_machines
from tests.support.worlds.meeting import ROOM, meet
from tests.support.worlds.whole_daemon import plainly
from tests.worlds.goals import Figure, Goal, Verdict
from tests.worlds.namespaces import NoNamespaces, become_root_of_a_namespace

USERS = ("alice", "bob", "carol", "dave", "erin")
AGENTS = ("claude", "codex", "cursor")
QUIET_S = 60.0
SAMPLED_EVERY_S = 2.0
ASLEEP_S_MAX = 40.0
ANSWERS_WITHIN_S = 30.0
REASONS_SHOWN = 8
CHART = Path("build") / "soak.svg"
MEMORY_MB_MAX = 300

GOALS = {
    "acknowledged and lost at their author": Goal(at_most=0),
    "shown twice": Goal(at_most=0),
    "shims that don't answer": Goal(at_most=0),
    "of all memories at all members": Goal(at_least=100, due=False),
    "descriptors of a daemon": Goal(at_most=400),
    "memory of a daemon": Goal(at_most=MEMORY_MB_MAX),
}


@dataclass(slots=True)
class Team:
    """The machines, their agents, and what they were told is done."""

    machines: tuple[Machine, ...]
    agents: dict[str, list[Agent]] = field(default_factory=dict)
    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    began_s: float = field(default_factory=time.monotonic)

    def first(self, machine: Machine) -> Agent:
        """Return one of the machine's agents."""
        return self.agents[machine.user][0]

    async def watch(self) -> None:
        """Note what each daemon takes of its machine, until cancelled."""
        while True:
            for machine in self.machines:
                if (sample := Sample.of(machine, time.monotonic() - self.began_s)) is not None:
                    self.samples.append(sample)
            await asyncio.sleep(SAMPLED_EVERY_S)


async def soak(team: Team, seed: int, minutes: float, *, with_disks: bool) -> list[Figure]:
    """Work through faults, be quiet, and return what came of it."""
    random, calls, refusals = Random(seed), Counter[str](), Counter[str]()
    asleep_s = min(ASLEEP_S_MAX, minutes * 60 / 6)
    async with AsyncExitStack() as stack:
        for machine in team.machines:
            team.agents[machine.user] = [
                await stack.enter_async_context(agent_on(machine, name)) for name in AGENTS
            ]
            team.acknowledged[machine.user] = Acknowledged()
        await meet(*(team.first(machine) for machine in team.machines))
        # The others of each machine are in its rooms too.
        faults = Faults(team.machines, random, asleep_s, with_disks)
        team.began_s = faults.began_s
        busy = [
            Busy(
                machine=machine,
                agent=Agent(f"{machine.user}'s {name}", agent.session),
                random=Random(random.random()),
                acknowledged=team.acknowledged[machine.user],
                calls=calls,
                refusals=refusals,
            )
            for machine in team.machines
            for name, agent in zip(AGENTS, team.agents[machine.user], strict=True)
        ]
        async with asyncio.TaskGroup() as watching:
            watch = watching.create_task(team.watch())
            await _for_a_while(minutes * 60 - QUIET_S, busy, faults)
            quiet_from_s = time.monotonic() - team.began_s
            for machine in team.machines:
                set_clock(machine, 0)
            figures = await _after(team)
            watch.cancel()
        with contextlib.suppress(ImportError):
            draw(team.samples, faults.happened, quiet_from_s, MEMORY_MB_MAX, CHART)
    kinds = Counter(fault.kind for fault in faults.happened)
    told = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items()))
    print(f"faults: {told}; calls: {calls['ok']} answered, {calls['refused']} refused")  # noqa: T201
    for reason, times in refusals.most_common(REASONS_SHOWN):
        print(f"refused {times} times: {reason}")  # noqa: T201
    slowest_s = max(agent.slowest_s for agent in busy)
    return [*figures, Figure(story="soak", what="slowest call", value=slowest_s)]


async def _for_a_while(seconds: float, busy: list[Busy], faults: Faults) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for agent in busy:
                group.create_task(agent.work())
            group.create_task(faults.run((2.0, 6.0)))


async def _after(team: Team) -> list[Figure]:
    """Return what holds when all is quiet; how much has arrived is looked at for a minute."""
    shims = [agent for agents in team.agents.values() for agent in agents]
    dead = [agent.name for agent in shims if not await answers(agent, ANSWERS_WITHIN_S)]
    everything = set[str]().union(*(it.memories for it in team.acknowledged.values()))
    began_s, share, complete_s = time.monotonic(), 0.0, None
    has: dict[str, list[str]] = {}
    while complete_s is None and time.monotonic() - began_s < QUIET_S:
        for machine in team.machines:
            with contextlib.suppress(CommandFailed):
                has[machine.user] = await all_of(
                    team.first(machine), "list_memories", "results", "content"
                )
        pairs = len(everything) * len(team.machines)
        share = 100 * sum(len(everything & set(it)) for it in has.values()) / max(1, pairs)
        if share == 100:
            complete_s = time.monotonic() - began_s
        await asyncio.sleep(1)
    lost = await _lost(team, has)
    twice = sum(len(texts) - len(set(texts)) for texts in has.values())
    for user, texts in has.items():
        if missing := sorted(everything - set(texts)):
            print(f"{user} lacks {len(missing)}, such as: {missing[0]}", file=sys.stderr)  # noqa: T201
    for text in lost:
        print(f"lost: {text}", file=sys.stderr)  # noqa: T201
    figure = partial(Figure, story="soak")
    return [
        figure(what="memories acknowledged", value=len(everything), unit=""),
        figure(what="acknowledged and lost at their author", value=len(lost), unit=""),
        figure(what="shown twice", value=twice, unit=""),
        figure(what="shims that don't answer", value=len(dead), unit=""),
        figure(what="of all memories at all members", value=share, unit="%"),
        figure(what="until all have all, from then on", value=complete_s),
        figure(what="descriptors of a daemon", value=max(it.files for it in team.samples), unit=""),
        figure(what="memory of a daemon", value=max(it.mb for it in team.samples), unit="MB"),
    ]


async def _lost(team: Team, has: dict[str, list[str]]) -> list[str]:
    """Return what was acknowledged and is not at its author's any more."""
    lost = []
    for machine in team.machines:
        kept = team.acknowledged[machine.user]
        agent = team.first(machine)
        skills = await all_of(agent, "search_skills", "results", "hash", room=ROOM)
        tasks = await all_of(agent, "list_tasks", "results", "task_id")
        missing = (
            *(kept.memories - set(has.get(machine.user, ()))),
            *(kept.skills - set(skills)),
            *(kept.tasks - set(tasks)),
        )
        lost += [f"{machine.user}: {it}" for it in missing]
    return lost


@contextmanager
def some_disks(machines: tuple[Machine, ...]) -> Iterator[None]:
    """Give each machine a small disk of its own for its data, until the block ends."""
    for machine in machines:
        mount_a_disk(machine.data_dir)
    try:
        yield
    finally:
        for machine in machines:
            unmount(machine.data_dir)


def main() -> int:
    """Return 0 if all that is due was met."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    given = parser.parse_args()
    with_disks = True
    try:
        become_root_of_a_namespace()
        own_mounts()
    except NoNamespaces as error:
        print(f"make soak: SKIPPED full disks: {error}")  # noqa: T201
        with_disks = False
    with some_machines(*USERS) as plain:
        machines = tuple(map(with_a_clock_that_jumps, plain))
        with some_disks(machines) if with_disks else contextlib.nullcontext():
            team = Team(machines)
            with plainly():
                figures = asyncio.run(soak(team, given.seed, given.minutes, with_disks=with_disks))
    verdicts = []
    for figure in figures:
        goal = GOALS.get(figure.what)
        became = goal.verdict(figure) if goal else Verdict.NONE
        verdicts.append(became)
        print(f"{figure.what:40} {figure!s:>12}  {goal or ''!s:6} {became}")  # noqa: T201
    counts = ", ".join(f"{verdicts.count(it)} {it}" for it in Verdict if it is not Verdict.NONE)
    print(f"make soak: {given.minutes:g} minutes, SEED={given.seed}; goals: {counts}; {CHART}")  # noqa: T201
    return 1 if Verdict.FAILED in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
