"""Tasks that were broadcast: nobody arbitrates them, and anybody may say that it has done one.

That is how 0.1.4 peers hand out tasks; `legacy.tasks` knows how they say it.
"""

from collections import Counter

from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.task import TaskOrder, TaskResult
from buddies_core.store.task_records import OfferRecord, OfferState
from buddies_core.tasks.events import LegacyResponded
from buddies_core.tasks.inbox import Inbox
from buddies_core.tasks.ledger import Ledger

NOBODY = EndpointId(b"")
"""Who asks for a broadcast task: a name is all there is, and anybody can take it."""


class BroadcastTasks:
    """Takes in what others broadcast about tasks."""

    def __init__(self, ledger: Ledger, inbox: Inbox, counters: Counter[str]) -> None:
        self._ledger = ledger
        self._inbox = inbox
        self._counters = counters

    async def offered(self, order: TaskOrder) -> None:
        """Put a task of NOBODY into the inbox, once.

        Raises:
            Busy: too many such tasks wait.
            StoreError: the disk refused.
        """
        async with self._inbox.lock(order.id):
            if self._inbox.find(order.id) is None:
                self._inbox.check_room(NOBODY)
                await self._inbox.put(OfferRecord(order=order, legacy=True))

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
        """Leave such a task to whoever says to have begun it.

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
        """Take a result of a task of ours, if nobody has a lease of it.

        One of a task that was never broadcast, or not in this room, is a stranger's: counted and
        ignored.

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
