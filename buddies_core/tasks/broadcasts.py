"""Broadcast tasks: nobody arbitrates them, and any peer may claim to have done one.

This is how 0.1.4 peers hand out tasks; `legacy.tasks` knows their messages.
"""

from collections import Counter

from buddies_core.errors import Busy
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.task import TaskOrder, TaskResult
from buddies_core.store.task_records import OfferRecord, OfferState
from buddies_core.tasks.events import LegacyResponded
from buddies_core.tasks.inbox import WAITING_PER_PEER_MAX, Inbox
from buddies_core.tasks.ledger import Ledger

NOBODY = EndpointId(b"")
"""The requester of every broadcast task: such a task has only a name, which anyone can use."""

WAITING_PER_NEIGHBOR_MAX = WAITING_PER_PEER_MAX // 4
"""The most tasks of NOBODY that may wait here from one neighbor, which may be the only route to
all 0.1.4 peers."""


class BroadcastTasks:
    """Handles the peers' broadcasts about tasks."""

    def __init__(self, ledger: Ledger, inbox: Inbox, counters: Counter[str]) -> None:
        self._ledger = ledger
        self._inbox = inbox
        self._counters = counters
        # The neighbor that delivered each waiting task in this run of the daemon.
        self._brought_by: dict[TaskId, EndpointId] = {}

    async def offered(self, order: TaskOrder, neighbor: EndpointId) -> None:
        """Put a task of NOBODY, which this neighbor delivered, into the inbox, once.

        Raises:
            Busy: too many such tasks wait, or too many that the neighbor delivered.
            StoreError: the disk refused.
        """
        async with self._inbox.lock(order.id):
            if self._inbox.find(order.id) is None:
                self._inbox.check_room(NOBODY)
                self._check_share(neighbor)
                self._brought_by[order.id] = neighbor
                await self._inbox.put(OfferRecord(order=order, legacy=True))

    def _check_share(self, neighbor: EndpointId) -> None:
        waiting = {it.id for it in self._inbox.all() if it.record.state is OfferState.OFFERED}
        self._brought_by = {id: it for id, it in self._brought_by.items() if id in waiting}
        if Counter(self._brought_by.values())[neighbor] >= WAITING_PER_NEIGHBOR_MAX:
            raise Busy(f"{WAITING_PER_NEIGHBOR_MAX} tasks of 0.1.4 peers by one neighbor wait here")

    async def forget_offered(self) -> None:
        """Forget the tasks of NOBODY that no agent here has claimed.

        Raises:
            StoreError: the disk refused.
        """
        for held in self._inbox.all():
            async with self._inbox.lock(held.id):
                if held.record.legacy and held.record.state is OfferState.OFFERED:
                    await self._inbox.forget(held.id)

    async def begun(self, id: TaskId) -> None:
        """Leave such a task to the peer that says it has begun it.

        Raises:
            StoreError: the disk refused.
        """
        async with self._inbox.lock(id):
            held = self._inbox.get(id)
            if held is None or not held.record.legacy or held.claiming:
                return
            if held.record.state is OfferState.OFFERED:
                await self._inbox.forget(id)

    async def finished(
        self, id: TaskId, room: RoomName, result: TaskResult, completed_by: str
    ) -> None:
        """Accept a result of a task of ours, if nobody has a lease of it.

        A result of a task that was never broadcast, or not in this room, is a stranger's: it is
        counted and ignored.

        Raises:
            StoreError: the disk refused.
        """
        task = self._ledger.get_open(id)
        if task is None:
            return
        if not task.told_legacy or task.order.room != room:
            self._counters["task_responses_ignored"] += 1
            return
        await self._ledger.apply(id, LegacyResponded(result, completed_by))
