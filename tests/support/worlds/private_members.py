"""Members of a private room in memory: real rooms and signatures; what one asks arrives at once."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from buddies_core.errors import NotFound, Unreachable
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.identity.verifying import Verifier
from buddies_core.model.ids import EndpointId, EpochId, RoomName, TopicId
from buddies_core.model.private import (
    Epoch,
    Founding,
    PrivateState,
    Roster,
    Sponsorship,
    private_room_id,
)
from buddies_core.pb.peer_pb2 import EpochReply, PeerReply, PeerRequest
from buddies_core.rooms.composing import Composer
from buddies_core.rooms.ports import Host
from buddies_core.rooms.private.epochs import Epochs
from buddies_core.rooms.private.invites import Invites
from buddies_core.rooms.private.keyring import Keyring
from buddies_core.rooms.private.membership import LetIn, Seat, founded, step
from buddies_core.rooms.private.sponsors import all_sponsors, sponsorships_of
from buddies_core.rooms.rooms import Rooms
from buddies_core.store.records import RoomRecord
from buddies_core.trust.admission import Admission
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.gate import Gate
from buddies_core.trust.policies import Policies
from buddies_core.wire.private import (
    encode_roster,
    epoch_keys,
    sign_roster,
    sign_sponsorship,
    sponsorship_of_founder,
)
from tests.support.fakes.clocks import ManualClock
from tests.support.fakes.network import FakeNetwork
from tests.support.in_memory.store import InMemoryStore

SECRET = RoomName("secret")
FIRST = Epoch(0, b"0" * 32)
FOUNDING = Founding(NodeKey(b"a" * 32).endpoint, b"n" * 32)
"""Alice's."""
ROOM_ID = private_room_id(SECRET, FOUNDING)


class PrivateNetwork(FakeNetwork):
    """Takes what is asked to the member that is asked."""

    def __init__(self, me: EndpointId, everybody: dict[EndpointId, "Member"]) -> None:
        super().__init__(me)
        self._everybody = everybody
        self.been_in: list[TopicId] = []

    async def join(self, topic: TopicId, peers: Sequence[EndpointId]) -> None:
        self.been_in.append(topic)
        await super().join(topic, peers)

    async def ask(
        self, peer: EndpointId, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        asked = self._everybody.get(peer)
        if asked is None or asked.is_off:
            raise Unreachable("did not answer")
        if asked.on_asked:
            await asked.on_asked()
        return [PeerReply(epoch=await asked.answer(self.me, request))]


@dataclass
class Member:
    """A machine that was let into the room; it can be off, and be restarted."""

    key: NodeKey
    everybody: dict[EndpointId, "Member"]
    store: InMemoryStore = field(default_factory=InMemoryStore)
    clock: ManualClock = field(default_factory=ManualClock)
    is_off: bool = False
    lies: Callable[[PeerRequest], EpochReply] | None = None
    """What it answers in place of the truth."""
    on_asked: Callable[[], Awaitable[None]] | None = None
    """What happens while it is asked."""

    def start(self, record: RoomRecord) -> None:
        self.counters: Counter[str] = Counter()
        verify = Verifier({}, self.clock).verify
        policies = Policies(self.store)
        bindings = Bindings(self.store, verify, self.counters, self.me, None, policies)
        gate = Gate(policies, bindings, self.me, self.clock, self.counters)
        self.network = PrivateNetwork(self.me, self.everybody)
        self.host = Host(
            endpoint=self.me,
            user=self.key.endpoint.hex()[:8],
            network=self.network,
            store=self.store,
            composer=Composer(self.key, self.store, self.clock),
            admission=Admission(self.store, verify, self.counters, gate),
            clock=self.clock,
            rng=Random(1),
            counters=self.counters,
            bindings=bindings,
            gate=gate,
        )
        # Nothing is run: what keeps a room alive is not what these tests are about.
        self.rooms = Rooms(self.host, asyncio.TaskGroup())
        self.room = self.rooms.add(record)
        self.room.line.entered = True

    def restart(self) -> None:
        """Go on with what is on disk."""
        [record] = self.store.rooms()
        self.start(record)

    @property
    def me(self) -> EndpointId:
        return self.key.endpoint

    @property
    def epochs(self) -> Epochs:
        assert self.room.epochs is not None, "the room is private"
        return self.room.epochs

    @property
    def invites(self) -> Invites:
        return self.rooms.invites

    @property
    def keyring(self) -> Keyring:
        return self.epochs.keyring

    @property
    def topic(self) -> TopicId:
        return self.room.line.topic

    @property
    def newest(self) -> Epoch:
        return self.keyring.epoch

    @property
    def members(self) -> set[EndpointId]:
        return set(self.keyring.members)

    async def answer(self, caller: EndpointId, request: PeerRequest) -> EpochReply:
        """Answer as the peers' door does."""
        if self.lies:
            return self.lies(request)
        if request.HasField("redeem"):
            return await self.rooms.answer_redeem(caller, request)
        room = self.rooms.asked(caller, request)
        assert room is self.room
        if request.HasField("take_epoch"):
            return await self.epochs.answer_take(caller, request.take_epoch)
        if request.HasField("catch_up"):
            return self.epochs.current()
        raise NotFound("these members have nothing else to ask")

    async def rotate(self, *without: "Member", told: Sequence["Member"] = ()) -> set[EndpointId]:
        """Change the keys; return who has gone on with it."""
        gone = [it.me for it in without]
        return set(await self.epochs.rotate(gone, [it.me for it in told]))

    def lets_in(self, key: NodeKey) -> Sponsorship:
        """Sign that it lets in this key, in the epoch that it is in."""
        return self.lets_in_key(key.endpoint)

    def lets_in_key(self, key: EndpointId) -> Sponsorship:
        """Sign that it lets in this endpoint, in the epoch that it is in."""
        return sign_sponsorship(ROOM_ID, self.keyring.newest.id, key, self.me, self.key.sign)

    def roster(self, epoch: Epoch, *stay: "Member", fresh: Sequence[Sponsorship] = ()) -> Roster:
        """Sign a list of who stays, and of keys that were let in."""
        known = sponsorships_of(self.keyring.state) | {it.member: it for it in fresh}
        members = {*(it.me for it in stay), *(it.member for it in fresh)}
        return sign_roster(
            ROOM_ID,
            epoch,
            [known[it] for it in members],
            self.me,
            self.key.sign,
            gone=[known[it] for it in all_sponsors(members, known) - members],
        )

    def made(
        self,
        epoch: Epoch,
        *stay: "Member",
        fresh: Sequence[Sponsorship] = (),
        past: Sequence[EpochId] = (),
    ) -> EpochReply:
        """Return an epoch of its own making, as it would be handed over."""
        roster = encode_roster(self.roster(epoch, *stay, fresh=fresh))
        return EpochReply(
            epoch=epoch.number, secret=epoch.secret, roster=roster, past=b"".join(past)
        )


def founders_state(epoch: Epoch) -> PrivateState:
    """Return Alice's private room in this epoch, with herself alone in it."""
    alice = NodeKey(b"a" * 32)
    entry = sponsorship_of_founder(alice.endpoint, epoch_keys(ROOM_ID, epoch).id)
    roster = sign_roster(ROOM_ID, epoch, (entry,), alice.endpoint, alice.sign)
    return PrivateState(founding=FOUNDING, epoch=epoch, roster=roster)


async def members_of_a_room(count: int) -> list[Member]:
    """Return so many members, who all know each other and are in the first epoch.

    The first has founded the room, and let in the others.
    """
    keys = [NodeKey(bytes([letter]) * 32) for letter in b"abcdefgh"[:count]]
    founder = keys[0]
    seat = Seat(room_id=ROOM_ID, me=founder.endpoint, sign=founder.sign, verify=verify_endpoint)
    state = founded(seat, FOUNDING, FIRST.secret)
    for key in keys[1:]:
        state = step(seat, state, LetIn(key.endpoint), 0).state
    record = RoomRecord(name=SECRET, room_id=ROOM_ID, joined_at_ms=1, bootstrap=(), private=state)
    everybody: dict[EndpointId, Member] = {}
    for key in keys:
        one = Member(key, everybody)
        everybody[one.me] = one
        await one.store.put_room(record)
        one.restart()
    return list(everybody.values())


async def a_newcomer(to: Member, seed: bytes = b"z") -> Member:
    """Return somebody who is not in the room, but reaches those who are."""
    one = Member(NodeKey(seed * 32), to.everybody)
    to.everybody[one.me] = one
    nobodys = Founding(one.me, b"z" * 32)
    room_id = private_room_id(SECRET, nobodys)
    seat = Seat(room_id=room_id, me=one.me, sign=one.key.sign, verify=verify_endpoint)
    state = founded(seat, nobodys, FIRST.secret)
    one.start(RoomRecord(name=SECRET, room_id=room_id, joined_at_ms=1, bootstrap=(), private=state))
    return one
