"""Offers members the tasks that wait here for a worker, and withdraws those no longer needed.

Each task is offered to every present member that may do it, and to each that appears later. Each
message to a member is kept until the member acknowledges it. None of this is on disk: after a
restart every task is offered again, which changes nothing for its worker, and a member that asks
for a lease of a task that is over is told so.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, InvalidInput, NotAllowed, NotFound
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.ids import EndpointId, RoomName, TaskId, short
from buddies_core.model.task import TaskState
from buddies_core.pb.peer_pb2 import OfferTask, PeerRequest, WithdrawTask
from buddies_core.tasks.asking import Asking
from buddies_core.tasks.eligibility import candidates, why_nobody
from buddies_core.tasks.events import LegacyTold, Refused
from buddies_core.tasks.ledger import Ledger
from buddies_core.tasks.lifecycle import Task
from buddies_core.tasks.ports import LegacyPort, RoomsPort
from buddies_core.tasks.waiting import Signal, wait_set

LOOK_EVERY_S = 2.0
"""The longest time until a member that has just appeared is noticed."""
PAUSE_S = 1.0
PAUSE_S_MAX = 8.0
REFUSED_PAUSE_S = 60.0
"""The time until a task is offered again to a member that has refused it."""
REFUSAL_CHARS_MAX = 200
"""The most characters that are kept of a member's reason for a refusal."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Withdrawal:
    room: RoomName
    reason: str
    attempt: int
    """The withdrawal concerns this lease and those before it."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A member's refusal of an offer, and the time until which it is not asked again."""

    text: str
    until_s: float


@dataclass(slots=True)
class _Mail:
    """The messages that one member has yet to be sent."""

    offers: dict[TaskId, None] = field(default_factory=dict)
    withdrawals: dict[TaskId, _Withdrawal] = field(default_factory=dict)


class Offering:
    """The offers of this node's tasks. One event loop owns this."""

    def __init__(
        self,
        *,
        rooms: RoomsPort,
        asking: Asking,
        ledger: Ledger,
        clock: Clock,
        rng: Random,
        local_agents: Callable[[], Sequence[AgentPresence]],
        legacy: LegacyPort | None,
    ) -> None:
        """Offer the open tasks of `ledger`; `local_agents` are the agents of this node."""
        self._rooms = rooms
        self._asking = asking
        self._ledger = ledger
        self._clock = clock
        self._rng = rng
        self._local_agents = local_agents
        self._legacy = legacy
        self._mails: dict[EndpointId, _Mail] = {}
        # By task: the members that took the offer, and the refusals, which last for a while.
        self._offered: dict[TaskId, dict[EndpointId, None]] = {}
        self._refused: dict[tuple[TaskId, EndpointId], _Refusal] = {}
        self._broadcast: dict[TaskId, None] = {}
        self._new: dict[TaskId, None] = {}
        self._look = Signal()
        self._group: asyncio.TaskGroup | None = None

    def refusals(self, id: TaskId) -> tuple[str, ...]:
        """Return the reasons for which members refused a task that nobody has begun."""
        return tuple(it.text for (task, _), it in self._refused.items() if task == id)

    def look(self) -> None:
        """Check at once whether there is anyone new to offer a task to."""
        self._new = {task.order.id: None for task in self._ledger.open_tasks()}
        self._look.give()

    def offer_again(self, id: TaskId) -> None:
        """Offer a task to everyone again, as if nobody had been told of it."""
        self._offered.pop(id, None)
        self._broadcast.pop(id, None)
        self._new[id] = None
        self._look.give()

    def withdraw(self, task: Task, reason: str, but: EndpointId | None) -> None:
        """Tell everyone who knows of a task, except `but`, that it need not be done."""
        order = task.order
        knowing = self._offered.pop(order.id, {})
        if task.worker is not None and task.worker.endpoint:
            knowing[task.worker.endpoint] = None
        # The current worker is spared; leases before its own are not.
        attempt = task.attempt - (task.state is TaskState.WORKING)
        for peer in knowing:
            if peer != but:
                withdrawal = _Withdrawal(order.room, reason, attempt)
                self._mail(peer).withdrawals[order.id] = withdrawal
        if but is not None:
            self._offered[order.id] = {but: None}
            if but in self._mails:
                self._mails[but].withdrawals.pop(order.id, None)
        if task.state.is_terminal:
            self._offered.pop(order.id, None)
            self._broadcast.pop(order.id, None)

    def candidates(self, task: Task) -> tuple[str, ...]:
        """Return the present agents that may do a task and have not rejected it."""
        try:
            members = self._rooms.members(task.order.room)
        except BuddiesError:
            return ()
        local = self._local_agents()
        legacy = [f"/{member.name}" for member in members if not member.speaks_direct]
        return (
            *(legacy if task.told_legacy else ()),
            *(
                path
                for member in members
                for path in candidates(task.order, task.rejected_by, member, local)
            ),
        )

    def warning(self, task: Task) -> str:
        """Return why no present agent may do a waiting task; empty if one may."""
        if task.state is not TaskState.SUBMITTED:
            return ""
        try:
            members = self._rooms.members(task.order.room)
        except NotFound:
            return f"this machine has left room {task.order.room!r}, so the task is not offered"
        return why_nobody(task.order, members, self._local_agents())

    def name_of(self, peer: EndpointId) -> str:
        """Return a member's display name."""
        return self._rooms.name_of(peer)

    async def run(self) -> None:
        """Offer and withdraw until cancelled."""
        # What was broadcast before a restart is not broadcast again: 0.1.4 would do it twice.
        told = (task for task in self._ledger.open_tasks() if task.told_legacy)
        self._broadcast = {task.order.id: None for task in told}
        async with asyncio.TaskGroup() as group:
            self._group = group
            for peer in self._mails:
                group.create_task(self._deliver(peer))
            while True:
                look = self._look.listen()
                new, self._new = self._new, {}
                await self._offer_to_present(filter(None, map(self._ledger.get_open, new)))
                if not self._ledger.open_tasks():
                    await look.wait()
                # Members come and go without notice.
                elif not await wait_set(look, LOOK_EVERY_S):
                    await self._offer_to_present(self._ledger.open_tasks())

    async def _offer_to_present(self, tasks: Iterable[Task]) -> None:
        """Put into each member's mail the tasks that it has not been offered yet."""
        local, now_s = self._local_agents(), self._clock.now_s()
        members = {room: self._rooms.members(room) for room in self._rooms.joined()}
        self._refused = {who: it for who, it in self._refused.items() if it.until_s > now_s}
        for task in tasks:
            if task.state is not TaskState.SUBMITTED:
                continue
            order = task.order
            present = {member.endpoint: member for member in members.get(order.room, ())}
            # A member that went away and came back may have forgotten the offer.
            known = self._offered.get(order.id, {})
            known = self._offered[order.id] = {peer: None for peer in known if peer in present}
            for peer, member in present.items():
                if (
                    peer not in known
                    and (order.id, peer) not in self._refused
                    and candidates(order, task.rejected_by, member, local)
                ):
                    self._mail(peer).offers[order.id] = None
            if self._legacy and any(not member.speaks_direct for member in present.values()):
                await self._tell_legacy(task, self._legacy)

    def _mail(self, peer: EndpointId) -> _Mail:
        mail = self._mails.get(peer)
        if mail is None:
            mail = self._mails[peer] = _Mail()
            if self._group is not None:
                self._group.create_task(self._deliver(peer))
        return mail

    async def _deliver(self, peer: EndpointId) -> None:
        """Send a member its mail, one message after another, until nothing is left."""
        mail = self._mails[peer]
        pause_s = PAUSE_S
        while mail.offers or mail.withdrawals:
            try:
                if mail.withdrawals:
                    await self._deliver_withdrawal(peer, mail)
                else:
                    await self._deliver_offer(peer, mail)
                pause_s = PAUSE_S
            except BuddiesError as error:
                _log.info("task_not_told peer=%s: %s", short(peer), error)
                self._forget_absent(peer, mail)
                await asyncio.sleep(pause_s * self._rng.uniform(0.75, 1.25))
                pause_s = min(PAUSE_S_MAX, 2 * pause_s)
        del self._mails[peer]

    async def _deliver_withdrawal(self, peer: EndpointId, mail: _Mail) -> None:
        """Send one withdrawal and cross it off; raises if it is to be tried again."""
        id, withdrawal = next(iter(mail.withdrawals.items()))
        task = self._ledger.get_open(id)
        has_it = task is not None and task.state is TaskState.WORKING and _works(peer, task)
        if not has_it:
            withdraw = WithdrawTask(
                task_id=id.bytes, reason=withdrawal.reason, attempt=withdrawal.attempt
            )
            request = PeerRequest(withdraw_task=withdraw)
            await self._ask_unless_refused(peer, withdrawal.room, request)
        # It may have been replaced while it was being sent.
        if mail.withdrawals.get(id) is withdrawal:
            del mail.withdrawals[id]

    async def _deliver_offer(self, peer: EndpointId, mail: _Mail) -> None:
        """Send one offer and cross it off; raises if it is to be tried again."""
        id = next(iter(mail.offers))
        task = self._ledger.get_open(id)
        if task is not None and task.state is TaskState.SUBMITTED:
            told = self._offered.setdefault(id, {})
            request = PeerRequest(offer_task=self._offer(task))
            refusal = await self._ask_unless_refused(peer, task.order.room, request)
            if refusal is None:
                told[peer] = None
            else:
                until_s = self._clock.now_s() + REFUSED_PAUSE_S
                self._refused[id, peer] = _Refusal(refusal, until_s)
        mail.offers.pop(id, None)

    async def _ask_unless_refused(
        self, peer: EndpointId, room: RoomName, request: PeerRequest
    ) -> str | None:
        """Return why the member refused, or None if it accepted; raises if it was not reached."""
        try:
            await self._asking.ask(peer, room, request)
        except (InvalidInput, NotAllowed, NotFound) as error:
            _log.info("task_refused peer=%s: %s", short(peer), error)
            return str(error)[:REFUSAL_CHARS_MAX]
        return None

    def _forget_absent(self, peer: EndpointId, mail: _Mail) -> None:
        """Drop the mail of a member that has gone; it gets new offers when it is back.

        It will learn of a withdrawal when it asks for a lease or renews one.
        """
        present = {
            room
            for room in self._rooms.joined()
            if any(member.endpoint == peer for member in self._rooms.members(room))
        }
        open_tasks = {id: self._ledger.get_open(id) for id in mail.offers}
        mail.offers = {id: None for id, t in open_tasks.items() if t and t.order.room in present}
        mail.withdrawals = {id: w for id, w in mail.withdrawals.items() if w.room in present}

    def _offer(self, task: Task) -> OfferTask:
        order = task.order
        return OfferTask(
            task_id=order.id.bytes,
            description=order.description,
            requester_user=order.requester_user,
            requester_agent=order.requester_agent,
            agent=order.target.agent,
            capability=order.target.capability,
            trace_id=order.trace_id.bytes,
            path=order.path,
            start_left_s=task.left_s(self._clock.now_s()) or 0.0,
        )

    async def _tell_legacy(self, task: Task, legacy: LegacyPort) -> None:
        """Broadcast a task once, if it can be, for members that can't be offered it directly."""
        order = task.order
        if order.id in self._broadcast or not legacy.can_offer(order):
            return
        self._broadcast[order.id] = None
        try:
            # On disk first: an answer counts only if the task is known to have been broadcast.
            told = await self._ledger.apply(order.id, LegacyTold())
            if told is not None and not isinstance(told.answer, Refused):
                await legacy.offer(order, task.left_s(self._clock.now_s()) or 0.0)
                return
        except BuddiesError as error:
            _log.info("task_not_broadcast task=%s: %s", order.id, error)
        self._broadcast.pop(order.id, None)


def _works(peer: EndpointId, task: Task) -> bool:
    return task.worker is not None and task.worker.endpoint == peer
