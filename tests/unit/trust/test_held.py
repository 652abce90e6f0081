"""What waits for a binding is heard in order, in bounds, and without holding up anybody else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from buddies_core.errors import Unreachable
from buddies_core.identity.binding import bind
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.verifying import Verifier
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.pb.peer_pb2 import BindingsReply, PeerReply, PeerRequest
from buddies_core.rooms.composing import Composer
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.fetching_bindings import BindingFetcher
from buddies_core.trust.held import (
    HELD_FOR_S,
    MESSAGES_MAX,
    SENDERS_MAX,
    SENDERS_PER_DELIVERER_MAX,
    HeldMessages,
)
from buddies_core.trust.policies import Policies
from tests.support.in_memory.store import InMemoryStore
from tests.support.virtual_time import LoopClock, run_virtually
from tests.support.worlds.person import an_ed25519_signer

ALICES_KEY = NodeKey(b"a" * 32)
ALICE, BOB, CAROL = (NodeKey(name * 32).endpoint for name in (b"a", b"b", b"c"))
ROOM_ID = open_room_id(RoomName("demo"))
ANNS_KEY = an_ed25519_signer(b"1")


class HoldingNode:
    """Bob, who holds what others say; `answer_s` is how long a peer takes to answer."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.counters: Counter[str] = Counter()
        self.bindings = Bindings(
            InMemoryStore(), Verifier({}, LoopClock()).verify, self.counters, BOB
        )
        self.fetcher = BindingFetcher(self.bindings, Policies(InMemoryStore()), LoopClock())
        self.held: HeldMessages[object] = HeldMessages(self.fetcher, self.counters)
        self.group = group
        self.room_id = ROOM_ID
        self.answer_s: dict[EndpointId, float] = {}
        self.asked: list[EndpointId] = []
        self.heard: list[tuple[Any, bool, float]] = []

    async def ask(
        self, peer: EndpointId, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        self.asked.append(peer)
        if peer not in self.answer_s:
            raise Unreachable("nobody there")
        await asyncio.sleep(self.answer_s[peer])
        composer = Composer(ALICES_KEY, InMemoryStore(), LoopClock())
        said = Presence("alice", (), await bind(ANNS_KEY, ALICE, 5))
        presence = await composer.compose(ROOM_ID, said)
        return [PeerReply(bindings=BindingsReply(presences=[presence]))]

    async def presence_of(self, endpoint: EndpointId) -> bytes | None:
        raise AssertionError("nobody asks Bob")

    def hold(
        self, message: object, sender: EndpointId = ALICE, deliverer: EndpointId = CAROL
    ) -> None:
        if self.held.hold(sender, deliverer, self, message):
            self.group.create_task(self._hear(sender))

    async def _hear(self, sender: EndpointId) -> None:
        for message in await self.held.settle(sender):
            known = self.bindings.signer_of(sender) is not None
            self.heard.append((message, known, round(asyncio.get_running_loop().time(), 3)))


@asynccontextmanager
async def a_node() -> AsyncIterator[HoldingNode]:
    async with asyncio.TaskGroup() as group:
        node = HoldingNode(group)
        yield node
        await asyncio.sleep(30)


def test_held_messages_are_heard_in_order_when_the_binding_comes() -> None:
    async def scenario() -> None:
        async with a_node() as node:
            node.answer_s[ALICE] = 1.5
            for number in range(3):
                node.hold(number)
            await asyncio.sleep(1)
            node.hold(3)
            assert node.heard == []
        assert node.heard == [(number, True, 1.5) for number in range(4)]
        assert (node.asked, node.counters) == ([ALICE], {})

    run_virtually(scenario())


def test_who_delivered_is_asked_where_the_sender_can_t_be() -> None:
    async def scenario() -> None:
        async with a_node() as node:
            node.answer_s[CAROL] = 0.5
            node.hold("hello")
        assert (node.heard, node.asked) == ([("hello", True, 0.5)], [ALICE, CAROL])

    run_virtually(scenario())


def test_they_are_put_to_the_policy_without_a_binding_when_nobody_has_it() -> None:
    async def scenario() -> None:
        async with a_node() as node:
            node.hold("hello")
        assert (node.heard, node.asked) == ([("hello", False, 0.0)], [ALICE, CAROL])
        assert not node.fetcher.is_worth_asking(ALICE)

    run_virtually(scenario())


def test_nothing_is_held_for_more_than_five_seconds() -> None:
    async def scenario() -> None:
        async with a_node() as node:
            node.answer_s = {ALICE: 100.0, CAROL: 100.0}
            node.hold("hello")
        ((message, known, at_s),) = node.heard
        assert (message, known) == ("hello", False)
        assert at_s <= HELD_FOR_S

    run_virtually(scenario())


def test_one_sender_can_have_so_many_held_and_so_many_senders_any() -> None:
    async def scenario() -> None:
        async with a_node() as node:
            node.answer_s = {ALICE: 1.0}
            for number in range(MESSAGES_MAX + 1):
                node.hold(number)
            for number in range(SENDERS_MAX):
                one = EndpointId(bytes([number]) * 32)
                node.hold("other", one, deliverer=one)
        assert [it[0] for it in node.heard if it[0] != "other"] == list(range(MESSAGES_MAX))
        assert [it[0] for it in node.heard].count("other") == SENDERS_MAX - 1
        assert node.counters["held_too_many"] == 2

    run_virtually(scenario())


def test_made_up_senders_by_one_neighbor_leave_room_for_those_by_others() -> None:
    async def scenario() -> None:
        async with a_node() as node:
            node.answer_s = {ALICE: 1.0}
            for number in range(SENDERS_MAX):
                node.hold("made up", EndpointId(bytes([number]) * 32), deliverer=BOB)
            node.hold("hello")
        assert ("hello", True, 1.0) in node.heard
        assert [it[0] for it in node.heard].count("made up") == SENDERS_PER_DELIVERER_MAX

    run_virtually(scenario())


def test_a_slow_sender_holds_up_no_other() -> None:
    async def scenario() -> None:
        async with a_node() as node:
            node.answer_s = {ALICE: 1.5}
            node.hold("slow")
            node.hold("fast", BOB)
        assert [it[0] for it in node.heard] == ["fast", "slow"]

    run_virtually(scenario())
