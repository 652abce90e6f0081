"""Tasks: each is handed to another agent, here or elsewhere, and returns exactly one result.

A machine both requests and does tasks, so both sides are here. `orders`, `ledger` and `offering`
handle the tasks it requested; `inbox`, `claiming`, `working` and `tending` handle those it was
asked to do. Tasks between its own agents follow the same path, without the network.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from random import Random
from uuid import UUID

from buddies_core.clock import Clock
from buddies_core.errors import NotAllowed, NotFound
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.ids import EndpointId, RoomName, TaskId
from buddies_core.model.task import (
    PERSON,
    PROGRESS_BYTES_MAX,
    REASON_BYTES_MAX,
    Caller,
    InboxChange,
    SubmitVerdict,
    TaskPlace,
    TaskState,
    TaskView,
)
from buddies_core.pb.peer_pb2 import PeerRequest
from buddies_core.tasks.answering import Answering, Replies
from buddies_core.tasks.asking import Asking
from buddies_core.tasks.broadcasts import BroadcastTasks
from buddies_core.tasks.claiming import Claiming
from buddies_core.tasks.events import CancelRequested, Effect, OfferAgain, Refused, Withdraw
from buddies_core.tasks.inbox import Inbox
from buddies_core.tasks.ledger import Ledger, task_of
from buddies_core.tasks.lifecycle import Task, new_task
from buddies_core.tasks.offering import Offering
from buddies_core.tasks.orders import Orders, Wish, check_text, check_wish
from buddies_core.tasks.outputs import result_of
from buddies_core.tasks.ports import LegacyPort, RoomsPort, StorePort
from buddies_core.tasks.tending import Tending
from buddies_core.tasks.views import asked_view, inbox_task, newest, offered_view
from buddies_core.tasks.waiting import wait_set
from buddies_core.tasks.working import Working

A_LOOK_S = 0.5
"""The minimum wait of a person's poll. This machine's own work is offered to a poll only while it
waits."""


class Tasks:
    """The tasks of this node. Call `load` first, then `run`. One event loop owns this."""

    def __init__(
        self,
        *,
        store: StorePort,
        rooms: RoomsPort,
        clock: Clock,
        rng: Random,
        counters: Counter[str],
        legacy: LegacyPort | None = None,
    ) -> None:
        """Keep tasks in `store`; ids are drawn from `rng`, so it should not be guessable.

        Without `legacy` nothing is broadcast.
        """
        self._store = store
        self._rooms = rooms
        self._clock = clock
        self._rng = rng
        self._endpoint = rooms.endpoint
        self._persons_polling = 0
        self._legacy = legacy
        asking = Asking(rooms, self.answer)
        self._ledger = Ledger(store, clock, self._act)
        self._inbox = Inbox(store, rooms, self._endpoint, clock)
        self._orders = Orders(
            rooms=rooms, inbox=self._inbox, endpoint=self._endpoint, clock=clock, rng=rng
        )
        self._offering = Offering(
            rooms=rooms,
            asking=asking,
            ledger=self._ledger,
            clock=clock,
            rng=rng,
            local_agents=self._local_agents,
            legacy=legacy,
        )
        self._tending = Tending(
            inbox=self._inbox, asking=asking, rooms=rooms, clock=clock, rng=rng, legacy=legacy
        )
        self._claiming = Claiming(
            inbox=self._inbox,
            tending=self._tending,
            asking=asking,
            rooms=rooms,
            clock=clock,
            legacy=legacy,
        )
        self._working = Working(
            inbox=self._inbox,
            claiming=self._claiming,
            tending=self._tending,
            asking=asking,
            clock=clock,
        )
        self._answering = Answering(
            ledger=self._ledger,
            inbox=self._inbox,
            offering=self._offering,
            asking=asking,
            clock=clock,
        )
        self.broadcast = BroadcastTasks(self._ledger, self._inbox, counters)
        """Handles the peers' broadcasts about tasks."""

    async def load(self) -> None:
        """Load the tasks that are on disk.

        Raises:
            StoreError: the disk could not be read.
        """
        await self._ledger.load()
        await self._inbox.load()
        if self._legacy is None:
            await self.broadcast.forget_offered()

    async def run(self) -> None:
        """Offer tasks, renew leases, deliver results and apply time limits until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ledger.run())
            group.create_task(self._offering.run())
            group.create_task(self._tending.run())
            group.create_task(self._claiming.run())

    # Asking for a task

    async def delegate(
        self,
        room: RoomName,
        description: str,
        *,
        timeout_s: float | None,
        peer: str,
        agent_target: str,
        capability: str,
        idempotency_key: str,
        retryable: bool,
        parent: TaskId | None,
        caller: Caller,
    ) -> TaskView:
        """Store a task and offer it to the room; on return it is on disk and being offered.

        The same idempotency key from the same agent gives the same task.

        Raises:
            NotFound: this node is not in the room, or there is no such peer or parent.
            InvalidInput: a field is empty or too large, the task was handed on too often, or the
                key belongs to another task.
            NotAllowed: the agent it is for has handed it on before.
            Busy: too many tasks of this node are open.
            StoreError: the disk refused; the task was not created.
        """
        wish = Wish(
            room=room,
            description=description,
            timeout_s=timeout_s,
            peer=peer,
            agent=agent_target,
            capability=capability,
            idempotency_key=idempotency_key,
            retryable=retryable,
            parent=parent,
        )
        check_wish(wish)
        if idempotency_key:
            known = self._ledger.id_for_key(caller.agent, idempotency_key)
            if known is not None and (task := await self._ledger.wait_stored(known)) is not None:
                self._orders.check_same(wish, task.order)
                return self._asked(task)
        order = self._orders.make(wish, caller)
        task = new_task(order, idempotency_key, self._clock.now_s())
        await self._ledger.add(task)
        self._offering.offer_again(order.id)
        return self._asked(task)

    async def watch(self, task_id: TaskId, timeout_s: float) -> AsyncGenerator[TaskView]:
        """Yield a task now and at each change, until it is over or the time is up.

        Raises:
            NotFound: there is no such task here.
            StoreError: its record is damaged.
        """
        deadline_s = self._clock.now_s() + timeout_s
        asked, offered = self._ledger.changed.of(task_id), self._inbox.changed.of(task_id)
        is_mine = self._ledger.get(task_id) is not None
        signal = asked if is_mine else offered
        while True:
            news = signal.listen()
            view = self._view(task_id)
            yield view
            left_s = deadline_s - self._clock.now_s()
            if view.state.is_terminal or left_s <= 0 or not await wait_set(news, left_s):
                return

    async def cancel(self, task_id: TaskId, reason: str, caller: Caller) -> TaskView:
        """End a task that was requested here and tell its worker. Calling it twice is harmless.

        Raises:
            NotFound: there is no such task here.
            NotAllowed: the caller did not request it, or it is over.
        """
        check_text("reason", reason, REASON_BYTES_MAX, may_be_empty=True)
        task = self._ledger.get(task_id)
        if task is None:
            if self._inbox.find(task_id) is not None:
                raise NotAllowed(
                    f"task {task_id} was asked for elsewhere; only there it can be canceled. To "
                    "leave it to others, reject it: reject_task"
                )
            raise _unknown(task_id)
        if caller.agent_id is not None and task.order.requester_agent != caller.agent:
            raise NotAllowed(
                f"task {task_id} was asked for by {task.order.requester_agent}; only that agent, "
                "or a person with buddies-cli, can cancel it"
            )
        taken = await self._ledger.apply(task_id, CancelRequested(reason))
        if taken is None:
            raise _unknown(task_id)
        if isinstance(taken.answer, Refused) and taken.task.state is not TaskState.CANCELED:
            raise NotAllowed(f"task {task_id} can't be canceled any more: {taken.answer.text}")
        return self._asked(taken.task)

    # Doing a task

    async def poll(
        self,
        caller: Caller,
        room: RoomName | None,
        timeout_s: float,
        limit: int,
        *,
        new_only: bool = False,
    ) -> tuple[TaskView, ...]:
        """Return tasks that are the caller's now, as soon as there are any; see `Claiming.poll`.

        Raises:
            NotFound: this node is not in the room.
        """
        if room is not None:
            self._rooms.members(room)
        if caller.agent_id is not None:
            return await self._claiming.poll(caller, room, timeout_s, limit, new_only=new_only)
        # A person is not an agent, and is offered this machine's own tasks only while polling.
        self._persons_polling += 1
        self._offering.look()
        try:
            wait_s = max(A_LOOK_S, timeout_s)
            return await self._claiming.poll(caller, room, wait_s, limit, new_only=True)
        finally:
            self._persons_polling -= 1

    async def submit(
        self, task_id: TaskId, success: bool, output: str, caller: Caller
    ) -> SubmitVerdict:
        """Store a result and send it to the requester; see `Working.submit`."""
        return await self._working.submit(task_id, result_of(success, output), caller)

    async def progress(self, task_id: TaskId, text: str, caller: Caller) -> TaskView:
        """Report progress to the requester of a task; see `Working.progress`."""
        check_text("text", text, PROGRESS_BYTES_MAX)
        return await self._working.progress(task_id, text, caller)

    async def reject(self, task_id: TaskId, reason: str, caller: Caller) -> TaskView:
        """Leave a task to other agents; see `Working.reject`."""
        check_text("reason", reason, REASON_BYTES_MAX, may_be_empty=True)
        return await self._working.reject(task_id, reason, caller)

    # Knowing things

    async def list(
        self,
        room: RoomName | None,
        state: TaskState | None,
        limit: int,
        caller: Caller,
        after: TaskPlace | None = None,
    ) -> tuple[tuple[TaskView, ...], int]:
        """Return tasks, newest first, and how many the caller could claim now.

        These are the tasks requested here and those that this machine was asked to do. With
        `after`, the list continues from that place.
        """
        now_s = self._clock.now_s()
        views = {
            record.order.id: offered_view(
                record, self._inbox.get(record.order.id), self._endpoint, now_s
            )
            for record in await self._store.offers()
        }
        for kept in await self._store.tasks():
            task = self._ledger.get_open(kept.order.id) or task_of(kept, now_s)
            refusals = self._offering.refusals(task.order.id)
            views[task.order.id] = asked_view(task, now_s, refusals)
        return newest(views.values(), room, state, after)[:limit], self.waiting_for(caller)

    def waiting_for(self, caller: Caller) -> int:
        """Return how many tasks the caller could claim now."""
        return sum(1 for _ in self._inbox.visible(caller, None))

    async def inbox_changes(self, caller: Caller) -> AsyncGenerator[InboxChange]:
        """Yield the tasks that wait for an agent now, then each change; never ends by itself."""
        known: frozenset[TaskId] | None = None
        while True:
            arrived = self._inbox.arrived.listen()
            waiting = {held.id: held.record for held in self._inbox.visible(caller, None)}
            if waiting.keys() != known:
                new = [record for id, record in waiting.items() if known is None or id not in known]
                known = frozenset(waiting)
                newest = inbox_task(new[-1]) if new else None
                yield InboxChange(waiting=len(waiting), newest=newest)
            await arrived.wait()

    # News from below

    def agent_attached(
        self, agent: UUID, presence: AgentPresence, rooms: Sequence[RoomName] = ()
    ) -> None:
        """Note that an agent has attached; it regains the claims made under its name."""
        self._claiming.agent_attached(agent, presence)
        self._offering.look()

    def agent_detached(self, agent: UUID) -> None:
        """Note that an agent has gone; its claims are kept for a while."""
        self._claiming.agent_detached(agent)

    async def answer(self, caller: EndpointId, room: RoomName, request: PeerRequest) -> Replies:
        """Return the replies to a member of the room; raises as `Answering.answer` does."""
        return await self._answering.answer(caller, room, request)

    # Within

    def _act(self, task: Task, effect: Effect) -> None:
        match effect:
            case OfferAgain():
                self._offering.offer_again(task.order.id)
            case Withdraw(reason, but):
                self._offering.withdraw(task, reason, but)
            case _:
                pass  # The ledger itself wakes the waiting callers.

    def _local_agents(self) -> tuple[AgentPresence, ...]:
        person = (AgentPresence(name=PERSON.agent),) if self._persons_polling else ()
        return (*self._claiming.agents, *person)

    def _view(self, id: TaskId) -> TaskView:
        task = self._ledger.get(id)
        if task is not None:
            return self._asked(task)
        record = self._inbox.find(id)
        if record is None:
            raise _unknown(id)
        return offered_view(record, self._inbox.get(id), self._endpoint, self._clock.now_s())

    def _asked(self, task: Task) -> TaskView:
        view = asked_view(task, self._clock.now_s(), self._offering.refusals(task.order.id))
        return replace(view, warning=self._offering.warning(task))


def _unknown(id: TaskId) -> NotFound:
    return NotFound(f"there is no task {id} on this machine; list_tasks shows those there are")
