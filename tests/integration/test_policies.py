"""Policies between whole daemons: who is not let in has no effect, by whatever way it comes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from buddies_core.errors import BuddiesError
from buddies_core.model.bodies import Leave
from buddies_core.model.skill_views import Tally
from buddies_core.model.task import TaskState
from buddies_core.rooms.room import PRESENCE_EVERY_S
from tests.support.memories import DEMO
from tests.support.worlds.meeting import eventually
from tests.support.worlds.private_team import Someone, people
from tests.support.worlds.whole_daemon import a_stranger_among, sealed, unsigned


@pytest.fixture
async def team() -> AsyncIterator[tuple[Someone, Someone, Someone]]:
    """Alice and Bob, who hear only each other, and Mallory; each has a key."""
    async with people("alice", "bob", "mallory", environ={"BUDDIES_SIGNER": "generated"}) as team:
        alice, bob, mallory = team
        ticket = (await alice.join(room=DEMO)).ticket
        for other in (bob, mallory):
            await other.join(ticket, room=DEMO)
        for one in team:
            await one.sees(*({"alice", "bob", "mallory"} - {one.name}), room=DEMO)
        labels = [f"ssh:{label(one)}" for one in (alice, bob)]
        for one in (alice, bob):
            report = await one.on.client.set_policy(DEMO, labels)
            assert [it.name for it in report.shut_out] == ["mallory"]
        yield alice, bob, mallory


def label(one: Someone) -> str:
    return one.on.client.info.identity.removeprefix("ssh:")


async def dropped(one: Someone, counter: str, at_least: int) -> None:
    """Return once so many were dropped for this reason."""
    await eventually(one.on.counters, lambda counted: counted[counter] >= at_least)


async def test_who_is_not_whitelisted_has_no_effect(
    team: tuple[Someone, Someone, Someone],
) -> None:
    alice, bob, mallory = team
    await bob.stores("we use PostgreSQL", DEMO)
    await alice.hears("we use PostgreSQL")
    skill = await bob.on.client.publish_skill(room=DEMO, title="Release", content="1. tag it")
    await eventually(
        alice.on.client.list_skills, lambda kept: [it.hash for it in kept.results] == [skill.hash]
    )

    # What Mallory says.
    evil = mallory.on.client
    await evil.store_memory(room=DEMO, content="we use SQLite")
    await evil.publish_skill(room=DEMO, title="Evil", content="rm -rf /")
    await evil.notify(DEMO, "reading along")
    await eventually(evil.list_skills, lambda kept: skill.hash in {it.hash for it in kept.results})
    await evil.vote_skill(room=DEMO, hash=skill.hash, score=-1)
    for one in (alice, bob):
        await dropped(one, "rejected_policy", 4)

    # What Mallory asks.
    found = await evil.search_memory("which database?", room=DEMO, timeout_s=2)
    assert {it.name for it in found.unanswered} == {"alice", "bob"}
    assert all("policy" in it.reason for it in found.unanswered)
    task = await evil.delegate_task(DEMO, "do my work")
    for one in (alice, bob):
        await dropped(one, "requests_refused_policy", 2)
    asked = await eventually(evil.list_tasks, lambda it: "policy" in it.tasks[0].reason)
    assert (asked.tasks[0].id, asked.tasks[0].state) == (task.id, TaskState.SUBMITTED)
    await evil.cancel_task(str(task.id))

    # And that Mallory goes.
    before = (await alice.on.counters())["rejected_policy"]
    await evil.leave_room(DEMO, for_all=True)
    await dropped(alice, "rejected_policy", before + 1)

    for one in (alice, bob):
        await one.sees(*({"alice", "bob"} - {one.name}), room=DEMO)
        assert await one.contents() == ["we use PostgreSQL"]
        (kept,) = (await one.on.client.list_skills()).results
        assert (kept.hash, kept.votes, kept.uncounted) == (skill.hash, Tally(0, 0), Tally(0, 0))
        assert (await one.on.client.list_tasks()).tasks == ()


async def test_whom_a_room_hears_it_hears_after_a_restart_too_and_no_other(
    team: tuple[Someone, Someone, Someone],
) -> None:
    alice, bob, mallory = team
    await alice.stop()
    await alice.start()
    await alice.sees("bob", room=DEMO)
    assert len((await alice.on.client.get_policy(DEMO)).identities) == 2
    await mallory.stores("we use SQLite", DEMO)
    await dropped(alice, "rejected_policy", 1)
    await bob.stores("we use PostgreSQL", DEMO)
    await alice.hears("we use PostgreSQL")


async def test_who_is_let_in_anew_is_there_at_once(
    team: tuple[Someone, Someone, Someone],
) -> None:
    alice, _, mallory = team
    identity = (await mallory.on.client.get_policy(DEMO)).local_identity
    report = await alice.on.client.add_to_policy(DEMO, identity)
    assert [it.name for it in report.admitted] == ["mallory"]
    async with asyncio.timeout(PRESENCE_EVERY_S / 3):
        await alice.sees("bob", "mallory", room=DEMO)


async def test_who_vouches_for_a_sender_is_asked_of_it_and_then_it_is_heard(
    team: tuple[Someone, Someone, Someone],
) -> None:
    alice, bob, _ = team
    bobs = bob.on.parts.inbound.network.endpoint
    del alice.on.parts.inbound.gate._bindings._known[bobs]
    await bob.stores("we use PostgreSQL", DEMO)
    await alice.hears("we use PostgreSQL")
    assert alice.on.parts.inbound.gate.hears(alice.room(DEMO).room_id, bobs)
    assert (await alice.on.counters())["held_too_many"] == 0


async def test_who_can_t_say_who_vouches_for_it_is_dropped(
    team: tuple[Someone, Someone, Someone],
) -> None:
    alice, _, _ = team
    before = (await alice.on.counters())["rejected_policy"]
    async with a_stranger_among(alice.on) as stranger:
        for minute in range(2):
            leave = sealed(stranger.key, Leave("bob"), sent_at_ms=1_700_000_000_000 + minute)
            await stranger.says(leave)
        await stranger.says(unsigned(Leave("bob")))
        await dropped(alice, "rejected_policy", before + 3)
    await alice.sees("bob", room=DEMO)


async def test_who_is_let_in_later_is_heard_from_then_on(
    team: tuple[Someone, Someone, Someone],
) -> None:
    alice, _, mallory = team
    report = await alice.on.client.add_to_policy(DEMO, f"ssh:{label(mallory)}")
    assert [it.name for it in report.admitted] == ["mallory"]
    await mallory.stores("after", DEMO)
    await alice.hears("after")
    found = await mallory.on.client.search_memory("after", room=DEMO, timeout_s=2)
    assert {it.name for it in found.answered} == {"alice"}


async def test_a_lockout_is_refused_at_first_and_then_told_in_the_status(
    team: tuple[Someone, Someone, Someone],
) -> None:
    alice, bob, _ = team
    labels = [f"ssh:{label(bob)}"]
    with pytest.raises(BuddiesError, match="lock out this machine's own identity"):
        await alice.on.client.set_policy(DEMO, labels)
    await alice.on.client.set_policy(DEMO, labels, confirm=True)
    (warning,) = (await alice.on.client.status()).warnings
    assert "room 'demo': the policy of this room does not let in this machine's own" in warning
