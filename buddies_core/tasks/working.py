"""The worker's side: what this node's agents do with the tasks they have claimed."""

import logging
from dataclasses import replace

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, NotAllowed, NotFound
from buddies_core.model.ids import TaskId
from buddies_core.model.task import PERSON, Caller, SubmitVerdict, TaskResult, TaskView
from buddies_core.store.task_records import OfferRecord, OfferState
from buddies_core.tasks.asking import Asking
from buddies_core.tasks.claiming import Claiming
from buddies_core.tasks.inbox import Held, Inbox
from buddies_core.tasks.tending import LEGACY_VERDICT, Tending
from buddies_core.tasks.views import LATE, offered_view
from buddies_core.tasks.waiting import wait_set

VERDICT_TIMEOUT_S = 5.0
"""How long submitting waits for a verdict; delivery continues after it returns."""

_log = logging.getLogger(__name__)


class Working:
    """What agents do with the tasks in the inbox. One event loop owns this."""

    def __init__(
        self, *, inbox: Inbox, claiming: Claiming, tending: Tending, asking: Asking, clock: Clock
    ) -> None:
        self._inbox = inbox
        self._claiming = claiming
        self._tending = tending
        self._asking = asking
        self._clock = clock

    async def submit(self, id: TaskId, result: TaskResult, caller: Caller) -> SubmitVerdict:
        """Store and deliver a result; return the requester's verdict if it comes soon.

        The same result again gets the same verdict.

        Raises:
            NotFound: this node was not asked to do that task.
            NotAllowed: the caller has not claimed it, or another result exists already.
            StoreError: the disk refused; nothing is submitted.
        """
        changed = self._inbox.changed.of(id)
        async with self._inbox.lock(id):
            record = self._find(id)
            if record.state in (OfferState.SUBMITTED, OfferState.DONE):
                if record.result != result:
                    raise NotAllowed(
                        f"another result of task {id} was submitted before "
                        f"({record.verdict or 'it is on its way'}); only the first one counts"
                    )
            else:
                self._check_claim(record, caller)
                agent, user = caller.agent, caller.user
                if record.state is OfferState.CLAIMED:
                    agent, user = record.agent or agent, record.user
                record = replace(
                    record, state=OfferState.SUBMITTED, result=result, agent=agent, user=user
                )
                self._tending.start(await self._inbox.put(record))
        deadline_s = self._clock.now_s() + VERDICT_TIMEOUT_S
        while True:
            news = changed.listen()
            record = self._find(id)
            left_s = deadline_s - self._clock.now_s()
            if record.state is not OfferState.SUBMITTED or left_s <= 0:
                return _verdict(record)
            await wait_set(news, left_s)

    async def progress(self, id: TaskId, text: str, caller: Caller) -> TaskView:
        """Report progress to the requester, later if it can't be reached now.

        Raises:
            NotFound: this node was not asked to do that task.
            NotAllowed: the caller has not claimed it, or has lost it and should stop.
        """
        record = self._find(id)
        self._check_claim(record, caller)
        held = self._inbox.get(id)
        if held is None or record.state is not OfferState.CLAIMED:
            raise NotAllowed(
                f"task {id} is not yours any more: {record.reason}; stop working on it"
            )
        held.progress = held.unsent_progress = text
        if record.legacy:
            held.unsent_progress = None
            return self._view(record, held)
        try:
            await self._tending.report(held, record, text)
        except (NotAllowed, NotFound) as error:
            await self._tending.lose(held, record, str(error))
            raise NotAllowed(
                f"task {id} is not yours any more: {error}; stop working on it"
            ) from error
        except BuddiesError as error:
            _log.info("progress_not_told task=%s: %s", id, error)
            held.woken()
        else:
            if held.unsent_progress == text:
                held.unsent_progress = None
        return self._view(held.record, held)

    async def reject(self, id: TaskId, reason: str, caller: Caller) -> TaskView:
        """Leave a task to other agents, claimed or not; the caller is not asked again.

        Raises:
            NotFound: this node was not asked to do that task.
            NotAllowed: another agent has claimed it, or it is over.
        """
        async with self._inbox.lock(id):
            record = self._find(id)
            if record.state is OfferState.OFFERED:
                held = self._inbox.get(id)
                if held not in tuple(self._inbox.visible(caller, None)):
                    raise NotAllowed(f"task {id} is not offered to {caller.agent}")
            else:
                self._check_claim(record, caller)
                if record.state is not OfferState.CLAIMED:
                    raise NotAllowed(f"task {id} is not yours any more: {record.reason}")
            state = OfferState.OFFERED if record.legacy else OfferState.RETURNING
            rejected_by = (*record.rejected_by, caller.agent)
            record = replace(
                record,
                state=state,
                agent=caller.agent,
                user=caller.user,
                reason=reason,
                rejected_by=rejected_by,
            )
            held = await self._inbox.put(record)
            self._tending.start(held)
        return self._view(replace(record, state=OfferState.RETURNING), held)

    def _find(self, id: TaskId) -> OfferRecord:
        record = self._inbox.find(id)
        if record is None:
            raise NotFound(
                f"this machine was not asked to do a task {id}, or it is over and forgotten; "
                "list_tasks shows those there are"
            )
        return record

    def _check_claim(self, record: OfferRecord, caller: Caller) -> None:
        """Return if the caller has claimed the task, or may act for the agent that did."""
        held = self._inbox.get(record.order.id)
        is_orphan = (
            held is not None and self._claiming.is_orphan(held) and record.agent != PERSON.agent
        )
        has_it = caller.agent == record.agent
        match record.state:
            case OfferState.CLAIMED if has_it or is_orphan:
                return
            case OfferState.OFFERED | OfferState.LOST if has_it and record.attempt:
                return
            case OfferState.LOST | OfferState.RETURNING if not record.agent and record.attempt:
                return
            case OfferState.CLAIMED:
                why = f"it is {record.agent}'s now"
            case OfferState.OFFERED:
                why = "nobody here has claimed it; claim it first: poll_pending_tasks"
            case _:
                why = record.reason or f"it is {record.state}"
        raise NotAllowed(f"task {record.order.id} is not {caller.agent}'s: {why}")

    def _view(self, record: OfferRecord, held: Held | None) -> TaskView:
        return offered_view(record, held, self._asking.endpoint, self._clock.now_s())


def _verdict(record: OfferRecord) -> SubmitVerdict:
    word, _, text = record.verdict.partition(": ")
    if record.legacy and word != LATE:
        return SubmitVerdict("sending", text or LEGACY_VERDICT)
    if record.state is not OfferState.DONE:
        return SubmitVerdict(
            "sending",
            "the result is kept on this machine; who asked for it can't be reached now, and is "
            "told as soon as it can",
        )
    if word == LATE:
        return SubmitVerdict("late", f"the result came too late to count: {text}")
    return SubmitVerdict("accepted", "who asked for it has the result")
