"""Alice and Bob share a room: two daemons, real MCP sessions, one story, told step by step.

Each step prints what was asked, what came back and how long it took; a step that does not give what
it says ends the demo with exit code 1. It leaves no process and no file behind. Run it with
`make demo`, which puts it into a namespace that holds only loopback.
"""

import asyncio
import contextlib
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.worlds.machines import Agent, CommandFailed, Machine, agent_on, some_machines

ROOM = "feature-a"
PRIVATE_ROOM = "launch"
NOTE = "We're using PostgreSQL for the user table"
QUESTION = "how is the DB set up?"
PLAN = "The launch is on Friday"
PATIENCE_S = 20.0
"""How long a step may wait for what travels by itself; it takes milliseconds as a rule."""


class StepFailed(Exception):
    """A step did not give what it says."""


class Transcript:
    """Prints the steps, and keeps their times."""

    def __init__(self) -> None:
        self._steps = 0
        self._began = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Time one step; what it is handed to say is printed below its title."""
        self._steps += 1
        said: list[str] = []
        began = time.monotonic()
        yield said.append
        elapsed_ms = (time.monotonic() - began) * 1000
        print(f"{self._steps:2}. {title:<66} {elapsed_ms:7.0f} ms  ok")
        for line in said:
            print(textwrap.indent(textwrap.fill(line, 90), "       "))

    def close(self) -> None:
        """Say that it is over."""
        print(f"\n{self._steps} steps, all ok, {time.monotonic() - self._began:.1f} s in all")


def expect(holds: bool, what: str) -> None:
    """Fail the step unless this holds."""
    if not holds:
        raise StepFailed(f"expected {what}")


async def eventually(ask: Callable[[], Any], holds: Callable[[Any], bool], what: str) -> Any:
    """Ask until the answer holds, for what arrives by itself.

    Raises:
        StepFailed: it does not hold in time.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    while not holds(answer := await ask()):
        if time.monotonic() > give_up_at:
            raise StepFailed(f"waited {PATIENCE_S:.0f} s for {what}; last answer: {answer}")
        await asyncio.sleep(0.02)
    return answer


def names(status: dict[str, Any]) -> list[str]:
    """Return who is in a room, by user name."""
    return sorted({peer["name"] for peer in status["peers"]})


def contents(found: dict[str, Any]) -> list[str]:
    """Return the contents of the memories in an answer."""
    return [memory["content"] for memory in found["results"]]


async def first_day(alice: Machine, bob: Machine, log: Transcript) -> None:
    """Alice works, Bob comes later; each finds what the other knows."""
    async with contextlib.AsyncExitStack() as sessions:
        with log.step("Alice's agent starts; no daemon runs yet") as say:
            claude = await sessions.enter_async_context(agent_on(alice, "claude"))
            tools = (await claude.session.list_tools()).tools
            say(f"{len(tools)} tools: {', '.join(tool.name for tool in tools)}")
        with log.step(f"join_room({ROOM!r}) starts her daemon and gives a ticket") as say:
            joined = await claude.call("join_room", room=ROOM)
            ticket: str = joined["ticket"]
            say(f"ticket {ticket[:32]}… ({len(ticket)} characters)")
        with log.step("store_memory") as say:
            kept = await claude.call(
                "store_memory", room=ROOM, title="User table", content=NOTE, kind="decision"
            )
            say(f"{kept['content']!r} is on her disk as {kept['id']}")
        with log.step("a second agent on her machine shares her node") as say:
            cursor = await sessions.enter_async_context(agent_on(alice, "cursor"))
            rooms = await cursor.call("list_rooms")
            expect(rooms["rooms"] == [ROOM], f"cursor to be in {ROOM}")
            expect(NOTE in contents(await cursor.call("list_memories")), "cursor to see the memory")
            say("cursor is in the room and sees the memory, without joining")
        with log.step("Bob's agent starts, and joins with the ticket") as say:
            codex = await sessions.enter_async_context(agent_on(bob, "codex"))
            joined = await codex.call("join_room", room=ROOM, ticket=ticket)
            expect(names(joined | {"peers": joined["members"]}) == ["alice", "bob"], "both there")
            say("members: alice, bob")
        with log.step(f"Bob, who was not there then, asks {QUESTION!r}") as say:
            found = await codex.call("search_memory", query=QUESTION, room=ROOM)
            expect(contents(found)[:1] == [NOTE], f"the memory first, not {contents(found)}")
            first = found["results"][0]
            say(f"{first['content']!r}, said {first['author_name']} ({first['verified']})")
        with log.step("the same again, with everything warm") as say:
            found = await codex.call("search_memory", query=QUESTION, room=ROOM)
            answered = ", ".join(
                f"{who['name']} {who['elapsed_ms']} ms" for who in found["answered"]
            )
            say(f"answered: {answered}")
        with log.step("Bob stores one; Alice, who is there, has it by herself"):
            note = "Sessions live in Redis and expire after two hours"
            await codex.call("store_memory", room=ROOM, content=note, kind="implementation")
            await eventually(
                lambda: claude.call("list_memories", room=ROOM),
                lambda listed: note in contents(listed),
                "Bob's memory on Alice's machine",
            )
        with log.step("notify_peers: Bob sees what Alice's agent is doing") as say:
            await claude.call("notify_peers", room=ROOM, text="migrating the schema")
            status = await eventually(
                lambda: codex.call("get_room_status", room=ROOM),
                lambda status: any(
                    peer["last_status"] == "migrating the schema" for peer in status["peers"]
                ),
                "Alice's status on Bob's machine",
            )
            say(
                "; ".join(
                    f"{peer['name']}/{peer['agent']}: {peer['last_status'] or '–'}"
                    for peer in status["peers"]
                )
            )
        await behind_closed_doors(claude, codex, log)
        with log.step("a policy: Alice hears her own key only, then Bob's too") as say:
            keys = [
                (await agent.call("get_identity_policy", room=ROOM))["local_identity"]
                for agent in (claude, codex)
            ]
            await claude.call("set_identity_policy", room=ROOM, identities=keys[:1])
            found = await codex.call("search_memory", query=QUESTION, room=ROOM)
            expect(not found["answered"], "Bob not to be answered")
            say(f"Bob is told: {found['unanswered'][0]['reason']}")
            await claude.call("add_whitelisted_identity", room=ROOM, identity=keys[1])
            found = await codex.call("search_memory", query=QUESTION, room=ROOM)
            expect([who["name"] for who in found["answered"]] == ["alice"], "Alice to answer")
            say("and once his key is whitelisted, he is answered again")
        with log.step("a memory of 200 KB, found and read whole by Bob") as say:
            long_note = "".join(f"Step {number}: check the replica. " for number in range(7_500))
            await claude.call(
                "store_memory", room=ROOM, title="Failover runbook", content=long_note
            )
            found = await eventually(
                lambda: codex.call("search_memory", query="failover runbook", room=ROOM),
                lambda found: any(
                    memory["title"] == "Failover runbook" for memory in found["results"]
                ),
                "the runbook in Bob's search",
            )
            runbook = next(m for m in found["results"] if m["title"] == "Failover runbook")
            read, offset = "", 0
            while offset is not None:
                page = await codex.call("get_memory", id=runbook["id"], offset=offset)
                read, offset = read + page["content"], page["next_offset"]
            expect(read == long_note, "every character of it")
            say(f"{len(read.encode()):,} bytes, every one the same")


async def behind_closed_doors(claude: Agent, codex: Agent, log: Transcript) -> None:
    """A private room: its name alone leads nobody in, an invite does."""
    asked = {"query": "when do we launch?", "room": PRIVATE_ROOM}
    with log.step(f"join_room({PRIVATE_ROOM!r}, private=true); Bob knows only its name") as say:
        await claude.call("join_room", room=PRIVATE_ROOM, private=True)
        invite = (await claude.call("create_invite", room=PRIVATE_ROOM))["ticket"]
        await claude.call("store_memory", room=PRIVATE_ROOM, content=PLAN)
        joined = await codex.call("join_room", room=PRIVATE_ROOM)
        found = await codex.call("search_memory", **asked)
        met = names({"peers": joined["members"]})
        expect((met, contents(found)) == (["bob"], []), "Bob to be alone, and to find nothing")
        await codex.call("leave_room", room=PRIVATE_ROOM)
        say("by its name Bob gets into an open room, where nobody is and nothing is found")
    with log.step("with Alice's invite he is in, and finds what she said") as say:
        await codex.call("join_room", room=PRIVATE_ROOM, ticket=invite)
        found = await codex.call("search_memory", **asked)
        expect(contents(found) == [PLAN], f"Alice's memory, not {contents(found)}")
        say(f"{PLAN!r}, sealed on its way for those who were let in")
    for agent in (claude, codex):
        await agent.call("leave_room", room=PRIVATE_ROOM)


async def second_day(alice: Machine, bob: Machine, log: Transcript) -> None:
    """Both daemons were stopped; nobody joins, nobody pastes a ticket."""
    with log.step("both daemons stop"):
        await alice.command("daemon", "stop")
        await bob.command("daemon", "stop")
    async with contextlib.AsyncExitStack() as sessions:
        with log.step("the next day: both agents start again; nobody joins anything"):
            codex = await sessions.enter_async_context(agent_on(bob, "codex"))
            claude = await sessions.enter_async_context(agent_on(alice, "claude"))
            for agent in (codex, claude):
                rooms = await agent.call("list_rooms")
                expect(rooms["rooms"] == [ROOM], f"{agent.name} to be in {ROOM}")
        with log.step("they find each other") as say:
            status = await eventually(
                lambda: codex.call("get_room_status", room=ROOM),
                lambda status: names(status) == ["alice", "bob"],
                "Alice in Bob's room",
            )
            say(f"members: {', '.join(names(status))}")
        with log.step(f"Bob asks again: {QUESTION!r}") as say:
            found = await codex.call("search_memory", query=QUESTION, room=ROOM)
            expect(contents(found)[:1] == [NOTE], f"the memory first, not {contents(found)}")
            say(f"{contents(found)[0]!r}")
        with log.step("and both still have all three memories") as say:
            kept = [
                len((await agent.call("list_memories", room=ROOM))["results"])
                for agent in (claude, codex)
            ]
            say(f"alice {kept[0]}, bob {kept[1]}")
            expect(kept[0] == 3 and kept[1] >= 2, "three with Alice, at least two with Bob")


async def tell(alice: Machine, bob: Machine) -> None:
    """Tell the whole story."""
    log = Transcript()
    await first_day(alice, bob, log)
    await second_day(alice, bob, log)
    for machine in (alice, bob):
        await machine.command("daemon", "stop")
    log.close()


def main() -> int:
    """Run the demo on two machines, and leave nothing of them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = 0
    with some_machines("alice", "bob") as machines:
        alice, bob = (it.with_environment(BUDDIES_SIGNER="generated") for it in machines)
        try:
            asyncio.run(tell(alice, bob))
        except* (StepFailed, CommandFailed) as failures:
            # It passes the task groups of the sessions that were open, and comes out in theirs.
            failure: BaseException = failures
            while isinstance(failure, BaseExceptionGroup):
                failure = failure.exceptions[0]
            print(f"\nthe demo failed: {failure}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
