"""Nodes that share rooms in memory: real stores, signatures and services; no disk, socket or model.

What one asks another arrives at once, unless the other is told to be silent, to refuse or to lie.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from buddies_core.errors import BuddiesError, NotFound, Unreachable
from buddies_core.finding.document import Document, Scope
from buddies_core.finding.embedder import DIMENSIONS, Vectors
from buddies_core.finding.feeding import DocumentSource, IndexProgress
from buddies_core.finding.index import IndexHit
from buddies_core.finding.local_search import LocalSearch
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.resolving import Resolver
from buddies_core.identity.verifying import Verifier
from buddies_core.legacy.answering import MemoryAnswers
from buddies_core.legacy.asking import MemoryQuestions
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.memory.findings import RecentFinds
from buddies_core.memory.hidden import Hidden
from buddies_core.memory.links import Links
from buddies_core.memory.receipts import Receipts
from buddies_core.memory.search import Search
from buddies_core.memory.service import Memories
from buddies_core.model.bodies import Body
from buddies_core.model.contact import Contact, Path
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, MemoryId, RoomName, open_room_id, short, topic_of
from buddies_core.model.memory import MemoryKind, MemoryRef, Whole
from buddies_core.model.provenance import Trust
from buddies_core.model.room import KeptHistory, Member
from buddies_core.model.views import MemoryView
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest, RoomKey
from buddies_core.rooms.composing import Composer
from buddies_core.trust.admission import Admission
from buddies_core.trust.admitted import Admitted
from buddies_core.trust.revocations import Revocations
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import DEMO

Answer = Callable[[PeerRequest], list[PeerReply]]


class TeamRooms:
    """The rooms of one node; who is present in them is set by hand."""

    def __init__(self, node: "Node", rooms: tuple[RoomName, ...]) -> None:
        self._node = node
        self._composer = Composer(node.key, node.store, node.clock)
        self._admission = Admission(node.store, Verifier({}, node.clock).verify, node.counters)
        self.present: dict[RoomName, list[Member]] = {room: [] for room in rooms}
        self.remembered: set[EndpointId] = set()
        """Members that have gone."""
        self.signers: dict[EndpointId, SignerIdentity] = {}
        self.bytes_max = CONTENT_BYTES_MAX
        self.moves = 0
        self.asked_who_vouches: set[tuple[EndpointId, EndpointId]] = set()
        """For which author, and whom."""
        self.history = KeptHistory.ALL
        self.joined_at_ms = 0
        self.sent: list[tuple[RoomName, bytes]] = []
        self.published: list[tuple[RoomName, Body]] = []
        self.on_send: Callable[[bytes], None] = lambda proof: None

    @property
    def endpoint(self) -> EndpointId:
        return self._node.key.endpoint

    def joined(self) -> tuple[RoomName, ...]:
        return tuple(sorted(self.present))

    def members(self, room: RoomName) -> tuple[Member, ...]:
        if room not in self.present:
            raise NotFound(f"this machine is not in room {room!r}")
        me = Member(endpoint=self._node.key.endpoint, name=self._node.name, is_self=True)
        return (me, *self.present[room])

    def name_of(self, endpoint: EndpointId) -> str:
        if endpoint == self._node.key.endpoint:
            return self._node.name
        known = [member for members in self.present.values() for member in members]
        names = {member.endpoint: member.name for member in known}
        return names.get(endpoint, short(endpoint))

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        return self.signers.get(endpoint)

    def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
        if endpoint == self._node.key.endpoint:
            return Trust.NAMED
        if endpoint in self.signers:
            return Trust.VOUCHED
        present = {member.endpoint for member in self.present.get(room, [])}
        return Trust.MEMBER if endpoint in present | self.remembered else Trust.STRANGER

    async def admit(
        self, room: RoomName, proof: bytes, source: EndpointId | None = None
    ) -> Admitted:
        return await self._admission.admit(room, open_room_id(room), proof)

    async def ask(
        self, peer: EndpointId, room: RoomName, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        return await self._node.network.ask(peer, room, request, timeout_s)

    def message_bytes_max(self, room: RoomName) -> int:
        return self.bytes_max

    def history_of(self, room: RoomName) -> tuple[KeptHistory, int]:
        return self.history, self.joined_at_ms

    async def learn_signer(self, room: RoomName, endpoint: EndpointId, source: EndpointId) -> None:
        self.asked_who_vouches.add((endpoint, source))

    def policy_revision(self) -> int:
        return 0

    async def compose(
        self,
        room: RoomName,
        body: Body,
        *,
        agent: str = "",
        user: str = "",
        whole: Whole | None = None,
    ) -> bytes:
        return await self._composer.compose(
            open_room_id(room), body, agent=agent, user=user or self._node.name, whole=whole
        )

    async def send(self, room: RoomName, proof: bytes) -> None:
        self.on_send(proof)
        self.sent.append((room, proof))

    async def publish(self, room: RoomName, body: Body) -> bytes:
        proof = await self.compose(room, body)
        await self.send(room, proof)
        self.published.append((room, body))
        return proof


class FakeIndex:
    """Finds what has words of the query, the more the better; notes what it was asked."""

    def __init__(self, documents: DocumentSource) -> None:
        self._documents = documents
        self.vectors: list[Vectors | None] = []
        self.noticed = 0
        self.failure: BuddiesError | None = None
        self.missing = 0
        """How many of the latest are not indexed yet."""

    def notice(self) -> None:
        self.noticed += 1

    def progress(self) -> IndexProgress:
        stored = self._documents.last_sequence()
        indexed = stored - self.missing
        return IndexProgress(stored=stored, by_words=indexed, by_meaning=indexed)

    async def search(
        self,
        query: str,
        vector: Vectors | None,
        scope: Scope,
        limit: int,
        *,
        wait_s: float,
    ) -> tuple[IndexHit, ...]:
        self.vectors.append(vector)
        if self.failure:
            raise self.failure
        wanted = set(query.casefold().split())
        hits = [
            IndexHit(
                key=it.key,
                score=len(wanted & set(f"{it.title} {it.text}".casefold().split())) / len(wanted),
            )
            for _, it in await self._documents.documents_since(0, 1000)
            if isinstance(it, Document) and scope.admits(it.labels, it.created_at_s)
        ]
        hits.sort(key=lambda hit: -hit.score)
        return tuple(hit for hit in hits if hit.score)[:limit]


class FakeEmbedder:
    """Gives every query the same vector, once it is ready."""

    def __init__(self) -> None:
        self.model_id = b"m" * 32
        self.dimensions = DIMENSIONS
        self.vector: Vectors = np.eye(1, DIMENSIONS, dtype=np.float32)[0]
        self.ready = asyncio.Event()
        self.ready.set()
        self.failure: BuddiesError | None = None
        self.embedded: list[str] = []

    async def embed_query(self, text: str) -> Vectors:
        await self.ready.wait()
        if self.failure:
            raise self.failure
        self.embedded.append(text)
        return self.vector


@dataclass
class TeamNetwork:
    """The direct protocol between the nodes of a team."""

    endpoint: EndpointId
    team: "Team"
    asked: list[tuple[EndpointId, PeerRequest]] = field(default_factory=list)

    def contact(self, peer: EndpointId) -> Contact | None:
        connected = Contact(heard_s=self.team.clock.now_s(), path=Path.DIRECT, round_trip_ms=1)
        return self.team.contacts.get(peer, connected)

    def key_for(self, peer: EndpointId, room: RoomName) -> RoomKey | None:
        return None if room in self.team.unnamed else RoomKey(topic=topic_of(room))

    async def ask(
        self, peer: EndpointId, room: RoomName, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        self.asked.append((peer, request))
        if peer in self.team.silent:
            await asyncio.Event().wait()
        await asyncio.sleep(self.team.slow_s.get(peer, 0.0))
        answer = self.team.answers.get(peer)
        if answer is not None:
            return answer(request)
        if peer not in self.team.nodes:
            raise Unreachable("connection refused")
        answering = self.team.nodes[peer]
        if room not in answering.rooms.present:
            raise NotFound("this node is not in that room")
        return await answering.answer(self.endpoint, room, request)


class Node:
    """One machine's memories and search."""

    def __init__(self, team: "Team", name: str, rooms: tuple[RoomName, ...]) -> None:
        self.name = name
        self.key = NodeKey(name.encode().ljust(32, b"."))
        self.clock = team.clock
        self.counters: Counter[str] = Counter()
        self.store = self.new_store()
        self.kept = self.store.skills
        self.rooms = TeamRooms(self, rooms)
        self.embedder = FakeEmbedder()
        self.network = TeamNetwork(self.key.endpoint, team)
        self.questions = MemoryQuestions(self.rooms, self.clock)
        self.finds = RecentFinds()
        self.revocations = Revocations(
            store=self.store,
            skills=self.kept,
            signers=self.rooms,
            resolver=Resolver(Gpg({})),
            endpoint=self.key.endpoint,
            clock=self.clock,
        )
        self.hidden = Hidden(self.store.amendments, self.revocations)
        self.links = Links(self.store, self.rooms, self.hidden)
        self.documents = MemoryDocuments(self.store, self.links)
        self.index = FakeIndex(self.documents)
        self.receipts = Receipts(self.clock)
        self.memories = Memories(
            store=self.store,
            index=self.index,
            rooms=self.rooms,
            network=self.network,
            clock=self.clock,
            counters=self.counters,
            finds=self.finds,
            hidden=self.hidden,
            links=self.links,
            receipts=self.receipts,
        )
        self.search = Search(
            local=LocalSearch(self.index, self.embedder, self.documents, self.hidden),
            store=self.store,
            rooms=self.rooms,
            network=self.network,
            clock=self.clock,
            counters=self.counters,
            finds=self.finds,
            hidden=self.hidden,
            links=self.links,
            legacy=self.questions,
            compared_at_ms=self.receipts.compared_at_ms,
        )
        self.answers = MemoryAnswers(self.rooms, self.search)

    def new_store(self) -> InMemoryStore:
        """Return where it keeps everything."""
        return InMemoryStore()

    @property
    def endpoint(self) -> EndpointId:
        return self.key.endpoint

    def member(self) -> Member:
        return Member(endpoint=self.endpoint, name=self.name)

    def more(self, request: PeerRequest) -> dict[RoomName, int]:
        """Return the further rooms of a request that this node is in, with their numbers."""
        if self.endpoint in self.network.team.old:
            return {}
        topics: dict[bytes, RoomName] = {topic_of(it): it for it in self.rooms.present}
        numbered = enumerate(request.more, start=1)
        return {topics[it.topic]: number for number, it in numbered if it.topic in topics}

    async def answer(
        self, caller: EndpointId, room: RoomName, request: PeerRequest
    ) -> list[PeerReply]:
        if request.HasField("search"):
            more = self.more(request)
            return [PeerReply(search=await self.search.answer(caller, room, request.search, more))]
        return await self.memories.answer_fetch(caller, room, request.fetch_memory)

    async def store_memory(
        self,
        content: str,
        *,
        room: RoomName = DEMO,
        title: str = "",
        tags: tuple[str, ...] = (),
        references: tuple[MemoryId, ...] = (),
        supersedes: MemoryId | None = None,
    ) -> MemoryView:
        return await self.memories.store(
            room,
            title,
            content,
            MemoryKind.DECISION,
            tags,
            references,
            None if supersedes is None else MemoryRef(supersedes),
            agent="claude",
            user="",
        )

    async def hear(self, room: RoomName, raw: bytes) -> None:
        """Receive a broadcast."""
        await self.memories.receive(await self.rooms.admit(room, raw))


class Team:
    """Nodes that are all present in the rooms they share."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.nodes: dict[EndpointId, Node] = {}
        self.silent: set[EndpointId] = set()
        self.unnamed: set[RoomName] = set()
        """Rooms that can't be named in a request besides another one."""
        self.old: set[EndpointId] = set()
        """Members that don't know of requests about several rooms."""
        self.slow_s: dict[EndpointId, float] = {}
        """How long a member takes to answer."""
        self.contacts: dict[EndpointId, Contact] = {}
        """What is known of the way to a member; of the others that it is direct and short."""
        self.answers: dict[EndpointId, Answer] = {}

    def node(self, name: str, *rooms: RoomName) -> Node:
        """Return a new node that is in these rooms, with everybody who is there."""
        node = Node(self, name, rooms or (DEMO,))
        self.place(node)
        return node

    def place(self, node: Node) -> None:
        """Have everybody who shares a room with the node see it, and be seen by it."""
        for other in self.nodes.values():
            for room in set(node.rooms.present) & set(other.rooms.present):
                node.rooms.present[room].append(other.member())
                other.rooms.present[room].append(node.member())
        self.nodes[node.endpoint] = node

    async def deliver(self, sender: Node) -> None:
        """Bring what a node has said so far to everybody in the room."""
        sent, sender.rooms.sent = sender.rooms.sent, []
        for room, raw in sent:
            for node in self.nodes.values():
                if node is not sender and room in node.rooms.present:
                    await node.hear(room, raw)

    def goes(self, node: Node) -> None:
        """Take a node away: nobody sees or reaches it any more."""
        del self.nodes[node.endpoint]
        for other in self.nodes.values():
            other.rooms.remembered.add(node.endpoint)
            for room, members in other.rooms.present.items():
                other.rooms.present[room] = [m for m in members if m.endpoint != node.endpoint]
