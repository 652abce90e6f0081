"""Members of a private room in memory: real rooms and signatures; what one asks arrives at once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from buddies_core.errors import NotFound, Unreachable
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.verifying import Verifier
from buddies_core.model.ids import EndpointId, RoomId, RoomName, TopicId
from buddies_core.model.private import Epoch, PrivateState, Roster
from buddies_core.pb.peer_pb2 import EpochReply, PeerReply, PeerRequest
from buddies_core.rooms.composing import Composer
from buddies_core.rooms.ports import Host
from buddies_core.rooms.private.epochs import Epochs
from buddies_core.rooms.private.invites import Invites
from buddies_core.rooms.private.keyring import Keyring
from buddies_core.rooms.rooms import Rooms
from buddies_core.store.in_memory import InMemoryStore
from buddies_core.store.records import RoomRecord
from buddies_core.trust.admission import Admission
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.gate import Gate
from buddies_core.trust.policies import Policies
from buddies_core.wire.private import encode_roster, sign_roster
from tests.support.fakes.clocks import ManualClock
from tests.support.fakes.network import FakeNetwork

SECRET = RoomName("secret")
ROOM_ID = RoomId(b"r" * 32)
FIRST = Epoch(0, b"0" * 32)


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
        return set(self.keyring.state.members)

    async def answer(self, caller: EndpointId, request: PeerRequest) -> EpochReply:
        """Answer as the peers' door does."""
        if self.lies:
            return self.lies(request)
        if request.HasField("redeem"):
            return await self.rooms.answer_redeem(caller, request)
        self.rooms.asked(caller, request)
        if request.HasField("take_epoch"):
            return await self.epochs.answer_take(caller, request)
        if request.HasField("catch_up"):
            return self.epochs.answer_catch_up(caller)
        raise NotFound("these members have nothing else to ask")

    async def rotate(self, *without: "Member", told: Sequence["Member"] = ()) -> set[EndpointId]:
        """Change the keys; return who has gone on with it."""
        gone = [it.me for it in without]
        return set(await self.epochs.rotate(gone, [it.me for it in told]))

    def roster(self, epoch: Epoch, *stay: "Member") -> Roster:
        """Sign a list of who stays."""
        members = tuple(it.me for it in stay)
        return sign_roster(ROOM_ID, epoch, members, self.me, self.key.sign)

    def made(self, epoch: Epoch, *stay: "Member") -> EpochReply:
        """Return an epoch of its own making, as it would be handed over."""
        roster = encode_roster(self.roster(epoch, *stay))
        return EpochReply(epoch=epoch.number, secret=epoch.secret, roster=roster)


async def members_of_a_room(count: int) -> list[Member]:
    """Return so many members, who all know each other and are in the first epoch."""
    everybody: dict[EndpointId, Member] = {}
    for letter in b"abcdefgh"[:count]:
        one = Member(NodeKey(bytes([letter]) * 32), everybody)
        everybody[one.me] = one
    state = PrivateState(epochs=(FIRST,), members=tuple(sorted(everybody)))
    record = RoomRecord(name=SECRET, room_id=ROOM_ID, joined_at_ms=1, bootstrap=(), private=state)
    for one in everybody.values():
        await one.store.put_room(record)
        one.restart()
    return list(everybody.values())


async def a_newcomer(to: Member) -> Member:
    """Return somebody who is not in the room, but reaches those who are."""
    one = Member(NodeKey(b"z" * 32), to.everybody)
    to.everybody[one.me] = one
    alone = PrivateState(epochs=(FIRST,), members=(one.me,))
    one.start(replace(to.room.line.record(), private=alone))
    return one
