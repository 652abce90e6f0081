"""What agents do during a soak, and what they were told is done."""

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random

from tests.support.worlds.machines import Agent, CommandFailed, Machine
from tests.support.worlds.meeting import ROOM

PAUSE_S = (0.3, 1.5)
REASON_CHARS_MAX = 160
WORDS = ("database", "release", "cache", "parser", "login", "queue", "index", "test", "schema")


@dataclass(slots=True)
class Acknowledged:
    """What one machine has said it keeps, of its own agents."""

    memories: set[str] = field(default_factory=set)
    """Their texts, each of which was said once."""
    skills: set[str] = field(default_factory=set)
    """Their hashes."""
    tasks: set[str] = field(default_factory=set)
    """Their ids."""


@dataclass(slots=True)
class Busy:
    """An agent with many things to do."""

    machine: Machine
    agent: Agent
    random: Random
    acknowledged: Acknowledged
    calls: Counter[str]
    refusals: Counter[str]
    """Why calls were refused, and how often."""
    numbers: Iterator[int] = field(default_factory=count)
    slowest_s: float = 0.0

    async def work(self) -> None:
        """Call one tool after another until cancelled; what is refused is counted, and goes on."""
        while True:
            await asyncio.sleep(self.random.uniform(*PAUSE_S))
            began_s = time.monotonic()
            try:
                await self._one_call()
                self.calls["ok"] += 1
            except CommandFailed as error:
                self.calls["refused"] += 1
                # Without what differs from call to call, so that alike ones are counted together.
                self.refusals[re.sub(r"/\S+|\d+", "…", str(error))[:REASON_CHARS_MAX]] += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

    async def _one_call(self) -> None:
        word = WORDS[self.random.randrange(len(WORDS))]
        text = f"{self.agent.name} on the {word}, note {next(self.numbers)}: it works"
        match self.random.randrange(10):
            case 0 | 1 | 2 | 3 | 4:
                await self.agent.call("store_memory", room=ROOM, content=text, tags=[word])
                self.acknowledged.memories.add(text)
            case 5:
                await self.agent.call("search_memory", query=f"how is the {word}?", timeout_secs=2)
            case 6:
                await self.agent.call("list_memories", limit=20)
            case 7:
                made = await self.agent.call(
                    "publish_skill", room=ROOM, title=f"The {word}", content=text
                )
                self.acknowledged.skills.add(made["hash"])
            case 8:
                made = await self.agent.call(
                    "delegate_task", room=ROOM, description=text, wait_secs=0
                )
                self.acknowledged.tasks.add(made["task_id"])
            case _:
                polled = await self.agent.call("poll_pending_tasks", wait_secs=0)
                for task in polled["tasks"]:
                    await self.agent.call(
                        "submit_task_result", task_id=task["task_id"], success=True, output="done"
                    )


async def all_of(agent: Agent, tool: str, key: str, field: str, **more: str) -> list[str]:
    """Return a field of all that a list has, from all of its pages."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await agent.call(tool, cursor=cursor, **more)
        found += [item[field] for item in page[key]]
        cursor = page["next_cursor"]
    return found


async def answers(agent: Agent, within_s: float) -> bool:
    """Return whether an agent's shim still answers."""
    with contextlib.suppress(TimeoutError, CommandFailed):
        async with asyncio.timeout(within_s):
            await agent.call("list_rooms")
            return True
    return False
