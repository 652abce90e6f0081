"""The peers' door: what they broadcast in our rooms, and what they ask us directly.

Reads the network's two queues, has each message admitted, and hands it to whom it concerns. Nothing
that a peer says may end this: what is not believed is counted and dropped.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from dataclasses import dataclass, field

from buddies_core.asking.everyone import ROOMS_IN_REQUEST_MAX
from buddies_core.clock import Clock
from buddies_core.errors import (
    BuddiesError,
    Busy,
    InvalidInput,
    NotAllowed,
    NotFound,
    Rotated,
    WireError,
)
from buddies_core.gossip.messages import SwarmScope
from buddies_core.history.service import History
from buddies_core.legacy.service import Legacy
from buddies_core.memory.search import Search
from buddies_core.memory.service import Memories
from buddies_core.model.bodies import (
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
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.net.driver import ContentDelivered, NeighborCameUp, NeighborWentDown
from buddies_core.net.incoming import IncomingRequest
from buddies_core.net.network import Network
from buddies_core.net.rates import PeerRates
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest, Refusal
from buddies_core.rooms.room import Room
from buddies_core.rooms.rooms import Rooms
from buddies_core.skills.search import SkillSearch
from buddies_core.skills.service import Skills
from buddies_core.tasks.service import Tasks
from buddies_core.trust.admitted import Admitted
from buddies_core.trust.gate import Gate, SignerUnknown
from buddies_core.trust.held import HeldMessages
from buddies_core.trust.keyring_watch import KeyringWatch
from buddies_core.wire.room_messages import Trailer, has_trailer

MESSAGES_PER_S = 200.0
MESSAGES_BURST = 1000.0
"""How many messages of one author are acted on at once, in all rooms together. Further ones are
only relayed. A message without a trailer has no proven author: see `legacy.budget`."""
STRANGERS_BURST = 200.0
"""Messages with a wrong trailer, or of strangers to the room, that one neighbor passed on: anyone
can make keys. With that and `MESSAGES_PER_S` used up, all that it passes on waits, as it may be a
member's. Meanwhile it runs out of credits and is read no further: a flood gets on no faster.
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """What peers say, and who takes care of it."""

    network: Network
    rooms: Rooms
    gate: Gate
    held: HeldMessages[tuple[Room, ContentDelivered]]
    memories: Memories
    search: Search
    tasks: Tasks
    skills: Skills
    skill_search: SkillSearch
    keyring_watch: KeyringWatch
    history: History
    legacy: Legacy | None
    """Hears what has no trailer; None: it is refused."""
    clock: Clock
    counters: Counter[str]
    said: PeerRates = field(
        default_factory=lambda: PeerRates(MESSAGES_PER_S, MESSAGES_BURST), init=False
    )
    of_strangers: PeerRates = field(
        default_factory=lambda: PeerRates(MESSAGES_PER_S, STRANGERS_BURST), init=False
    )

    async def run(self) -> None:
        """Serve peers until cancelled.

        Each message and each request is worked on by itself, so that none waits for another's
        work. How many there are is bounded where they come from: by the credits of `net.inbox`,
        and by the requests that `net.direct` lets each peer have in work.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_deliveries(group))
            group.create_task(self._read_requests(group))
            group.create_task(self.keyring_watch.run())

    # Broadcasts

    async def _read_deliveries(self, work: asyncio.TaskGroup) -> None:
        while True:
            delivery = await self.network.next_delivery()
            room = self.rooms.by_topic(delivery.topic)
            match delivery:
                case ContentDelivered():
                    work.create_task(self._on_delivery(room, delivery, work))
                case NeighborCameUp(peer=peer) if room:
                    room.on_neighbor_up(peer)
                    self.history.neighbor_up(room.name, peer)
                case NeighborWentDown(peer=peer) if room:
                    room.on_neighbor_down(peer)
                    if self.legacy:
                        self.legacy.neighbor_down(room, peer)

    async def _on_delivery(
        self, room: Room | None, delivery: ContentDelivered, work: asyncio.TaskGroup
    ) -> None:
        try:
            if room is not None:
                await self._on_content(room, delivery, work)
        finally:
            delivery.done()

    async def _hear_held(self, sender: EndpointId, work: asyncio.TaskGroup) -> None:
        """Hear what one sender said while it was asked who vouches for it, in order."""
        for room, delivery in await self.held.settle(sender):
            await self._on_content(room, delivery, work)

    async def _on_content(
        self, room: Room, delivery: ContentDelivered, work: asyncio.TaskGroup
    ) -> None:
        neighbor = delivery.delivered_from
        has_author = room.epochs is not None or has_trailer(delivery.content)
        if has_author and (wait_s := self.of_strangers.debt_s(neighbor, self.clock.now_s())) > 0:
            self.counters["messages_delayed"] += 1
            await asyncio.sleep(wait_s)
        try:
            if has_author:
                await self._hear_ours(room, delivery)
            else:
                await self._hear_unsigned(room, delivery)
        except SignerUnknown as unknown:
            if self.held.hold(unknown.sender, neighbor, room, (room, delivery)):
                work.create_task(self._hear_held(unknown.sender, work))
        except WireError as error:
            if has_author:
                self.of_strangers.reserve(neighbor, self.clock.now_s())
            log.info("message_rejected room=%s: %s", room.name, error)
        except BuddiesError as error:
            self.counters["messages_failed"] += 1
            log.warning("message_failed room=%s: %s", room.name, error)
        except Exception:
            # Whatever a message sets off, the next one may be another peer's.
            self.counters["bugs"] += 1
            log.exception("message_met_bug room=%s", room.name)

    async def _hear_unsigned(self, room: Room, delivery: ContentDelivered) -> None:
        if self.legacy is None:
            self.counters["legacy_refused"] += 1
            return
        is_author = delivery.scope == SwarmScope(0)
        await self.legacy.hear(room, delivery.content, delivery.delivered_from, is_author=is_author)

    async def _hear_ours(self, room: Room, delivery: ContentDelivered) -> None:
        admitted = await room.hear(delivery.content, delivery.delivered_from)
        trailer = admitted.trailer
        assert trailer is not None, "what has none was left to legacy, or refused"
        neighbor, now_s = delivery.delivered_from, self.clock.now_s()
        if self.said.take(trailer.sender, now_s):
            if trailer.sender != neighbor and not room.is_known(trailer.sender):
                self.of_strangers.reserve(neighbor, now_s)
            await self._on_message(room, admitted, trailer, delivery.delivered_from)
        else:
            self.counters["messages_over_rate"] += 1

    async def _on_message(
        self, room: Room, admitted: Admitted, trailer: Trailer, neighbor: EndpointId
    ) -> None:
        """Act on a message of one of ours, which a neighbor passed on."""
        body = admitted.message.body
        match body:
            case Presence():
                await room.on_presence(admitted)
            case Leave():
                await room.on_leave(trailer.sender, trailer.sent_at_ms)
            case StatusUpdate(_, text):
                room.presences.status(trailer.sender, trailer.agent or "", text, trailer.sent_at_ms)
            case MemoryCreated() | MemorySuperseded() | MemoryDeleted():
                await self.memories.receive(admitted, neighbor)
            case SkillPublished():
                await self.skills.receive(admitted, neighbor)
            case SkillVoteCast():
                await self.skills.receive_vote(admitted, neighbor)
            case TaskClaimed():
                # A 0.1.4 peer broadcast its task to all of us, and one has begun it.
                await self.tasks.broadcast.begun(body.task_id)
            case Join() | SearchRequest() | SkillSearchRequest() | TaskRequest():
                pass  # These are for 0.1.4 peers: ours see a presence, and are asked directly.
            case SearchResponse() | SkillSearchResponse() | TaskResponse():
                pass  # These answer 0.1.4 peers.
            case UnknownBody():
                self.counters["ignored_unknown_kind"] += 1

    # Direct requests

    async def _read_requests(self, work: asyncio.TaskGroup) -> None:
        while True:
            work.create_task(self._on_request(await self.network.next_request()))

    async def _on_request(self, incoming: IncomingRequest) -> None:
        try:
            await incoming.reply(*await self._answer(incoming.caller, incoming.request))
        except BuddiesError as error:
            log.info("request_refused peer=%s: %s", short(incoming.caller), error)
            await incoming.refuse(_reason(error), str(error))
        except Exception:
            self.counters["bugs"] += 1
            log.exception("request_met_bug peer=%s", short(incoming.caller))
            await incoming.refuse(Refusal.FAILED, "this node met a bug of its own")

    async def _answer(self, caller: EndpointId, request: PeerRequest) -> list[PeerReply]:
        if request.HasField("redeem"):
            return [PeerReply(epoch=await self.rooms.answer_redeem(caller, request))]
        room = self.rooms.asked(caller, request)
        await self.gate.check_caller(room, caller, request)
        name = room.name
        match request.WhichOneof("ask"):
            case "take_epoch" if room.epochs:
                taken = await room.epochs.answer_take(caller, request.take_epoch)
                return [PeerReply(epoch=taken)]
            case "catch_up" if room.epochs:
                return [PeerReply(epoch=room.epochs.current())]
            case "fetch_bindings":
                return await self.gate.fetcher.answer(room, request.fetch_bindings)
            case "hello":
                return [
                    PeerReply(hello=part) for part in await room.answer_hello(request.hello, caller)
                ]
            case "search":
                more = await self._more(caller, request)
                found = await self.search.answer(caller, name, request.search, more)
                return [PeerReply(search=found)]
            case "fetch_memory":
                return await self.memories.answer_fetch(caller, name, request.fetch_memory)
            case "search_skills":
                more = await self._more(caller, request)
                return await self.skill_search.answer(caller, name, request.search_skills, more)
            case "fetch_skill":
                return self.skills.answer_fetch(caller, name, request.fetch_skill)
            case "reconcile" | "fetch_items" | "give_items":
                return await self.history.answer(caller, name, request)
            case _:
                return await self.tasks.answer(caller, name, request)

    async def _more(self, caller: EndpointId, request: PeerRequest) -> dict[RoomName, int]:
        """Return the further rooms of a request that the caller may ask in, with their numbers."""
        rooms: dict[RoomName, int] = {}
        for number, key in enumerate(request.more[:ROOMS_IN_REQUEST_MAX], start=1):
            asked = PeerRequest(topic=key.topic, proof=key.proof)
            with contextlib.suppress(BuddiesError):
                room = self.rooms.asked(caller, asked)
                await self.gate.check_caller(room, caller, asked)
                rooms[room.name] = number
        return rooms


def _reason(error: BuddiesError) -> Refusal.Reason.ValueType:
    match error:
        case Busy():
            return Refusal.BUSY
        case Rotated():
            return Refusal.ROTATED
        case NotAllowed():
            return Refusal.NOT_ALLOWED
        case NotFound():
            return Refusal.NOT_FOUND
        case InvalidInput() | WireError():
            return Refusal.INVALID
        case _:
            return Refusal.FAILED
