"""Who vouches for an endpoint is asked of it, or of who handed its words on."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from buddies_core.errors import BuddiesError, InvalidInput, Unreachable
from buddies_core.identity.binding import bind
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.verifying import Verdict, Verification, Verifier
from buddies_core.model.bodies import Presence
from buddies_core.model.identity import Binding, SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.pb.peer_pb2 import BindingsReply, FetchBindings, PeerReply, PeerRequest
from buddies_core.rooms.composing import Composer
from buddies_core.trust import fetching_bindings as fetching_module
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.fetching_bindings import (
    NOT_AGAIN_FOR_S,
    NOT_AGAIN_WHEN_BUSY_FOR_S,
    BindingFetcher,
)
from buddies_core.trust.policies import Policies
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.person import an_ed25519_signer

ALICE, BOB, CAROL = (NodeKey(name * 32) for name in (b"a", b"b", b"c"))
ANNS_KEY, BENS_KEY = an_ed25519_signer(b"1"), an_ed25519_signer(b"2")
ANN, BEN = ANNS_KEY.identity, BENS_KEY.identity
DEMO = RoomName("demo")


async def presence(key: NodeKey, binding: Binding | None, room: RoomName = DEMO) -> bytes:
    composer = Composer(key, InMemoryStore(), ManualClock())
    return await composer.compose(open_room_id(room), Presence("x", (), binding))


class BoundNode:
    """One node in the room; asks others, which answer or fail. It is its own way to them."""

    def __init__(self, key: NodeKey, presence: bytes | None = None) -> None:
        self.clock = ManualClock()
        self.counters: Counter[str] = Counter()
        verify = Verifier({}, self.clock).verify
        self.bindings = Bindings(InMemoryStore(), verify, self.counters, key.endpoint)
        self.fetcher = BindingFetcher(self.bindings, Policies(InMemoryStore()), self.clock)
        self.room_id = open_room_id(DEMO)
        self.presences: dict[EndpointId, bytes] = {key.endpoint: presence} if presence else {}
        self.peers: dict[EndpointId, BoundNode | BuddiesError] = {}
        self.asked: list[EndpointId] = []

    async def presence_of(self, endpoint: EndpointId) -> bytes | None:
        return self.presences.get(endpoint)

    async def ask(
        self, peer: EndpointId, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        self.asked.append(peer)
        answering = self.peers.get(peer, Unreachable("nobody there"))
        if isinstance(answering, BuddiesError):
            raise answering
        await asyncio.sleep(0)
        return await answering.fetcher.answer(answering, request.fetch_bindings)

    async def fetch(self, wanted: NodeKey, *peers: NodeKey) -> bool:
        return await self.fetcher.fetch(wanted.endpoint, self, [it.endpoint for it in peers])


@pytest.fixture
def me() -> BoundNode:
    return BoundNode(BOB)


async def vouched_for() -> BoundNode:
    """Return Alice, for whom Ann vouches."""
    return BoundNode(ALICE, await presence(ALICE, await bind(ANNS_KEY, ALICE.endpoint, 5)))


async def test_an_endpoint_tells_who_vouches_for_it(me: BoundNode) -> None:
    me.peers[ALICE.endpoint] = await vouched_for()
    assert await me.fetch(ALICE, ALICE)
    assert me.bindings.signer_of(ALICE.endpoint) == ANN
    assert not me.fetcher.is_worth_asking(ALICE.endpoint)


async def test_anybody_who_has_heard_an_endpoint_answers_for_it(me: BoundNode) -> None:
    carol = BoundNode(CAROL)
    carol.presences = (await vouched_for()).presences
    me.peers[CAROL.endpoint] = carol
    assert await me.fetch(ALICE, ALICE, CAROL)
    assert me.bindings.signer_of(ALICE.endpoint) == ANN
    assert me.asked == [ALICE.endpoint, CAROL.endpoint]


async def test_nobody_but_the_endpoint_itself_says_who_vouches_for_it(me: BoundNode) -> None:
    """Ben vouches for Alice's endpoint without being asked; that must not take it from Ann."""
    usurping = await bind(BENS_KEY, ALICE.endpoint, 1 << 60)
    forged = bytearray(await presence(ALICE, usurping))
    forged[-1] ^= 1
    carol = BoundNode(CAROL)
    for lie in (
        await presence(CAROL, usurping),
        await presence(ALICE, usurping, RoomName("other")),
        bytes(forged),
        b"no presence",
    ):
        carol.presences = {ALICE.endpoint: lie}
        me.peers[CAROL.endpoint] = carol
        me.clock.monotonic_s += 61
        assert not await me.fetch(ALICE, CAROL)
    assert me.bindings.signer_of(ALICE.endpoint) is None
    assert len(me.asked) == 4


async def test_a_presence_of_another_is_not_taken_for_the_wanted_one(me: BoundNode) -> None:
    carol = BoundNode(CAROL)
    carol.presences = {CAROL.endpoint: (await vouched_for()).presences[ALICE.endpoint]}
    me.peers[CAROL.endpoint] = carol
    assert not await me.fetch(CAROL, CAROL)
    assert me.bindings.signer_of(ALICE.endpoint) is None


async def test_who_had_none_is_not_asked_again_for_a_minute(me: BoundNode) -> None:
    me.peers[ALICE.endpoint] = BoundNode(ALICE, await presence(ALICE, None))
    for _ in range(2):
        assert not await me.fetch(ALICE, ALICE)
    assert me.asked == [ALICE.endpoint]
    me.clock.monotonic_s += NOT_AGAIN_FOR_S
    await me.fetch(ALICE, ALICE)
    assert me.asked == [ALICE.endpoint] * 2


async def test_a_peer_that_does_not_answer_is_not_asked_for_others_for_a_minute(
    me: BoundNode,
) -> None:
    for wanted in (ALICE, NodeKey(b"x" * 32)):
        assert not await me.fetch(wanted, CAROL)
    assert me.asked == [CAROL.endpoint]


async def test_those_who_need_the_same_binding_ask_once(me: BoundNode) -> None:
    me.peers[ALICE.endpoint] = await vouched_for()
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(me.fetch(ALICE, ALICE))
    assert (me.asked, me.bindings.signer_of(ALICE.endpoint)) == ([ALICE.endpoint], ANN)


async def test_when_who_asks_is_gone_the_next_one_asks(me: BoundNode) -> None:
    me.peers[ALICE.endpoint] = await vouched_for()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(me.fetch(ALICE, ALICE))
        second = group.create_task(me.fetch(ALICE, ALICE))
        await asyncio.sleep(0)
        first.cancel()
        assert await second


async def test_nobody_is_told_of_more_than_32(me: BoundNode) -> None:
    endpoints = [bytes([number]) * 32 for number in range(33)]
    with pytest.raises(InvalidInput, match="at most 32"):
        await me.fetcher.answer(me, FetchBindings(endpoints=endpoints))
    (reply,) = await me.fetcher.answer(me, FetchBindings(endpoints=endpoints[1:]))
    assert reply == PeerReply(bindings=BindingsReply())


async def test_an_endpoint_whose_binding_gpg_is_too_busy_for_is_asked_again_soon(
    me: BoundNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching_module, "BUSY_PAUSE_S", 0.0)
    verdict = Verdict.BUSY

    async def verify(identity: SignerIdentity, *_: object) -> Verification:
        return Verification(verdict, signer=identity)

    me.bindings._verify = verify
    me.peers[ALICE.endpoint] = await vouched_for()
    assert not await me.fetch(ALICE, ALICE)
    me.fetcher.give_up(ALICE.endpoint)
    assert not me.fetcher.is_worth_asking(ALICE.endpoint)
    me.clock.monotonic_s += NOT_AGAIN_WHEN_BUSY_FOR_S
    assert me.fetcher.is_worth_asking(ALICE.endpoint)
    verdict = Verdict.GOOD
    assert await me.fetch(ALICE, ALICE)
