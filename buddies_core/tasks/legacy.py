"""Tasks with 0.1.4 peers: broadcasts that nobody arbitrates, from whoever says that it asks."""

from collections import Counter
from collections.abc import Callable

from buddies_core.model.bodies import TaskClaimed, TaskRequest, TaskResponse
from buddies_core.model.ids import EndpointId
from buddies_core.model.task import TaskLimits, TaskOrder, TaskTarget
from buddies_core.store.task_records import OfferRecord, OfferState
from buddies_core.tasks.events import LegacyResponded
from buddies_core.tasks.inbox import Inbox
from buddies_core.tasks.ledger import Ledger
from buddies_core.trust.admission import Admitted

LEGACY_TASK_S_MAX = 24 * 3600.0
NOBODY = EndpointId(b"")
"""Who asks for a 0.1.4 task: a name is all there is, and anybody can take it."""


class LegacyTasks:
    """Takes in what 0.1.4 peers say about tasks. They have no trailer; ours are asked directly."""

    def __init__(
        self, ledger: Ledger, inbox: Inbox, wall_ms: Callable[[], int], counters: Counter[str]
    ) -> None:
        self._ledger = ledger
        self._inbox = inbox
        self._wall_ms = wall_ms
        self._counters = counters

    async def on_request(self, admitted: Admitted, request: TaskRequest) -> None:
        """Put a 0.1.4 peer's task into the inbox, once.

        Its time begins now: its own clock may be wrong.

        Raises:
            Busy: too many such tasks wait.
            StoreError: the disk refused.
        """
        if admitted.trailer is not None:
            return
        time_s = min(LEGACY_TASK_S_MAX, float(request.timeout_s))
        order = TaskOrder(
            id=request.task_id,
            room=admitted.room,
            description=request.description,
            requester=NOBODY,
            requester_user=request.source_peer,
            requester_agent="",
            target=TaskTarget(),
            limits=TaskLimits(start_s=time_s, finish_s=time_s),
            retryable=True,
            trace_id=request.task_id,
            path=(f"/{request.source_peer}",),
            created_at_ms=self._wall_ms(),
        )
        async with self._inbox.lock(request.task_id):
            if self._inbox.find(request.task_id) is None:
                self._inbox.check_room(NOBODY)
                await self._inbox.put(OfferRecord(order=order, legacy=True))

    async def on_claimed(self, claimed: TaskClaimed) -> None:
        """Leave a 0.1.4 peer's task to whoever says to have begun it."""
        async with self._inbox.lock(claimed.task_id):
            held = self._inbox.get(claimed.task_id)
            if held is None or not held.record.legacy or held.claiming:
                return
            if held.record.state is OfferState.OFFERED:
                await self._inbox.forget(claimed.task_id)

    async def on_response(self, admitted: Admitted, response: TaskResponse) -> None:
        """Take a 0.1.4 peer's result of a task of ours, if nobody has a lease of it.

        Anybody can write such an answer. One to a task that 0.1.4 peers were never told of, or not
        in this room, is a stranger's: counted and ignored.

        Raises:
            StoreError: the disk refused.
        """
        task = self._ledger.get_open(response.task_id)
        if admitted.trailer is not None or task is None:
            return
        if not task.told_legacy or task.order.room != admitted.room:
            self._counters["task_responses_ignored"] += 1
            return
        event = LegacyResponded(response.result, response.completed_by)
        await self._ledger.apply(response.task_id, event)
