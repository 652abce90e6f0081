"""Asks many members at once, and waits for each as long as its answer is worth waiting for."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Generic

from buddies_core.asking.choosing import Asked
from buddies_core.asking.findings import Findings
from buddies_core.asking.late import LateAnswers
from buddies_core.asking.patience import Patience
from buddies_core.asking.ports import SearchPort
from buddies_core.asking.question import Answer, ItemT, Question, reason_of
from buddies_core.clock import Clock
from buddies_core.errors import (
    BuddiesError,
    InvalidInput,
    NotAllowed,
    NotFound,
    Rotated,
    TimedOut,
)
from buddies_core.finding.feeding import IndexProgress
from buddies_core.model.ids import RoomName
from buddies_core.model.room import Member
from buddies_core.pb import peer_pb2

ROOMS_IN_REQUEST_MAX = 256
"""The most rooms in one request. Each takes up to 70 bytes of its 128 KiB."""

_CAME_LATE = "its answer to the last time this was asked, which came late"


class Everyone(Generic[ItemT]):
    """Asks members on behalf of searches. One event loop owns this."""

    def __init__(
        self,
        network: SearchPort,
        said: Callable[[peer_pb2.PeerReply], peer_pb2.SearchReply],
        clock: Clock,
    ) -> None:
        """Ask through `network`; `said` decodes a reply."""
        self._network = network
        self._said = said
        self._clock = clock
        self._patience = Patience()
        self._late: LateAnswers[Answer[ItemT]] = LateAnswers(clock)

    async def ask(
        self,
        question: Question,
        of: Sequence[Asked],
        request: peer_pb2.PeerRequest,
        findings: Findings[ItemT],
        here: asyncio.Task[Any],
    ) -> list[Answer[ItemT]]:
        """Return each member's answer, in order; members not worth waiting for count as silent.

        Nobody is given up before `here`, this machine's own search, is done.
        """
        loop = asyncio.get_running_loop()
        tasks = {self._late.start(self._ask(question, it, request, findings)): it for it in of}
        began_s = last_s = loop.time()
        end_s = began_s + question.left_s(self._clock.now_s())
        waiting: set[asyncio.Task[Any]] = {*tasks, here}
        while pending := [member for task, (_, member) in tasks.items() if task in waiting]:
            until_s = end_s
            if here.done():
                wait_s = self._wait_s(pending, last_s - began_s, has_answers=len(pending) < len(of))
                until_s = min(end_s, last_s + wait_s)
            done, waiting = await asyncio.wait(
                waiting,
                timeout=max(0.0, until_s - loop.time()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                break
            last_s = loop.time()
        waited_s = loop.time() - began_s
        return [
            self._answered(task.result())
            if task.done()
            else self._given_up(question, task, asked, waited_s)
            for task, asked in tasks.items()
        ]

    def close(self) -> None:
        """End the requests that nobody waits for any more."""
        self._late.close()

    def _wait_s(
        self, pending: Sequence[Member], others_took_s: float, *, has_answers: bool
    ) -> float:
        """Return how long to wait for these members after the others are done."""
        now_s, contact = self._clock.now_s(), self._network.contact
        return max(
            self._patience.wait_s(
                it, contact(it.endpoint), others_took_s, now_s, has_answers=has_answers
            )
            for it in pending
        )

    def _answered(self, answer: Answer[ItemT]) -> Answer[ItemT]:
        if not answer.silence:
            self._patience.answered(answer.member, answer.elapsed_ms / 1000)
        return answer

    def _given_up(
        self, question: Question, task: asyncio.Task[Answer[ItemT]], asked: Asked, waited_s: float
    ) -> Answer[ItemT]:
        """Return a member's late answer to the same question asked before, or that it is silent."""
        rooms, member = asked
        self._patience.gave_up(member, self._clock.wall_ms())
        key = (member.endpoint, tuple(rooms), question.query, question.filter, question.limit)
        task.add_done_callback(partial(self._came_late, key))
        if (late := self._late.take(key)) is not None:
            return replace(late, missing=_CAME_LATE)
        return Answer(member=member, silence=_silence(min(waited_s, question.timeout_s)))

    def _came_late(self, key: Hashable, task: asyncio.Task[Answer[ItemT]]) -> None:
        if task.cancelled() or task.exception() is not None:
            return
        answer = self._answered(task.result())
        if not answer.silence:
            self._late.keep(key, answer)

    async def _ask(
        self,
        question: Question,
        asked: Asked,
        request: peer_pb2.PeerRequest,
        findings: Findings[ItemT],
    ) -> Answer[ItemT]:
        """Ask a member about rooms; never raises because of a peer's behavior.

        One request names all rooms. Rooms that the reply leaves out are asked about one by one: the
        member then says why, moves to the newest keys with us, or is too old to know better.
        """
        rooms, member = asked
        answer, left = await self._ask_at_once(question, rooms, member, request, findings)
        if not left:
            return answer
        async with asyncio.TaskGroup() as group:
            asking = [
                group.create_task(self._ask_at_once(question, (it,), member, request, findings))
                for it in left
            ]
        return _joined([answer, *(task.result()[0] for task in asking)])

    async def _ask_at_once(
        self,
        question: Question,
        rooms: Sequence[RoomName],
        member: Member,
        request: peer_pb2.PeerRequest,
        findings: Findings[ItemT],
    ) -> tuple[Answer[ItemT], Sequence[RoomName]]:
        """Return a member's answer about these rooms, and the rooms that it left out."""
        first, *others = rooms
        keys = {it: key for it in others if (key := self._network.key_for(member.endpoint, it))}
        named = (first, *tuple(keys)[: ROOMS_IN_REQUEST_MAX - 1])
        if others:
            request = peer_pb2.PeerRequest.FromString(request.SerializeToString())
            request.more.extend(keys[it] for it in named[1:])
        left_s = question.left_s(self._clock.now_s())
        try:
            async with asyncio.timeout(left_s):
                replies = await self._network.ask(member.endpoint, first, request, left_s)
                said = [self._said(reply) for reply in replies]
                copies = [found for reply in said for found in reply.found][: question.limit]
                hits = [
                    hit
                    for number, room in enumerate(named)
                    if (found := [it for it in copies if it.room == number])
                    for hit in await findings.take(room, member.endpoint, found)
                ]
        except (TimeoutError, TimedOut):
            return Answer(member=member, silence=_silence(question.timeout_s)), ()
        except (NotFound, NotAllowed, InvalidInput, Rotated) as refusal:
            if others:
                return Answer(member=member), rooms
            return Answer(member=member, silence=reason_of(refusal)), ()
        except BuddiesError as error:
            return Answer(member=member, silence=reason_of(error)), ()
        told = {0, *(number for reply in said for number in reply.rooms)}
        searched = {room for number, room in enumerate(named) if number in told}
        answer = Answer(
            member=member,
            hits=hits,
            elapsed_ms=question.elapsed_ms(self._clock.now_s()),
            lexical_only=any(reply.lexical_only for reply in said),
            missing=next((note for reply in said if (note := _missing(reply.progress))), ""),
        )
        return answer, [room for room in rooms if room not in searched]


def _joined(answers: Sequence[Answer[ItemT]]) -> Answer[ItemT]:
    """Return the answers of one member as one."""
    return Answer(
        member=answers[0].member,
        hits=[hit for it in answers for hit in it.hits],
        elapsed_ms=max(it.elapsed_ms for it in answers),
        lexical_only=any(it.lexical_only for it in answers),
        missing=next((it.missing for it in answers if it.missing), ""),
        silence=next((it.silence for it in answers if it.silence), ""),
    )


def _silence(waited_s: float) -> str:
    return f"no answer within {waited_s:.2g} s"


def _missing(progress: peer_pb2.IndexProgress) -> str:
    """Return what a member's search can't find yet, according to its reply."""
    return IndexProgress(
        stored=progress.stored, by_words=progress.by_words, by_meaning=progress.by_meaning
    ).note()
