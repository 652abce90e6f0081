"""Who vouches for an endpoint is asked of it, or of who handed its words on."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from buddies_core.errors import BuddiesError, InvalidInput, Unreachable
from buddies_core.identity.binding import bind
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.verifying import Verifier
from buddies_core.model.ids import EndpointId
from buddies_core.pb.peer_pb2 import BindingsReply, FetchBindings, PeerReply, PeerRequest
from buddies_core.rooms.bindings import Bindings
from buddies_core.rooms.fetching_bindings import NOT_AGAIN_FOR_S, BindingFetcher
from buddies_core.store.in_memory import InMemoryStore
from buddies_core.store.records import BindingRecord
from tests.support.clocks import ManualClock
from tests.support.person import an_ed25519_signer

ALICE, BOB, CAROL = (NodeKey(name * 32).endpoint for name in (b"a", b"b", b"c"))
ANNS_KEY, BENS_KEY = an_ed25519_signer(b"1"), an_ed25519_signer(b"2")
ANN = ANNS_KEY.identity


@dataclass
class Node:
    """One node's bindings; asks others, which answer or fail."""

    me: EndpointId
    clock: ManualClock = field(default_factory=ManualClock)
    store: InMemoryStore = field(default_factory=InMemoryStore)
    counters: Counter[str] = field(default_factory=Counter)
    peers: "dict[EndpointId, Node | BuddiesError]" = field(default_factory=dict)
    asked: list[EndpointId] = field(default_factory=list)
    own: bool = False

    def __post_init__(self) -> None:
        self.bindings = Bindings(
            self.store, Verifier({}, self.clock).verify, self.counters, self.me
        )
        self.fetcher = BindingFetcher(self.bindings, self.clock)

    async def ask(
        self, peer: EndpointId, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        self.asked.append(peer)
        answering = self.peers.get(peer, Unreachable("nobody there"))
        if isinstance(answering, BuddiesError):
            raise answering
        await asyncio.sleep(0)
        return answering.fetcher.answer(request.fetch_bindings)

    async def fetch(self, endpoint: EndpointId, *peers: EndpointId) -> None:
        await self.fetcher.fetch(endpoint, self.ask, peers)


@pytest.fixture
def me() -> Node:
    return Node(BOB)


async def vouched_for() -> Node:
    """Return Alice, for whom Ann vouches."""
    alice = Node(ALICE)
    alice.bindings.own = await bind(ANNS_KEY, ALICE, 5)
    return alice


async def test_an_endpoint_tells_who_vouches_for_it(me: Node) -> None:
    me.peers[ALICE] = await vouched_for()
    await me.fetch(ALICE, ALICE)
    assert me.bindings.signer_of(ALICE) == ANN
    assert not me.fetcher.is_worth_asking(ALICE)


async def test_anybody_who_holds_a_binding_answers_for_anybody(me: Node) -> None:
    carol = Node(CAROL)
    await carol.bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))
    me.peers[CAROL] = carol
    await me.fetch(ALICE, ALICE, CAROL)
    assert (me.bindings.signer_of(ALICE), me.asked) == (ANN, [ALICE, CAROL])


async def test_a_binding_that_was_made_up_for_another_is_not_taken(me: Node) -> None:
    carol = Node(CAROL)
    carol.bindings._known[ALICE] = BindingRecord(
        endpoint=ALICE, signer=ANN, signed_at_ms=5, signature=b"made up"
    )
    me.peers[CAROL] = carol
    await me.fetch(ALICE, CAROL)
    assert (me.bindings.signer_of(ALICE), me.counters) == (None, {"bindings_rejected": 1})


async def test_an_answer_nobody_asked_for_is_ignored(me: Node) -> None:
    carol = Node(CAROL)
    await carol.bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))
    answer = carol.fetcher.answer(FetchBindings(endpoints=[ALICE]))

    async def lie(*_: object) -> Sequence[PeerReply]:
        return answer

    await me.fetcher.fetch(CAROL, lie, (CAROL,))
    assert me.bindings.signer_of(ALICE) is None


async def test_who_had_none_is_not_asked_again_for_a_minute(me: Node) -> None:
    me.peers[ALICE] = Node(ALICE)
    for _ in range(2):
        await me.fetch(ALICE, ALICE)
    assert me.asked == [ALICE]
    me.clock.monotonic_s = NOT_AGAIN_FOR_S
    await me.fetch(ALICE, ALICE)
    assert me.asked == [ALICE, ALICE]


async def test_a_peer_that_does_not_answer_is_not_asked_for_others_for_a_minute(me: Node) -> None:
    for endpoint in (ALICE, EndpointId(b"x" * 32)):
        await me.fetch(endpoint, CAROL)
    assert me.asked == [CAROL]


async def test_those_who_need_the_same_binding_ask_once(me: Node) -> None:
    me.peers[ALICE] = await vouched_for()
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(me.fetch(ALICE, ALICE))
    assert (me.asked, me.bindings.signer_of(ALICE)) == ([ALICE], ANN)


async def test_when_who_asks_is_gone_the_next_one_asks(me: Node) -> None:
    me.peers[ALICE] = await vouched_for()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(me.fetch(ALICE, ALICE))
        second = group.create_task(me.fetch(ALICE, ALICE))
        await asyncio.sleep(0)
        first.cancel()
        await second
    assert me.bindings.signer_of(ALICE) == ANN


async def test_what_an_older_buddies_kept_without_its_signature_is_not_handed_on(me: Node) -> None:
    await me.store.put_binding(BindingRecord(endpoint=ALICE, signer=ANN, signed_at_ms=5))
    old = Node(BOB, store=me.store)
    assert old.bindings.signer_of(ALICE) == ANN
    answer = old.fetcher.answer(FetchBindings(endpoints=[ALICE, CAROL]))
    assert answer == [PeerReply(bindings=BindingsReply())]

    await old.bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))  # the same one comes again
    (told,) = old.fetcher.answer(FetchBindings(endpoints=[ALICE]))[0].bindings.bindings
    assert told.endpoint == ALICE


async def test_nobody_is_told_of_more_than_64(me: Node) -> None:
    endpoints = [bytes([number]) * 32 for number in range(65)]
    with pytest.raises(InvalidInput, match="at most 64"):
        me.fetcher.answer(FetchBindings(endpoints=endpoints))
