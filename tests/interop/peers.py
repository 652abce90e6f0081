"""Peers of both kinds that meet in a test; each keeps a journal of what it was told."""

import asyncio
import json
import sys
from abc import ABC, abstractmethod
from asyncio import TaskGroup
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from random import Random
from typing import Literal, TypeAlias

from buddies_core.clock import SystemClock
from buddies_core.gossip.config import OURS, GossipConfig
from buddies_core.gossip.messages import NeighborsScope, SwarmScope
from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.model.ids import EndpointId, TopicId
from buddies_core.net.binding import NetworkMode, socket_address
from buddies_core.net.driver import ContentDelivered, Delivery, NeighborCameUp, NeighborWentDown
from buddies_core.net.network import NetConfig, Network
from tests.support.eventually import until

START_TIMEOUT_S = 10.0
END_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A gossip message that a Rust peer has received or sent."""

    way: Literal["in", "out"]
    topic: TopicId
    peer: EndpointId
    message: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """A Rust peer could not do as told, or it lost deliveries."""

    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A Rust peer has carried out a join."""


Entry: TypeAlias = Delivery | Complaint


class Peer(ABC):
    """What tests want of a peer, whatever it is made of."""

    def __init__(self, name: str, address: PeerAddress) -> None:
        self.name = name
        self.id = address.endpoint
        self.address = address
        self.journal: list[Entry] = []

    @abstractmethod
    async def join(self, topic: TopicId, *by_way_of: "Peer") -> None:
        """Be in the topic, and ask these peers to let us in, whose addresses are told."""

    @abstractmethod
    async def broadcast(self, topic: TopicId, content: bytes) -> None:
        """Say something to all who are in the topic."""

    @abstractmethod
    async def leave(self, topic: TopicId) -> None:
        """Be in the topic no longer."""

    def contents(self, topic: TopicId) -> list[bytes]:
        """Return what was heard in the topic, in that order."""
        heard = (it for it in self.journal if isinstance(it, ContentDelivered))
        return [it.content for it in heard if it.topic == topic]

    def neighbors(self, topic: TopicId) -> set[EndpointId]:
        """Return who came up, and has not gone down since."""
        up: set[EndpointId] = set()
        for entry in self.journal:
            match entry:
                case NeighborCameUp(of, peer) if of == topic:
                    up.add(peer)
                case NeighborWentDown(of, peer) if of == topic:
                    up.discard(peer)
        return up

    async def hears(self, *entries: Entry, timeout_s: float = 5.0) -> None:
        """Wait until all these are in the journal."""
        await self.until(lambda: all(it in self.journal for it in entries), entries, timeout_s)

    async def has_neighbors(self, topic: TopicId, *peers: "Peer", timeout_s: float = 5.0) -> None:
        """Wait until its neighbors in the topic are these, and no others."""
        ids = {peer.id for peer in peers}
        await self.until(lambda: self.neighbors(topic) == ids, ids, timeout_s)

    async def has_contents(self, topic: TopicId, count: int, timeout_s: float = 5.0) -> None:
        """Wait until it has heard so many contents in the topic, or more."""
        await self.until(lambda: len(self.contents(topic)) >= count, count, timeout_s)

    async def until(self, holds: Callable[[], bool], wanted: object, timeout_s: float) -> None:
        """Wait until this holds; what was wanted and the journal are in the failure's text."""
        try:
            await until(holds, timeout_s)
        except TimeoutError:
            account = "\n  ".join(map(_brief, self.account()))
            text = f"{self.name} waited {timeout_s} s for {wanted}; what it has:\n  {account}"
            raise AssertionError(text) from None

    def account(self) -> list[Entry | Frame]:
        """Return the newest of what it was told, for a failure's text."""
        return [*self.journal[-50:]]


class PythonPeer(Peer):
    """Our own stack, in this process."""

    def __init__(self, name: str, network: Network) -> None:
        super().__init__(name, network.address())
        self.network = network

    @classmethod
    @asynccontextmanager
    async def started(
        cls, name: str, seed: int, gossip: GossipConfig, tasks: TaskGroup
    ) -> AsyncIterator["PythonPeer"]:
        async with open_network(seed, gossip) as network:
            peer = cls(name, network)
            reading = tasks.create_task(peer._read())
            try:
                yield peer
            finally:
                reading.cancel()

    async def join(self, topic: TopicId, *by_way_of: Peer) -> None:
        for peer in by_way_of:
            await self.network.reach(peer.address, timeout_s=5)
        await self.network.join(topic, [peer.id for peer in by_way_of])

    async def broadcast(self, topic: TopicId, content: bytes) -> None:
        await self.network.broadcast(topic, content)

    async def leave(self, topic: TopicId) -> None:
        await self.network.quit(topic)

    def only_announces_to(self, peer: Peer, topic: TopicId) -> bool:
        """Whether the peer has pruned us, or we it; nothing tells of that."""
        return peer.id in self.network._driver._node._topics[topic].plumtree.lazy

    async def _read(self) -> None:
        while True:
            delivery = await self.network.next_delivery()
            if isinstance(delivery, ContentDelivered):
                delivery.done()
            self.journal.append(delivery)


@dataclass(frozen=True, slots=True, kw_only=True)
class RustConfig:
    """The options of a Rust peer; the times are the crates' own."""

    frames: bool = False
    """Whether each gossip message is kept in `frames`. Slow."""
    shuffle_interval_ms: int = 60_000
    idle_timeout_ms: int = 30_000


TELLING_FRAMES = RustConfig(frames=True)


class RustPeer(Peer):
    """The crates iroh and iroh-gossip, in a process that JSON lines drive."""

    def __init__(self, name: str, address: PeerAddress, process: Process) -> None:
        super().__init__(name, address)
        self.frames: list[Frame] = []
        """Apart from the journal, as what it exchanges and what it tells have no common order."""
        self._process = process
        self._joins = 0

    @classmethod
    @asynccontextmanager
    async def started(
        cls, name: str, binary: Path, config: RustConfig, tasks: TaskGroup
    ) -> AsyncIterator["RustPeer"]:
        async with _process(binary, json.dumps(asdict(config))) as process:
            async with asyncio.timeout(START_TIMEOUT_S):
                ready = await _next_line(process)
            match ready:
                case {"event": "ready", "id": str(id), "addrs": list(bound)}:
                    info = AddressInfo(direct=tuple(map(socket_address, bound)))
                    peer = cls(name, PeerAddress(_endpoint(id), info), process)
                case _:
                    raise AssertionError(f"{ready} instead of ready")
            # It ends with the process's output.
            tasks.create_task(peer._read())
            yield peer

    async def join(self, topic: TopicId, *by_way_of: Peer) -> None:
        bootstrap = [
            {"id": peer.id.hex(), "addrs": [str(it) for it in peer.address.info.direct]}
            for peer in by_way_of
        ]
        joins = self._joins + 1
        await self._tell(cmd="join", topic=topic.hex(), bootstrap=bootstrap)
        await self.until(lambda: self._joins == joins, "having joined", 5)

    async def broadcast(self, topic: TopicId, content: bytes) -> None:
        await self._tell(cmd="broadcast", topic=topic.hex(), content=content.hex())

    async def broadcast_neighbors(self, topic: TopicId, content: bytes) -> None:
        await self._tell(cmd="broadcast_neighbors", topic=topic.hex(), content=content.hex())

    async def leave(self, topic: TopicId) -> None:
        await self._tell(cmd="leave", topic=topic.hex())

    async def allow(self, *peers: Peer) -> None:
        """Have it connect with these peers only, whoever dials."""
        await self._tell(cmd="allow", peers=[peer.id.hex() for peer in peers])

    async def shut_down(self) -> None:
        """End it in good order; again, or when it was killed, is fine."""
        if self._process.returncode is None:
            await self._tell(cmd="shutdown")
            async with asyncio.timeout(END_TIMEOUT_S):
                await self._process.wait()

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        await self._process.wait()

    def said(self, topic: TopicId) -> list[tuple[str, str]]:
        """Return the messages of the topic that came "in" and went "out", in that order."""
        return [(it.way, it.message) for it in self.frames if it.topic == topic]

    async def says(self, *frames: Frame, timeout_s: float = 5.0) -> None:
        """Wait until all these messages came in or went out."""
        await self.until(lambda: all(it in self.frames for it in frames), frames, timeout_s)

    def account(self) -> list[Entry | Frame]:
        """Return the newest messages too."""
        return [*super().account(), *self.frames[-50:]]

    async def _tell(self, **command: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def _read(self) -> None:
        while event := await _next_line(self._process):
            match _told(event):
                case Joined():
                    self._joins += 1
                case Frame() as frame:
                    self.frames.append(frame)
                case entry:
                    self.journal.append(entry)


class DoomedPythonPeer:
    """Our own stack in a process of its own, which can be killed."""

    def __init__(self, id: EndpointId, process: Process) -> None:
        self.id = id
        self._process = process

    @classmethod
    @asynccontextmanager
    async def started(
        cls, seed: int, topic: TopicId, by_way_of: Peer
    ) -> AsyncIterator["DoomedPythonPeer"]:
        known = json.dumps([by_way_of.id.hex(), *map(str, by_way_of.address.info.direct)])
        command = (sys.executable, "-m", "tests.interop.doomed", str(seed), topic.hex(), known)
        async with _process(*command) as process:
            async with asyncio.timeout(START_TIMEOUT_S):
                ready = await _next_line(process)
            match ready:
                case {"event": "ready", "id": str(id)}:
                    yield cls(_endpoint(id), process)
                case _:
                    raise AssertionError(f"{ready} instead of ready")

    async def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def open_network(seed: int, gossip: GossipConfig = OURS) -> AsyncIterator[Network]:
    """Yield our stack on loopback; the seed decides its key too."""
    rng = Random(seed)
    config = NetConfig(secret_key=rng.randbytes(32), mode=NetworkMode.LOOPBACK, gossip=gossip)
    async with Network.open(config, SystemClock(), rng) as network:
        yield network


@asynccontextmanager
async def _process(*command: str | Path) -> AsyncIterator[Process]:
    """Yield a process that ends with the block, whatever happens in it."""
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _next_line(process: Process) -> Mapping[str, object]:
    """Return the next event; an empty one at the end of the output."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    event: Mapping[str, object] = json.loads(line) if line else {}
    return event


def _told(event: Mapping[str, object]) -> Entry | Frame | Joined:
    match event:
        case {"event": "joined"}:
            return Joined()
        case {"event": "neighbor_up", "topic": str(topic), "peer": str(peer)}:
            return NeighborCameUp(_topic(topic), _endpoint(peer))
        case {"event": "neighbor_down", "topic": str(topic), "peer": str(peer)}:
            return NeighborWentDown(_topic(topic), _endpoint(peer))
        case {
            "event": "received",
            "topic": str(topic),
            "content": str(content),
            "delivered_from": str(peer),
            "round": int(round) | (None as round),
        }:
            scope = NeighborsScope() if round is None else SwarmScope(round)
            return ContentDelivered(_topic(topic), bytes.fromhex(content), _endpoint(peer), scope)
        case {
            "event": "frame_in" | "frame_out" as way,
            "topic": str(topic),
            "peer": str(peer),
            "message": str(message),
        }:
            return Frame(
                "in" if way == "frame_in" else "out", _topic(topic), _endpoint(peer), message
            )
        case _:
            return Complaint(str(event))


def _brief(entry: Entry | Frame) -> str:
    """Return it with its ids as logs have them, and its content cut off."""
    values = (getattr(entry, field.name) for field in fields(entry))
    brief = (it.hex()[:10] if isinstance(it, bytes) and len(it) == 32 else it for it in values)
    return f"{type(entry).__name__}({', '.join(f'{it!r:.80}' for it in brief)})"


def _topic(text: str) -> TopicId:
    return TopicId(bytes.fromhex(text))


def _endpoint(text: str) -> EndpointId:
    return EndpointId(bytes.fromhex(text))
