"""Handles messages from 0.1.4 peers: the only way into this node for a message without a trailer.

Nobody can prove who wrote such a message. It is handled as the protocol of 0.1.4 intends, and any
answer is broadcast by a task of this package, so the task that delivers a message never waits for
our broadcast.
"""

import asyncio
import logging
from collections import Counter
from random import Random
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, WireError
from buddies_core.legacy.answering import MemoryAnswers, SkillAnswers
from buddies_core.legacy.asking import MemoryQuestions, SkillQuestions
from buddies_core.legacy.budget import Budget
from buddies_core.legacy.members import LegacyMembers
from buddies_core.legacy.tasks import order_of
from buddies_core.model.bodies import (
    Body,
    Join,
    Leave,
    MemoryCreated,
    MemoryDeleted,
    MemorySuperseded,
    Presence,
    SearchRequest,
    SearchResponse,
    SkillPublished,
    SkillSearchRequest,
    SkillSearchResponse,
    SkillVoteCast,
    StatusUpdate,
    TaskClaimed,
    TaskRequest,
    TaskResponse,
    UnknownBody,
)
from buddies_core.model.ids import EndpointId, RoomId, RoomName
from buddies_core.tasks.broadcasts import BroadcastTasks
from buddies_core.trust.admitted import Admitted
from buddies_core.wire.room_messages import RoomMessage, open_envelope

ANSWER_JOIN_WITHIN_S = 2.0
"""Every member answers a newcomer, each after a random delay of up to this time."""
KEEP_EVERY_S = 30.0
"""How often to write to disk when a 0.1.4 peer was last heard."""
ANSWERS_WAITING_MAX = 32
"""The most answers waiting to be broadcast. Further ones are dropped and counted: nobody waits
longer than half a second for an answer."""

log = logging.getLogger(__name__)


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    async def publish(self, room: RoomName, body: Body) -> bytes:
        """Broadcast a body to the room."""


class RoomPort(Protocol):
    """A room this node is in; see `rooms.room.Room`."""

    name: RoomName
    room_id: RoomId

    async def hear(self, content: bytes, told_by: EndpointId) -> Admitted:
        """Return the message in a broadcast of this room; raise WireError if it is not believed."""

    async def say_join(self) -> None:
        """Tell 0.1.4 peers that this node is here."""


class ReceivePort(Protocol):
    """Stores admitted messages; see `memory.service.Memories` and `skills.service.Skills`."""

    async def receive(self, admitted: Admitted, neighbor: EndpointId) -> None:
        """Take in an admitted message that this neighbor delivered."""


class SkillsPort(ReceivePort, Protocol):
    """Stores skills and votes."""

    async def receive_vote(self, admitted: Admitted, neighbor: EndpointId) -> None:
        """Take in an admitted vote that this neighbor delivered."""


class Legacy:
    """The door for 0.1.4 peers. One event loop owns this."""

    def __init__(
        self,
        *,
        rooms: RoomsPort,
        members: LegacyMembers,
        questions: MemoryQuestions,
        skill_questions: SkillQuestions,
        answers: MemoryAnswers,
        skill_answers: SkillAnswers,
        memories: ReceivePort,
        skills: SkillsPort,
        tasks: BroadcastTasks,
        clock: Clock,
        rng: Random,
        counters: Counter[str],
    ) -> None:
        self._rooms = rooms
        self._members = members
        self._questions = questions
        self._skill_questions = skill_questions
        self._memory_answers = answers
        self._skill_answers = skill_answers
        self._memories = memories
        self._skills = skills
        self._tasks = tasks
        self._clock = clock
        self._rng = rng
        self._counters = counters
        self._budget = Budget()
        self._answers: asyncio.Queue[tuple[RoomName, Body]] = asyncio.Queue(ANSWERS_WAITING_MAX)
        self._with_newcomers: dict[RoomName, RoomPort] = {}
        self._newcomer = asyncio.Event()

    async def run(self) -> None:
        """Answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_saying_answers())
            group.create_task(self._keep_answering_newcomers())
            group.create_task(self._keep_marks())

    async def hear(
        self, room: RoomPort, content: bytes, neighbor: EndpointId, *, is_author: bool
    ) -> None:
        """Act on a broadcast without a trailer, if the budget allows.

        `is_author` says that the neighbor wrote the broadcast itself.

        Raises:
            BuddiesError: the message is not believed, or the disk refused.
        """
        now_s = self._clock.now_s()
        if not self._budget.take_message(neighbor, now_s):
            self._counters["legacy_messages_over_budget"] += 1
            return
        message = _decoded(content)
        if message and not self._budget.take_signatures(message, neighbor, now_s):
            self._counters["legacy_signatures_over_budget"] += 1
            return
        await self._act_on(room, await room.hear(content, neighbor), neighbor, is_author=is_author)

    def may_keep_copy(self, content: bytes, neighbor: EndpointId) -> bool:
        """Return whether a message that this neighbor gave as history may be checked and kept.

        This uses the same budget as broadcasts.
        """
        now_s = self._clock.now_s()
        message = _decoded(content)
        return (
            message is not None
            and self._budget.take_message(neighbor, now_s)
            and self._budget.take_signatures(message, neighbor, now_s)
            and self._may_keep(neighbor)
        )

    async def _act_on(
        self, room: RoomPort, admitted: Admitted, neighbor: EndpointId, *, is_author: bool
    ) -> None:
        body, name = admitted.message.body, admitted.room
        here = self._members.of(room.room_id)
        is_new = here.heard(body, neighbor, is_author=is_author)
        if is_new and self._may_answer(neighbor):
            self._with_newcomers[name] = room
            self._newcomer.set()
        match body:
            case Leave(who):
                if not here.left(who):
                    self._counters["leaves_of_strangers"] += 1
            case MemoryCreated():
                if self._may_keep(neighbor):
                    await self._memories.receive(admitted, neighbor)
            case SkillPublished():
                if self._may_keep(neighbor):
                    await self._skills.receive(admitted, neighbor)
            case SkillVoteCast():
                await self._skills.receive_vote(admitted, neighbor)
            case SearchRequest() if self._may_answer(neighbor):
                self._answer(name, await self._memory_answers.to(body, name))
            case SkillSearchRequest() if self._may_answer(neighbor):
                self._answer(name, await self._skill_answers.to(body, name))
            case SearchResponse():
                self._questions.answered(body, neighbor)
            case SkillSearchResponse():
                self._skill_questions.answered(body, neighbor)
            case TaskRequest():
                await self._tasks.offered(order_of(body, name, self._clock.wall_ms()), neighbor)
            case TaskClaimed(task_id=id):
                await self._tasks.begun(id)
            case TaskResponse():
                await self._tasks.finished(body.task_id, name, body.result, body.completed_by)
            case Join() | StatusUpdate() | SearchRequest() | SkillSearchRequest():
                pass  # Only a sign of life; a status doesn't say whose it is.
            case Presence() | MemorySuperseded() | MemoryDeleted() | UnknownBody():
                raise AssertionError("admission lets these pass with a trailer alone")

    def neighbor_down(self, room: RoomPort, peer: EndpointId) -> None:
        """Note that a neighbor is gone."""
        self._members.cut_off(room.room_id, peer)

    def _may_answer(self, neighbor: EndpointId) -> bool:
        if self._budget.take_answer(neighbor, self._clock.now_s()):
            return True
        self._counters["legacy_answers_over_budget"] += 1
        return False

    def _may_keep(self, neighbor: EndpointId) -> bool:
        if self._budget.take_place(neighbor, self._clock.now_s()):
            return True
        self._counters["legacy_kept_over_budget"] += 1
        return False

    def _answer(self, room: RoomName, answer: Body | None) -> None:
        if answer is None:
            return
        if self._answers.full():
            self._counters["legacy_answers_dropped"] += 1
            return
        self._answers.put_nowait((room, answer))

    async def _keep_saying_answers(self) -> None:
        while True:
            room, answer = await self._answers.get()
            try:
                await self._rooms.publish(room, answer)
            except BuddiesError as error:
                log.info("answer_not_said room=%s: %s", room, error)

    async def _keep_answering_newcomers(self) -> None:
        """Tell newcomers that this node is here, once for all newcomers of a room."""
        while True:
            await self._newcomer.wait()
            await asyncio.sleep(self._rng.uniform(0, ANSWER_JOIN_WITHIN_S))
            self._newcomer.clear()
            rooms, self._with_newcomers = self._with_newcomers, {}
            for room in rooms.values():
                try:
                    await room.say_join()
                except BuddiesError as error:
                    log.warning("join_not_answered room=%s: %s", room.name, error)

    async def _keep_marks(self) -> None:
        while True:
            try:
                await self._members.keep()
            except BuddiesError as error:
                log.warning("marks_not_kept: %s", error)
            await asyncio.sleep(KEEP_EVERY_S)


def _decoded(content: bytes) -> RoomMessage | None:
    """Return the message in a broadcast, unverified; None if it can't be decoded."""
    try:
        return open_envelope(content).message
    except WireError:
        return None
