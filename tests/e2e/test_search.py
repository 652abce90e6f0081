"""Searching among machines that have memories of their own."""

import re
from functools import partial
from random import Random

from tests.support.worlds.machines import Agent, Machine, agent_on
from tests.support.worlds.meeting import ROOM, all_memories, eventually, names

MEMORIES = 100
ASKED_FOR = 20
"""Identifiers of each member."""
SERVICES = ("billing", "search", "upload", "login", "report", "mail", "export", "audit")
FORMS = ("{a}-{n}", "{a}_{b}_{n}", "{a}.{b}.v{n}", "{a}{B}{n}", "/{a}/{b}/{n}", "{a}{n}x")
NOTES = (
    "The {service} service writes its nightly report to {identifier} and deletes it after a week.",
    "We decided that {identifier} is the queue which the {service} service reads its jobs from.",
    "When the {service} service is slow, look at {identifier} first: it was the cause twice.",
    "The key of the {service} service is stored under {identifier}; rotate it once a quarter.",
    "{identifier} fails now and then in the pipeline of the {service} service; run it again.",
)


def identifiers(seed: str) -> list[str]:
    """Return identifiers of many forms, each once, none with a part that is a word."""
    rng = Random(seed)
    made: dict[str, None] = {}
    while len(made) < MEMORIES:
        a, b = ("".join(rng.choices("bcdfghklmnprstvxz", k=4)) for _ in range(2))
        form = FORMS[len(made) % len(FORMS)]
        made[form.format(a=a, b=b, B=b.title(), n=rng.randrange(100, 10_000))] = None
    return list(made)


async def stored(agent: Agent, seed: str) -> list[str]:
    """Store a note about each of a hundred identifiers, and return these."""
    made = identifiers(seed)
    for number, identifier in enumerate(made):
        service = SERVICES[number % len(SERVICES)]
        note = NOTES[number % len(NOTES)].format(service=service, identifier=identifier)
        await agent.call("store_memory", room=ROOM, content=note)
    return made


async def found_first(agent: Agent, identifier: str) -> bool:
    """Return whether the first result is the note about it, and says so."""
    asked = partial(
        agent.call,
        "search_memory",
        query=f"what do we know about {identifier}?",
        room=ROOM,
        limit=20,
    )
    # On a busy machine the other may be late for one search, which then says so.
    found = await eventually(asked, lambda found: found["answered"])
    first = found["results"][0]
    shown = "".join(first["matches"])
    is_marked = shown == re.sub(r"^/", "", identifier).replace("/", "")
    return identifier in first["content"] and is_marked and first["why"] in ("words", "both")


async def test_every_exact_identifier_that_the_other_member_has_is_found_first(
    alice: Machine, bob: Machine
) -> None:
    # Each is to ask the other for it, and not to have been handed it already.
    alice, bob = (it.with_environment(BUDDIES_HISTORY="none") for it in (alice, bob))
    async with agent_on(alice) as claude, agent_on(bob) as codex:
        for agent in (claude, codex):  # Each alone in a room of this name.
            await agent.call("join_room", room=ROOM)
        of_alice, of_bob = await stored(claude, "alice"), await stored(codex, "bob")
        # What a daemon has said lately it tells again to whoever comes, unless it was restarted.
        for machine in (alice, bob):
            await machine.kill_daemon()
        ticket = (await claude.call("join_room", room=ROOM))["ticket"]
        await codex.call("join_room", room=ROOM, ticket=ticket)
        for agent in (claude, codex):
            await eventually(
                partial(agent.call, "get_room_status", room=ROOM),
                lambda status: names(status) == {"alice", "bob"},
            )

        found = [await found_first(claude, it) for it in of_bob[:ASKED_FOR]]
        found += [await found_first(codex, it) for it in of_alice[:ASKED_FOR]]

        assert found == [True] * 40
        assert len(await all_memories(claude)) == MEMORIES
        assert len(await all_memories(codex)) == MEMORIES
