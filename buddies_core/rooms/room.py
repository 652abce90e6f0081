"""One room: its members, and the tasks that keep this node in it."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Sequence
from uuid import UUID

from buddies_core.errors import BuddiesError, NotAllowed, NotFound, WireError
from buddies_core.model.address import PeerAddress
from buddies_core.model.bodies import AgentPresence, Presence
from buddies_core.model.bodies import Join as JoinBody
from buddies_core.model.ids import EndpointId, TopicId, short
from buddies_core.model.room import AwayMember, DialAttempt, Member, Ticket
from buddies_core.pb import peer_pb2
from buddies_core.rooms.hearing import check_epoch, check_room, opened
from buddies_core.rooms.hello import (
    ABOUT_US_EVERY_S,
    COPIES_MAX,
    HELLO_TIMEOUT_S,
    hello_replies,
    hello_reply,
)
from buddies_core.rooms.line import RoomLine, keyring_of
from buddies_core.rooms.members import FORGET_MEMBER_AFTER_MS, Members
from buddies_core.rooms.ports import Host
from buddies_core.rooms.presence import by_name, fit_presence
from buddies_core.rooms.private.epochs import Epochs
from buddies_core.rooms.reunion import Reunion
from buddies_core.store.records import RoomRecord
from buddies_core.trust.admitted import Admitted

PRESENCE_EVERY_S = 30.0
REUNITE_EVERY_S = 5.0
DIAL_TIMEOUT_S = 8.0
GREETINGS_MAX = 16
"""The most neighbors that wait to be asked for the members; presences introduce the others."""

log = logging.getLogger(__name__)


class Room:
    """A room that this node is in, or is about to enter."""

    def __init__(self, record: RoomRecord, host: Host) -> None:
        self.name = record.name
        self.room_id = record.room_id
        self.joined_at_ms = record.joined_at_ms
        self.bootstrap = record.bootstrap
        self._members = Members(record, host)
        self.presences = self._members.presences
        self.joined_by: set[UUID] = set()
        self.left_by: set[UUID] = set()
        self.statuses: dict[str, AgentPresence] = {}
        """What our own agents last said they were doing, by agent name."""
        self.agents: tuple[AgentPresence, ...] = ()
        """Our own agents, as the members see them."""
        self._host = host
        self._last_seen = self._members.last_seen
        self._reunion = Reunion(host.rng)
        self._asked_about_us_s = host.clock.now_s()
        self._dialling: set[EndpointId] = set()
        self._moved = asyncio.Event()
        self._introduced = False
        """Whether our current swarm has heard our Join."""
        keyring = keyring_of(record, host)
        self._keyring = keyring
        self.line = RoomLine(record, keyring, host)
        self.epochs = (
            Epochs(keyring, self.line, self.presences, self._last_seen, host) if keyring else None
        )
        """The epochs of a private room; None for an open room."""
        self._legacy = host.legacy.enter(self.room_id) if host.legacy and not keyring else None
        self._greetings: asyncio.Queue[EndpointId] = asyncio.Queue(GREETINGS_MAX)

    async def live(self) -> None:
        """Stay in touch with the members until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_present())
            group.create_task(self._keep_together())
            group.create_task(self._keep_greeting())

    # What this node sends

    def announce(self, agents: tuple[AgentPresence, ...]) -> None:
        """Tell the members soon that our agents have changed."""
        self.agents = agents
        self.line.say_again.set()

    def ticket(self) -> Ticket:
        """Return a ticket to the room, by way of us, or of other members while we are off."""
        me = self._host.network.address()
        return Ticket(self.name, TopicId(self.room_id), (me, *self._members.reachable()))

    def members(self) -> tuple[Member, ...]:
        """Return this node and everybody else present."""
        me = Member(
            endpoint=self._host.endpoint,
            name=self._host.user,
            agents=self.agents,
            is_self=True,
            heard_at_ms=self._host.clock.wall_ms(),
        )
        old = self._legacy.members(self.line.neighbors()) if self._legacy else ()
        present = (me, *by_name((*self.presences.members(), *old)))
        return tuple(map(self._host.bindings.shown, present))

    def members_in_touch(self) -> tuple[Member, ...]:
        """Return `members`, each with the path to it and, if it is silent, since when."""
        return tuple(map(self._members.in_touch, self.members()))

    def away(self) -> tuple[AwayMember, ...]:
        """Return the absent members that may come back, most recently heard first."""
        is_member = self.epochs.keyring.is_member if self.epochs else None
        return self._members.away(is_member)

    def warnings(self) -> tuple[str, ...]:
        """Return warnings about this node's place in the room."""
        warnings = self._host.gate.warnings_of(self.room_id)
        return (*warnings, *self.epochs.warnings()) if self.epochs else warnings

    def name_of(self, endpoint: EndpointId) -> str | None:
        """Return the display name last heard of a peer in this room."""
        return self.presences.name_of(endpoint) or self._last_seen.name_of(endpoint)

    def knows(self, endpoint: EndpointId) -> bool:
        """Whether this peer is present, or remembered as a member."""
        return self.presences.has(endpoint) or self._last_seen.name_of(endpoint) is not None

    def is_known(self, endpoint: EndpointId) -> bool:
        """Return whether a peer that spoke in this room is known, and not a stranger."""
        return self.epochs is not None or self._last_seen.is_known(endpoint)

    def heard_of(self) -> tuple[EndpointId, ...]:
        """Return all peers ever heard in this room, present or not."""
        return tuple(self._last_seen.since(0))

    async def ask(
        self, peer: EndpointId, request: peer_pb2.PeerRequest, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        """Return a member's whole answer; raises as `Network.ask` does."""
        way = self.epochs or self.line
        return await way.ask(peer, request, timeout_s)

    # What the room receives

    async def hear(self, content: bytes, told_by: EndpointId) -> Admitted:
        """Return the message in a broadcast that a neighbor delivered; raises as `admit` does."""
        message = opened(self.line, content, self._host.counters)
        admitted = await self.admit(message, told_by)
        check_epoch(admitted, self._keyring, self._host.counters)
        return admitted

    async def admit(self, proof: bytes, told_by: EndpointId | None = None) -> Admitted:
        """Return the message in a copy, or in a broadcast that has been opened.

        `told_by` is the peer that forwarded it.

        Raises:
            Rejected: it is not a message that its author sent in this room.
        """
        admitted = await self._host.admission.admit(self.name, self.room_id, proof, told_by)
        hears_unsigned = self._legacy is not None
        counters = self._host.counters
        check_room(admitted, self._keyring, counters, hears_unsigned=hears_unsigned)
        return admitted

    def on_neighbor_up(self, peer: EndpointId) -> None:
        """Note that a neighbor is connected; ask a new one for the members."""
        self.line.neighbor_up()
        if not self.presences.has(peer) and not self._greetings.full():
            self._greetings.put_nowait(peer)

    def meet_again(self) -> None:
        """Ask the neighbors for the members, because some messages were missed."""
        for peer in self.line.neighbors():
            if not self._greetings.full():
                self._greetings.put_nowait(peer)

    def on_neighbor_down(self, peer: EndpointId) -> None:
        """Note that a neighbor is gone."""
        if self.line.neighbor_down():
            self._introduced = False
            self._reunion.reset()

    async def on_presence(self, admitted: Admitted, age_s: float = 0.0) -> None:
        """Process a member's presence, from a broadcast or from a copy of that age."""
        trailer = admitted.trailer
        assert trailer is not None, "admission lets no presence pass without a trailer"
        if trailer.sender == self._host.endpoint:
            return
        body = admitted.message.body
        assert isinstance(body, Presence)
        if self.epochs is None or await self.epochs.heard(trailer.sender, body.sponsorships):
            await self._members.heard(admitted, age_s)

    async def on_leave(self, sender: EndpointId, sent_at_ms: int) -> None:
        """Process a leave; from now on older presences of that member are ignored."""
        await self._members.left(sender, sent_at_ms)

    # Joining, and finding the members again

    async def dial(self, address: PeerAddress) -> DialAttempt:
        """Connect to a peer, ask it for the members, and join the swarm through it."""
        peer, network = address.endpoint, self._host.network
        network.learn(address)
        try:
            await network.reach(address, DIAL_TIMEOUT_S)
            await self._greet(peer)
        except NotFound:
            return DialAttempt(peer, False, "was reached, but is not in this room")
        except NotAllowed as error:
            return DialAttempt(peer, False, f"was reached, but refuses: {error}")
        except BuddiesError as error:
            return DialAttempt(peer, False, str(error).removeprefix(f"peer {short(peer)} "))
        self._last_seen.reached(peer)
        await self.line.join((peer,))
        return DialAttempt(peer, True, "was reached")

    async def _greet(self, peer: EndpointId) -> None:
        """Ask a peer for the members, and tell it about us; raises as `_hello` does."""
        await self._hello(peer, peer_pb2.Hello(presence=await self._own_presence()))

    async def _hello(self, peer: EndpointId, hello: peer_pb2.Hello) -> None:
        """Send a hello and process the answer. Skip peers that have no direct requests.

        Raises:
            NotFound: the peer is not in the room.
            NotAllowed: the peer does not allow us there.
        """
        try:
            replies = await self.ask(peer, peer_pb2.PeerRequest(hello=hello), HELLO_TIMEOUT_S)
        except NotFound:
            if self.epochs is None or not await self.epochs.caught_up(peer):
                raise
            return
        except NotAllowed:
            raise
        except BuddiesError as error:
            log.info("hello_failed room=%s peer=%s: %s", self.name, short(peer), error)
            return
        copies = (copy for reply in replies for copy in reply.hello.presences)
        for copy in itertools.islice(copies, COPIES_MAX):
            await self._take_copy(copy.proof, peer, age_s=copy.age_ms / 1000)

    async def _take_copy(self, proof: bytes, told_by: EndpointId, *, age_s: float = 0.0) -> None:
        """Process a copy of a presence of that age; ignore a copy that is rejected."""
        try:
            admitted = await self.admit(proof, told_by)
        except WireError as error:
            log.info("presence_rejected room=%s: %s", self.name, error)
            return
        if isinstance(admitted.message.body, Presence):
            await self.on_presence(admitted, age_s)

    async def answer_hello(
        self, hello: peer_pb2.Hello, caller: EndpointId
    ) -> list[peer_pb2.HelloReply]:
        """Return the latest presences of the members, or of the member in question."""
        before = await self.presence_of(EndpointId(hello.about)) if hello.about else None
        if hello.presence:
            await self._take_copy(hello.presence, caller)
        if hello.about:
            return [hello_reply(before)]
        others = self.presences.copies(self._host.clock.now_s(), COPIES_MAX - 1)
        return hello_replies(await self._own_presence(), others)

    async def presence_of(self, endpoint: EndpointId) -> bytes | None:
        """Return the latest signed presence of a member, or of this node.

        Raises:
            StoreError: the member's record is damaged.
        """
        if endpoint == self._host.endpoint:
            return await self._own_presence()
        record = self._host.store.get_presence(self.room_id, endpoint)
        return record.proof if record else None

    async def _own_presence(self) -> bytes:
        return await self.line.compose(self._presence())

    def _presence(self) -> Presence:
        sponsorships = self.epochs.sponsorships_of(self._host.endpoint) if self.epochs else ()
        own = Presence(self._host.user, self.agents, self._host.bindings.own, sponsorships)
        return fit_presence(own)

    async def _keep_present(self) -> None:
        while True:
            self.line.say_again.clear()
            try:
                if self._legacy and self.line.has_neighbor and not self._introduced:
                    await self.say_join()
                    self._introduced = True
                await self.line.say(self._presence())
            except BuddiesError as error:
                log.warning("presence_not_sent room=%s: %s", self.name, error)
            pause_s = PRESENCE_EVERY_S * self._host.rng.uniform(0.9, 1.0)
            try:
                async with asyncio.timeout(pause_s):
                    await self.line.say_again.wait()
            except TimeoutError:
                continue

    async def _keep_together(self) -> None:
        async with asyncio.TaskGroup() as dials:
            await self._dial_the_absent(dials)

    async def _dial_the_absent(self, dials: asyncio.TaskGroup) -> None:
        """Dial known members that are not heard, without waiting for slow ones."""
        host, topic = self._host, self.line.topic
        while True:
            if topic != self.line.topic:  # The keys were changed.
                topic = self.line.topic
                self._reunion.reset()
            neighbors = self.line.neighbors()
            for peer in self.presences.expire(host.clock.now_s()):
                log.info("member_silent room=%s peer=%s", self.name, short(peer))
            alone = not neighbors
            absent = self._absent(alone=alone)
            standing = {peer: self._last_seen.standing(peer) for peer in absent}
            chosen = self._reunion.who_to_dial(standing, alone=alone, now_s=host.clock.now_s())
            for peer in chosen:
                dials.create_task(self._dial_again(absent[peer]))
            dials.create_task(self._ask_about_us(neighbors))
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REUNITE_EVERY_S * host.rng.uniform(0.8, 1.2)):
                    await self._moved.wait()

    def on_move(self) -> None:
        """Redial everybody at once and send our address, because this machine's network changed."""
        self._reunion.reset()
        self._dialling.clear()  # Those dials began in the old network.
        self.line.say_again.set()
        self._moved.set()

    async def _dial_again(self, address: PeerAddress) -> None:
        self._dialling.add(address.endpoint)
        try:
            attempt = await self.dial(address)
        finally:
            self._dialling.discard(address.endpoint)
        log.debug("reunion room=%s peer=%s %s", self.name, short(attempt.endpoint), attempt.outcome)

    async def _ask_about_us(self, neighbors: Sequence[EndpointId]) -> None:
        """Ask a member now and then for our presence there, so that admission detects a twin.

        A twin may take this node's place among the neighbors, for as long as it runs. So a node
        without neighbors asks other members, and sends its presence, so that the twin detects it.
        """
        now_s = self._host.clock.now_s()
        peers = neighbors or self.presences.present()
        if not peers or now_s - self._asked_about_us_s < ABOUT_US_EVERY_S:
            return
        self._asked_about_us_s = now_s
        peer = peers[int(now_s / ABOUT_US_EVERY_S) % len(peers)]
        with contextlib.suppress(BuddiesError):  # Nothing can be composed on a full disk.
            presence = b"" if neighbors else await self._own_presence()
            await self._hello(peer, peer_pb2.Hello(presence=presence, about=self._host.endpoint))

    def _absent(self, *, alone: bool) -> dict[EndpointId, PeerAddress]:
        """Return the last addresses of the known members that are not heard, by endpoint.

        Without neighbors, all members count as not heard, however recent their presence: after
        15 s of sleep they have closed their connections, and their presences are still fresh.
        """
        host = self._host
        oldest_ms = host.clock.wall_ms() - FORGET_MEMBER_AFTER_MS
        known = self._last_seen.since(oldest_ms)
        if alone:
            # These may be 0.1.4 peers, whose presence is not known by endpoint.
            known = {peer.endpoint: peer for peer in self.bootstrap} | known
        skip = {host.endpoint, *self.line.neighbors(), *self._dialling}
        return {
            peer: address
            for peer, address in known.items()
            if peer not in skip
            and (alone or not self.presences.has(peer))
            and (self.epochs is None or self.epochs.keyring.is_member(peer))
        }

    async def _keep_greeting(self) -> None:
        while True:
            peer = await self._greetings.get()
            try:
                await self._greet(peer)
            except BuddiesError as error:
                log.info("hello_refused room=%s peer=%s: %s", self.name, short(peer), error)

    def forget(self, member: Member) -> None:
        """Remove a member, whatever its own presence says."""
        self.presences.forget(member.endpoint)
        if self._legacy and not member.speaks_direct:
            self._legacy.forget(member.name)

    async def say_join(self) -> None:
        """Tell 0.1.4 peers that we are here; newer peers read our presence."""
        agent = self.agents[0].name if self.agents else "buddies"
        await self.line.say(JoinBody(self._host.user, agent), agent=agent)
