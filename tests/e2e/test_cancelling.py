"""Cancelled calls, clients that die and daemons that end: nothing of that breaks a shim."""

import asyncio
import itertools
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest

from buddies_mcp.server import TOOLS
from tests.support.worlds.machines import Machine
from tests.support.worlds.shims import Shim, shake_hands, shim_on

ROOM = "feature-a"
MOMENTS_S = (0, 0.005, 0.05)
"""When after a call its cancellation is sent."""
ANSWERS_WITHIN_S = 60.0
ENDS_WITHIN_S = 30.0
AGENTS = 20

# A server whose loop is cut short once, as by a cancellation that anyio does not know.
CUT_SHORT = """\
from buddies_mcp import __main__, server
from buddies_mcp.host import serving

whole = server.serve

async def cut_short(_session, incoming, _outgoing):
    serving.serve = whole
    await incoming.receive()

serving.serve = cut_short
__main__.main()
"""


def valid_arguments(memory: str, task: str, skill: str) -> Mapping[str, dict[str, Any]]:
    """Return arguments for every tool with which it has something to do."""
    identity = (
        "ssh:ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEChX2Yz7MAhB/F5Z3uPbDNHjmWh8aGqYpaEbVbJ4E"
    )
    return {
        "join_room": {"room": "elsewhere"},
        "create_invite": {"room": ROOM},
        "leave_room": {"room": "elsewhere"},
        "list_rooms": {},
        "get_room_status": {"room": ROOM},
        "notify_peers": {"room": ROOM, "text": "cancelling"},
        "store_memory": {"room": ROOM, "content": "a note"},
        "search_memory": {"query": "a note"},
        "list_memories": {},
        "get_memory": {"id": memory},
        "delete_memory": {"id": memory},
        "forget_memory": {"id": memory},
        "delegate_task": {"room": ROOM, "description": "d", "idempotency_key": "once"},
        "wait_task": {"task_id": task},
        "poll_pending_tasks": {},
        "submit_task_result": {"task_id": task, "success": True, "output": "done"},
        "task_progress": {"task_id": task, "text": "half of it"},
        "cancel_task": {"task_id": task},
        "reject_task": {"task_id": task, "reason": "no time"},
        "list_tasks": {},
        "publish_skill": {"room": ROOM, "title": "How to cancel", "content": "Press Esc."},
        "search_skills": {"query": "cancel"},
        "vote_skill": {"room": ROOM, "hash": skill, "score": 1},
        "get_skill": {"hash": skill},
        "install_skill": {"hash": skill, "client": "project"},
        "set_identity_policy": {"room": ROOM, "identities": []},
        "add_whitelisted_identity": {"room": ROOM, "identity": identity},
        "get_identity_policy": {"room": ROOM},
    }


def test_the_matrix_has_valid_arguments_for_every_tool() -> None:
    arguments = valid_arguments("m", "t", "s")
    assert list(arguments) == list(TOOLS)
    for name, given in arguments.items():
        TOOLS[name].check(given)


async def set_up(shim: Shim) -> Mapping[str, dict[str, Any]]:
    """Join the room, leave something of each kind in it, and return calls that use them."""
    await shake_hands(shim)
    await shim.result("join_room", room=ROOM)
    memory = await shim.result("store_memory", room=ROOM, content="a note")
    skill = await shim.result("publish_skill", room=ROOM, title="How", content="Press Esc.")
    task = await shim.result("delegate_task", room=ROOM, description="d", wait_secs=0)
    return valid_arguments(memory["id"], task["task_id"], skill["hash"])


async def test_every_call_can_be_cancelled_at_every_moment(alice: Machine) -> None:
    async with shim_on(alice) as shim:
        calls = await set_up(shim)
        for (name, arguments), moment_s in itertools.product(calls.items(), MOMENTS_S):
            await shim.volley({name: arguments}, moment_s)
            await shim.answer(shim.ask("ping"))
        for moment_s in (*MOMENTS_S, 0.3):
            await shim.volley(calls, moment_s)
            await shim.is_well()


async def test_every_call_can_be_cancelled_before_the_daemon_runs_and_while_it_starts(
    alice: Machine,
) -> None:
    async with shim_on(alice) as shim:
        calls = await set_up(shim)
        # The first cancelled calls have it started, which the later ones meet.
        for moments_s in zip(MOMENTS_S, MOMENTS_S[::-1], strict=True):
            await alice.kill_daemon()
            for moment_s in moments_s:
                await shim.volley(calls, moment_s)
            await shim.is_well()


@pytest.mark.parametrize("words", [("daemon", "stop"), ("daemon", "restart")])
async def test_every_call_can_be_cancelled_while_the_daemon_stops_and_restarts(
    alice: Machine, words: tuple[str, ...]
) -> None:
    async with shim_on(alice) as shim:
        calls = await set_up(shim)
        async with asyncio.TaskGroup() as tasks:
            command = tasks.create_task(alice.run(*words))
            for moment_s in itertools.cycle(MOMENTS_S):
                await shim.volley(calls, moment_s)
                await asyncio.sleep(0.05)
                if command.done():
                    break
        await shim.is_well()


async def test_the_first_call_of_all_can_be_cancelled(alice: Machine) -> None:
    async with shim_on(alice) as shim:
        await shake_hands(shim)
        await shim.volley(valid_arguments("m", "t", "s"), 0)
        await shim.result("join_room", room=ROOM)
        await shim.is_well()


async def test_calls_that_come_while_the_daemon_restarts_are_all_answered(alice: Machine) -> None:
    async with shim_on(alice) as shim:
        await set_up(shim)
        waiting = shim.call("poll_pending_tasks", {"wait_secs": 3})
        numbers: list[int] = []
        async with asyncio.TaskGroup() as tasks:
            command = tasks.create_task(alice.run("daemon", "restart"))
            while not command.done():
                numbers.append(shim.call("get_room_status", {"room": ROOM}))
                await asyncio.sleep(0.05)
        for number in (waiting, *numbers):
            await shim.answer(number)
        await shim.is_well()


async def test_a_client_that_is_killed_in_the_middle_of_its_calls_takes_along_its_agent_alone(
    alice: Machine,
) -> None:
    async with (
        shim_on(alice, agent="other") as other,
        shim_on(alice) as killed,
        shim_on(alice) as hung_up,
    ):
        calls = await set_up(other)
        for shim in (killed, hung_up):
            await shake_hands(shim)
            await shim.is_well()
            for name, arguments in calls.items():
                shim.call(name, arguments)
        await asyncio.sleep(MOMENTS_S[-1])
        killed.kill()
        hung_up.hang_up()
        async with asyncio.timeout(ENDS_WITHIN_S):
            await killed.process.wait()
            await hung_up.process.wait()
        await _shows(alice, ["other"])
        await other.is_well()


async def test_twenty_agents_cancel_lose_their_daemon_and_are_killed_at_once(
    alice: Machine,
) -> None:
    async with shim_on(alice, agent="person") as person:
        calls = await set_up(person)

        async def live(number: int) -> None:
            async with AsyncExitStack() as stack:
                async with starts:
                    shim = await stack.enter_async_context(shim_on(alice, agent=f"a{number}"))
                    await shake_hands(shim)
                    await shim.is_well()
                await ready.wait()
                await shim.volley(calls, MOMENTS_S[number % len(MOMENTS_S)])
                await shim.is_well()
                for name, arguments in calls.items():
                    shim.call(name, arguments)
                await asyncio.sleep(MOMENTS_S[-1])
                shim.hang_up() if number % 2 else shim.kill()
                async with asyncio.timeout(ANSWERS_WITHIN_S):
                    await shim.process.wait()

        starts = asyncio.Semaphore(2)  # Twenty at once would starve the tests beside this one.
        ready = asyncio.Barrier(AGENTS + 1)
        async with asyncio.TaskGroup() as tasks:
            for number in range(AGENTS):
                tasks.create_task(live(number))
            await ready.wait()
            await alice.kill_daemon(signal.SIGTERM)
        await person.is_well()
        await _shows(alice, ["person"])


async def test_a_server_that_ends_before_its_client_does_is_replaced_under_it(
    alice: Machine,
) -> None:
    alice = alice.with_environment(BUDDIES_MCP_HOST="off")
    async with shim_on(alice, sys.executable, "-c", CUT_SHORT) as shim:
        await shake_hands(shim)
        assert await shim.result("list_rooms") == {"rooms": []}


async def _shows(machine: Machine, agents: list[str]) -> None:
    """Wait until the daemon shows these agents and no others."""
    async with asyncio.timeout(ANSWERS_WITHIN_S):
        while [agent["name"] for agent in (await machine.command("status"))["agents"]] != agents:
            pass
