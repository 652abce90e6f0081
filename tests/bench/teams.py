"""What agents wait for among several machines: real daemons that share rooms on loopback."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from buddies_core.finding.embedder import MiniLm
from tests.bench.questions import NOTES
from tests.bench.rows import Goal, Row, row
from tests.bench.timing import in_turn_ms, took_ms
from tests.support.worlds.machines import Machine, some_machines
from tests.support.worlds.shims import Shim, shake_hands, shim_on

ROOM = "bench"
ROOMS = 50
SEEN_WITHIN_S = 20.0
QUESTIONS = [it for note in NOTES for it in (note.paraphrase, note.half_remembered) if it]


@dataclass(frozen=True, slots=True)
class Team:
    """Machines in rooms, each with an agent; they are in the order of coming."""

    machines: tuple[Machine, ...]
    agents: tuple[Shim, ...]


async def two(*, quick: bool) -> list[Row]:
    """Measure how news travels between two machines, and how long a search of both takes."""
    count = 15 if quick else 60
    async with a_team(2) as team:
        alice, bob = team.agents
        listed, found = await arrivals(alice, bob, count)
        return [
            row(
                "stored → listed at a peer",
                "From the answer to a store until the peer's list_memories shows it.",
                listed,
                goal=Goal(median=15),
            ),
            row(
                "stored → found at a peer",
                "From the answer to a store until the peer's search_memory finds it.",
                found,
                goal=Goal(median=30),
            ),
            await search_row("search, room of 2", bob, Goal(median=20), 20 if quick else 60),
        ]


async def eight(*, quick: bool) -> list[Row]:
    """Measure searches of eight machines, and of those that are left when one is killed."""
    async with a_team(8) as team:
        agent = team.agents[0]
        rows = [await search_row("search, room of 8", agent, Goal(median=40), 20 if quick else 60)]
        await team.machines[-1].kill_daemon(signal.SIGKILL)
        ask = questions("killed")
        rows.append(
            row(
                "search after a member was killed, the first",
                "A search of 8 machines, one of which was killed at this moment.",
                [await took_ms(partial(search, agent, next(ask)))],
                goal=Goal(median=350),
            )
        )
        rows.append(
            await search_row("search after a member was killed, later ones", agent, None, 20)
        )
    return rows


async def fifty_rooms(*, quick: bool) -> list[Row]:
    """Measure a search of all rooms where two machines share fifty of them."""
    async with a_team(2, rooms=5 if quick else ROOMS) as team:
        bob = team.agents[1]
        return [await search_row("search over 50 rooms", bob, Goal(median=60), 10, everywhere=True)]


async def arrivals(alice: Shim, bob: Shim, count: int) -> tuple[list[float], list[float]]:
    """Return how long it takes until Bob's list, and his search, show what Alice has stored."""
    listed: list[float] = []
    found: list[float] = []
    for number in range(count):
        for times, ask in (
            (listed, partial(bob.result, "list_memories", room=ROOM, limit=5)),
            (found, partial(search, bob, f"where does the ferry {number} go")),
        ):
            text = f"The ferry {number} {len(times)} goes to the island of {time.monotonic_ns()}"
            await alice.result("store_memory", room=ROOM, content=text)
            times.append(await took_ms(partial(seen, ask, text)))
    return listed, found


async def seen(ask: Any, text: str) -> None:
    """Ask until an answer has this text."""
    async with asyncio.timeout(SEEN_WITHIN_S):
        while not any(it["content"] == text for it in (await ask())["results"]):
            pass


async def search_row(
    name: str, agent: Shim, goal: Goal | None, count: int, *, everywhere: bool = False
) -> Row:
    """Measure searches, each for something new, beside the model's work on the question alone."""
    ask, model = questions(name), MiniLm()

    async def embed() -> None:
        model.embed(next(ask))

    samples, floor = await in_turn_ms(
        count, lambda: search(agent, next(ask), everywhere=everywhere), embed
    )
    return row(
        name,
        "An agent calls search_memory with a question that was never asked before.",
        samples,
        goal=goal,
        beside=("the question's embedding", floor),
    )


async def search(agent: Shim, query: str, *, everywhere: bool = False) -> Any:
    """Return what an agent's search finds in the room, or in all."""
    room = {} if everywhere else {"room": ROOM}
    return await agent.result("search_memory", query=query, **room)


def questions(about: str) -> itertools.chain[str]:
    """Return questions without end, none of which comes twice."""
    return itertools.chain.from_iterable(
        (f"{question} {about} {lap}" for question in QUESTIONS) for lap in itertools.count()
    )


@asynccontextmanager
async def a_team(size: int, rooms: int = 1) -> AsyncIterator[Team]:
    """Yield machines that see each other in rooms, and have stored some notes in the first."""
    users = [f"user{number}" for number in range(size)]
    with some_machines(*users) as machines:
        async with AsyncExitStack() as stack:
            agents = []
            for machine in machines:
                agent = await stack.enter_async_context(shim_on(machine))
                await shake_hands(agent)
                agents.append(agent)
            for number in range(rooms):
                await meet(agents, ROOM if number == 0 else f"{ROOM}-{number}")
            for number, note in enumerate(NOTES):
                await agents[number % size].result("store_memory", room=ROOM, content=note.text)
            for agent in agents:
                await seen(
                    partial(agent.result, "list_memories", room=ROOM, limit=100), NOTES[-1].text
                )
                await search(agent, "once, so that the model is loaded")
            yield Team(machines, tuple(agents))


async def meet(agents: Sequence[Shim], room: str) -> None:
    """Bring agents into a room until each sees all."""
    first, *others = agents
    ticket = (await first.result("join_room", room=room))["ticket"]
    for agent in others:
        await agent.result("join_room", room=room, ticket=ticket)
    for agent in agents:
        async with asyncio.timeout(SEEN_WITHIN_S):
            while len(await members(agent, room)) < len(agents):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def members(agent: Shim, room: str) -> set[str]:
    """Return the names of those who are in a room, as an agent sees it."""
    status = await agent.result("get_room_status", room=room)
    return {it["name"] for it in status["peers"]}
