"""The door for 0.1.4 peers: what it lets through and what that costs; nothing waits for it."""

import asyncio
from collections import Counter
from dataclasses import replace
from random import Random
from uuid import UUID

import pytest

from buddies_core.errors import Busy
from buddies_core.identity.verifying import Verifier
from buddies_core.legacy.answering import MemoryAnswers, SkillAnswers
from buddies_core.legacy.asking import SkillQuestions
from buddies_core.legacy.budget import (
    ANSWERS,
    ANSWERS_OF_NEIGHBOR,
    KEPT_OF_NEIGHBOR,
    MESSAGES_OF_NEIGHBOR,
)
from buddies_core.legacy.members import LegacyMembers
from buddies_core.legacy.service import ANSWERS_WAITING_MAX, Legacy
from buddies_core.model.bodies import (
    Body,
    Join,
    MemoryCreated,
    SearchFilters,
    SearchRequest,
    SearchResponse,
    SkillPublished,
    TaskClaimed,
    TaskRequest,
)
from buddies_core.model.ids import EndpointId, RequestId, RoomName, TaskId, open_room_id
from buddies_core.tasks.broadcasts import WAITING_PER_NEIGHBOR_MAX, BroadcastTasks
from buddies_core.tasks.inbox import Inbox
from buddies_core.tasks.ledger import Ledger
from buddies_core.trust.admission import Admission
from buddies_core.trust.admitted import Admitted
from buddies_core.wire.room_messages import RoomMessage, encode_room_message
from tests.support.eventually import until
from tests.support.memories import DEMO, an_entry
from tests.support.skills import a_skill_entry
from tests.support.worlds.skill_team import SkillNode, SkillTeam

ASKED = RequestId(UUID(int=5))
OLGA, OTTO = EndpointId(b"o" * 32), EndpointId(b"t" * 32)


class Room:
    """A room that admits whatever is right, and counts the Joins that are said in it."""

    def __init__(self, node: SkillNode) -> None:
        self.name = DEMO
        self.room_id = open_room_id(DEMO)
        self.joins = 0
        self._admission = Admission(node.store, Verifier({}, node.clock).verify, node.counters)

    async def hear(self, content: bytes, told_by: EndpointId) -> Admitted:
        return await self._admission.admit(self.name, self.room_id, content)

    async def say_join(self) -> None:
        self.joins += 1


class Door:
    """Alice's door for 0.1.4 peers, over real services; broadcasts wait while they are held."""

    def __init__(self) -> None:
        self.node = SkillTeam().skilled("alice")
        node = self.node
        self.room = Room(node)
        self.said: list[Body] = []
        self.goes_out = asyncio.Event()
        self.goes_out.set()
        members = LegacyMembers(node.store, node.clock)
        members.enter(self.room.room_id)
        inbox = Inbox(node.store, node.rooms, node.endpoint, node.clock)
        ledger = Ledger(node.store, node.clock, lambda task, effect: None)
        self.legacy = Legacy(
            rooms=self,
            members=members,
            questions=node.questions,
            skill_questions=SkillQuestions(node.rooms, node.clock),
            answers=MemoryAnswers(node.rooms, node.search),
            skill_answers=SkillAnswers(node.rooms, node.skill_search),
            memories=node.memories,
            skills=node.skills,
            tasks=BroadcastTasks(ledger, inbox, node.counters),
            clock=node.clock,
            rng=Random(1),
            counters=node.counters,
        )

    async def publish(self, room: RoomName, body: Body) -> bytes:
        await self.goes_out.wait()
        self.said.append(body)
        return b""

    async def hears(self, body: Body, neighbor: int = 1) -> None:
        content = encode_room_message(RoomMessage(nonce=bytes(16), body=body))
        peer = EndpointId(neighbor.to_bytes(32, "big"))
        await self.legacy.hear(self.room, content, peer, is_author=False)

    def over_budget(self) -> Counter[str]:
        counters = self.node.counters
        return Counter({k: n for k, n in counters.items() if k.startswith("legacy_")})


@pytest.fixture
def door() -> Door:
    return Door()


SEARCH = SearchRequest(ASKED, "table", SearchFilters())


async def test_a_flood_of_searches_is_answered_as_far_as_the_budget_of_its_neighbor_goes(
    door: Door,
) -> None:
    await door.node.store_memory("a table")
    asked_before = len(door.node.embedder.embedded)
    for _ in range(3500):
        await door.hears(SEARCH)
    answered = int(ANSWERS_OF_NEIGHBOR.burst)
    read = int(MESSAGES_OF_NEIGHBOR.burst)
    assert len(door.node.embedder.embedded) - asked_before == answered
    assert door.over_budget() == {
        "legacy_answers_over_budget": read - answered,
        "legacy_messages_over_budget": 3500 - read,
    }
    await door.hears(SEARCH, neighbor=2)
    assert len(door.node.embedder.embedded) - asked_before == answered + 1


async def test_of_unsigned_memories_and_skills_a_neighbor_has_so_many_kept(door: Door) -> None:
    budget = int(KEPT_OF_NEIGHBOR.burst)
    for number in range(budget + 50):
        door.node.clock.monotonic_s += 0.02  # as fast as they are read
        body = MemoryCreated(an_entry(number, author=OLGA, content=f"note {number}"))
        await door.hears(body)
    await door.hears(SkillPublished(replace(a_skill_entry(), author="olga")))
    assert door.over_budget() == {"legacy_kept_over_budget": 51}
    await door.hears(MemoryCreated(an_entry(author=OTTO, content="another way")), neighbor=2)
    assert door.node.store.count_memories() == budget + 1


def a_task(id: TaskId) -> TaskRequest:
    return TaskRequest(
        task_id=id,
        source_peer="olga",
        room=DEMO,
        description="do it",
        timeout_s=600,
        created_at_s=0,
    )


async def test_a_neighbor_that_brings_many_tasks_of_0_1_4_peers_leaves_room_for_those_of_others(
    door: Door,
) -> None:
    async def offers(count: int, neighbor: int) -> int:
        refused = 0
        for number in range(count):
            id = TaskId(UUID(int=1000 * neighbor + number))
            try:
                await door.hears(a_task(id), neighbor)
            except Busy:
                refused += 1
        return refused

    assert await offers(60, neighbor=1) == 60 - WAITING_PER_NEIGHBOR_MAX
    assert await offers(1, neighbor=2) == 0
    for id in range(1000, 1010):  # others have begun ten of them
        await door.hears(TaskClaimed(TaskId(UUID(int=id)), "otto"))
    assert await offers(10, neighbor=1) == 0
    assert await offers(60, neighbor=1) == 60 - WAITING_PER_NEIGHBOR_MAX


async def test_answers_that_cannot_go_out_are_dropped_and_nobody_waits_for_them(
    door: Door,
) -> None:
    await door.node.store_memory("a table")
    door.goes_out.clear()
    asked = 0
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        running = group.create_task(door.legacy.run())
        for second in range(60):
            door.node.clock.monotonic_s += 1
            for neighbor in range(int(ANSWERS.per_s)):
                await door.hears(SEARCH, neighbor=neighbor + 10 * second)
                asked += 1
        assert door.node.counters["legacy_answers_dropped"] > asked - ANSWERS_WAITING_MAX - 2
        door.goes_out.set()
        await until(lambda: len(door.said) >= ANSWERS_WAITING_MAX)
        assert {type(body) for body in door.said} == {SearchResponse}
        running.cancel()


async def test_newcomers_of_a_room_are_answered_together_by_one_join(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buddies_core.legacy.service.ANSWER_JOIN_WITHIN_S", 0.0)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        for name in ("olga", "otto", "olga"):
            await door.hears(Join(name, "cursor"))
        running = group.create_task(door.legacy.run())
        await until(lambda: door.room.joins == 1)
        await door.hears(Join("olga", "cursor"))
        await door.hears(Join("oona", "cursor"))
        await until(lambda: door.room.joins == 2)
        running.cancel()
