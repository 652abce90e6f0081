"""A network in memory: peers that can be reached or not, and answers that are set up."""

import asyncio
from collections.abc import Callable, Sequence

from buddies_core.errors import BuddiesError, NotAllowed, Unreachable
from buddies_core.model.address import AddressInfo, PeerAddress, SocketAddress
from buddies_core.model.contact import Contact
from buddies_core.model.ids import EndpointId, TopicId
from buddies_core.model.provenance import Source
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest


class FakeNetwork:
    """Records what it is asked to do. `on_join` may report neighbors as a real swarm would."""

    def __init__(self, me: EndpointId) -> None:
        self.me = me
        self.topics: dict[TopicId, list[EndpointId]] = {}
        self.said: list[tuple[TopicId, bytes]] = []
        self.may_say = asyncio.Event()
        """Not set: a broadcast takes until it is."""
        self.may_say.set()
        self.failure: BuddiesError | None = None
        """What a broadcast ends with."""
        self.ranks: dict[EndpointId, int] = {}
        self.learned: dict[EndpointId, AddressInfo] = {}
        self.moved = asyncio.Event()
        """Set when this machine has come into another network."""
        self.contacts: dict[EndpointId, Contact] = {}
        self.reachable: set[EndpointId] = set()
        self.silent: set[EndpointId] = set()
        """Where a dial gets no answer at all."""
        self.refusing: dict[EndpointId, float] = {}
        """Peers that refuse us, each after so many seconds."""
        self.dialled: list[EndpointId] = []
        self.answers: dict[EndpointId, Callable[[PeerRequest], list[PeerReply]]] = {}
        self.neighbors_of: dict[TopicId, tuple[EndpointId, ...]] = {}
        self.reachable_after_s: float = 0.0
        """From now on; until then its address lacks something."""
        self.on_join: Callable[[TopicId, EndpointId], None] = lambda topic, peer: None

    def address(self) -> PeerAddress:
        return PeerAddress(self.me, AddressInfo(None, (SocketAddress("127.0.0.1", 1),)))

    async def wait_reachable(self, timeout_s: float) -> bool:
        waits_s = min(timeout_s, self.reachable_after_s)
        if waits_s > 0:
            await asyncio.sleep(waits_s)
            self.reachable_after_s -= waits_s
        return self.reachable_after_s <= 0

    async def next_move(self) -> None:
        await self.moved.wait()
        self.moved.clear()

    def learn(
        self,
        address: PeerAddress,
        source: Source = Source.DIALLED,
        told_by: EndpointId | None = None,
    ) -> None:
        self.learned[address.endpoint] = address.info

    def rank(self, peer: EndpointId, rank: int) -> None:
        self.ranks[peer] = rank

    def vouched(self, endpoint: EndpointId) -> AddressInfo:
        return self.learned.get(endpoint, AddressInfo())

    def contact(self, peer: EndpointId) -> Contact | None:
        return self.contacts.get(peer)

    async def reach(self, peer: PeerAddress, timeout_s: float) -> None:
        self.dialled.append(peer.endpoint)
        if (refuses_after_s := self.refusing.get(peer.endpoint)) is not None:
            await asyncio.sleep(refuses_after_s)
            raise NotAllowed("not with me")
        if peer.endpoint in self.silent:
            await asyncio.Event().wait()
        if peer.endpoint not in self.reachable:
            raise Unreachable("did not answer")

    async def join(self, topic: TopicId, peers: Sequence[EndpointId]) -> None:
        self.topics.setdefault(topic, []).extend(peers)
        for peer in peers:
            self.on_join(topic, peer)

    async def quit(self, topic: TopicId) -> None:
        self.topics.pop(topic, None)

    async def broadcast(self, topic: TopicId, content: bytes) -> None:
        assert topic in self.topics, "only what was joined can be spoken in"
        await self.may_say.wait()
        if self.failure:
            raise self.failure
        self.said.append((topic, content))

    def neighbors(self, topic: TopicId) -> tuple[EndpointId, ...]:
        return self.neighbors_of.get(topic, ())

    async def ask(
        self, peer: EndpointId, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        answer = self.answers.get(peer)
        if answer is None:
            raise Unreachable("speaks buddies 0.1.4")
        return answer(request)


def refusing(error: BuddiesError) -> Callable[[PeerRequest], list[PeerReply]]:
    """Return an answer that is this error."""

    def refuse(request: PeerRequest) -> list[PeerReply]:
        raise error

    return refuse
