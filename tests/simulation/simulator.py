"""A swarm in one process, on a virtual clock: real state machines, a network that is a heap.

A seed decides everything: each node's choices, who crashes, and the latency of each pair of nodes,
which is drawn once and holds in both directions, so that messages keep their order. There is no
loss, no bandwidth and no time to process. As for connections:

- Sending opens one, if there is none. If both ends do at once, the newer one is sent on by both.
- Who disconnects closes it at once; the other end notices a latency and a microsecond later, and
  minds if it has not sent or heard on a newer one since. What was under way arrives.
- A crash or a split ends connections in the same way, or later, if nobody notices at once. What is
  sent until then is lost without a word; dialling a node that is gone, or beyond the split, fails
  after ten seconds.

`RustCluster` has the network of iroh-gossip's own simulator, for figures that compare with its.

Events are tuples and nodes are numbers, so that ten thousand of them can be simulated.
"""

import heapq
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from nacl.signing import SigningKey

from buddies_core.gossip.commands import (
    Command,
    DeliverContent,
    DisconnectPeer,
    ReportNeighborDown,
    ReportNeighborUp,
    ScheduleTimer,
    SendMessage,
)
from buddies_core.gossip.config import OURS, GossipConfig
from buddies_core.gossip.events import Timer
from buddies_core.gossip.messages import Gossip, Message, SwarmScope
from buddies_core.gossip.topic import Topic
from buddies_core.model.ids import EndpointId, TopicId

ROUND_S_MAX = 5.0
DIAL_S_MAX = 10.0

News: TypeAlias = DeliverContent | ReportNeighborUp | ReportNeighborDown

_TOPIC = TopicId(bytes(32))
_JUST_AFTER_S = 1e-6

# When; a number that orders what happens at once; at which node; which other node it is about; the
# number of a connection to it; a message from there, or a timer of one's own, or neither: the
# connection has ended.
_Event: TypeAlias = tuple[float, int, int, int, int, Message | None, Timer | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How messages that were sent at one instant came through, in iroh-gossip's figures."""

    wanted: int
    """Deliveries there should be: each message, to all who are alive but its author."""
    missed: int
    """Deliveries that did not happen."""
    payloads: int
    """Contents received, duplicates included, also those still under way from the round before."""
    last_delivery_hop: int
    """LDH: the largest `round` at a first receipt; 0 is straight from the author."""
    duration_s: float
    """Until everybody had everything, or the time was up."""

    @property
    def redundancy(self) -> float:
        """RMR as iroh-gossip's simulator has it: a perfect tree is just over 0."""
        return self.payloads / max(1, self.wanted - self.missed - 1) - 1

    @property
    def redundancy_in_paper(self) -> float:
        """RMR as the PlumTree paper defines it: a perfect tree is 0."""
        return self.payloads / max(1, self.wanted - self.missed) - 1

    @property
    def reached(self) -> float:
        """The share of deliveries that happened."""
        return 1 - self.missed / self.wanted


class Cluster:
    """Nodes 0, 1, 2 … of one topic, of which none has joined yet."""

    def __init__(
        self,
        seed: int,
        peers: int,
        *,
        config: GossipConfig = OURS,
        latency_s: tuple[float, float] = (0.010, 0.100),
        data: bytes = b"",
    ) -> None:
        self.now_s = 0.0
        self.rng = random.Random(seed)
        self.ids: list[EndpointId] = []
        self.topics: list[Topic] = []
        self.alive: list[int] = []
        self.log: list[str] | None = None
        """Set it to a list, and what happens is appended to it."""
        self.on_message: Callable[[Message], object] | None = None
        """Set it to see every message that is sent."""
        self.on_news: Callable[[int, News], object] | None = None
        """Set it to see what a node's application is told."""
        self._config = config
        self._data = data
        self._index: dict[EndpointId, int] = {}
        self._is_alive: list[bool] = []
        self._side: list[int] = []
        self._latency_s = latency_s
        self._latencies_s: dict[tuple[int, int], float] = {}
        # For each node the connections that it sends on, by the other end; negative: it has ended.
        self._connections: list[dict[int, int]] = []
        self._connected = 0
        # For each node the number of the newest connection there was when it stopped.
        self._connected_at_stop: list[int] = []
        self._heap: list[_Event] = []
        self._scheduled = 0
        self._delivered: dict[bytes, dict[int, float]] = {}
        self._undelivered = 0
        self._payloads = 0
        self._last_delivery_hop = 0
        for _ in range(peers):
            self.add()

    # What a test does

    def add(self) -> int:
        """Return the number of a new node."""
        index = len(self.topics)
        # A real public key, as only these survive the wire.
        id = EndpointId(bytes(SigningKey(index.to_bytes(32, "big")).verify_key))
        rng = random.Random(self.rng.getrandbits(64))
        self.topics.append(Topic(_TOPIC, id, self._data, self._config, rng))
        self.ids.append(id)
        self.alive.append(index)
        self._index[id] = index
        self._is_alive.append(True)
        self._side.append(0)
        self._connections.append({})
        self._connected_at_stop.append(0)
        return index

    def join_all(self, contacts: int = 1) -> None:
        """Let the first nodes join node 0, then the others any of these; return when at rest."""
        for index in range(1, contacts):
            self.join(index, 0)
        if contacts > 1:
            self.run_for(7 * self._latency_s[1])
        for index in range(contacts, len(self.topics)):
            self.join(index, self.rng.randrange(contacts))
        self.run_for(20 * self._latency_s[1])

    def join(self, index: int, contact: int) -> None:
        """Have a node ask another one to let it in."""
        self._carry_out(index, self.topics[index].join([self.ids[contact]], self.now_s))

    def quit(self, index: int) -> None:
        """Have a node take leave of its neighbors, and stop it."""
        self._carry_out(index, self.topics[index].quit(self.now_s))
        self.stop([index])

    def crash(self, count: int) -> list[int]:
        """Stop that many nodes, any of them, and return which."""
        crashed = self.rng.sample(self.alive, count)
        self.stop(crashed)
        return crashed

    def stop(self, indexes: Iterable[int], *, noticed_within_s: float = 0.0) -> None:
        """Stop these nodes at once and without a word; their peers notice within that time."""
        for index in indexes:
            self._is_alive[index] = False
            self._connected_at_stop[index] = self._connected
        self.alive = [index for index in self.alive if self._is_alive[index]]
        for index in self.alive:
            for other in self._connections[index]:
                if not self._is_alive[other]:
                    self._notice_end(index, other, self.rng.uniform(0, noticed_within_s))

    def split(self, island: Iterable[int], *, noticed_within_s: float = 0.0) -> None:
        """Cut some nodes off from the others, until `heal`; they notice within that time."""
        for index in island:
            self._side[index] = 1
        for index, others in enumerate(self._connections):
            for other in others:
                if self._side[index] != self._side[other]:
                    self._notice_end(index, other, self.rng.uniform(0, noticed_within_s))

    def heal(self) -> None:
        """Let everybody reach everybody again; nobody is told."""
        self._side = [0] * len(self.topics)

    def broadcast(self, index: int, content: bytes) -> None:
        """Have a node say something that has not been said before."""
        assert content not in self._delivered, "contents tell messages apart"
        self._delivered[content] = {index: self.now_s}
        self._carry_out(index, self.topics[index].broadcast(content, self.now_s))

    def hear(self, index: int, sender: int, message: Message) -> None:
        """Have a node hear from another whatever the test likes."""
        ours = self._connection(sender, index)
        self._push(self.latency(sender, index), index, sender, ours, message)

    def run_for(self, seconds: float) -> None:
        """Let so much time pass."""
        self._run(self.now_s + seconds)

    def round(self, *messages: tuple[int, bytes]) -> Round:
        """Have nodes say things at one instant, and return how these came through."""
        started_at_s = self.now_s
        self._payloads = self._last_delivery_hop = 0
        self._undelivered = wanted = len(messages) * (len(self.alive) - 1)
        for index, content in messages:
            self.broadcast(index, content)
        self._run(started_at_s + ROUND_S_MAX, until_all_is_delivered=True)
        return Round(
            wanted=wanted,
            missed=self._undelivered,
            payloads=self._payloads,
            last_delivery_hop=self._last_delivery_hop,
            duration_s=self.now_s - started_at_s,
        )

    # What a test looks at

    def delivered(self, content: bytes) -> list[int]:
        """Return who is alive and has the content, its author included."""
        return [index for index in sorted(self._delivered[content]) if self._is_alive[index]]

    def number(self, id: EndpointId) -> int:
        """Return the number of a node."""
        return self._index[id]

    def reaches(self, index: int, other: int) -> bool:
        """Return whether one node could connect to another."""
        return self._is_alive[other] and self._side[index] == self._side[other]

    def neighbors(self, index: int) -> list[int]:
        """Return a node's active view."""
        return [self._index[peer] for peer in self.topics[index].hyparview.active]

    def addresses(self, index: int) -> list[int]:
        """Return a node's passive view."""
        return [self._index[peer] for peer in self.topics[index].hyparview.passive]

    @property
    def transcript(self) -> str:
        """What was logged, a line for each event."""
        return "\n".join(self.log or ())

    # The network

    def _run(self, until_s: float, *, until_all_is_delivered: bool = False) -> None:
        heap, topics, ids = self._heap, self.topics, self.ids
        while heap and heap[0][0] <= until_s:
            self.now_s, _, index, other, connection, message, timer = heapq.heappop(heap)
            if not self._is_alive[index]:
                if message is not None:
                    self._on_lost(other, index, connection)
                continue
            if message is not None:
                self._on_heard(index, other, connection)
                self._payloads += isinstance(message, Gossip)
                commands = topics[index].receive(ids[other], message, self.now_s)
            elif timer is not None:
                commands = topics[index].expire(timer, self.now_s)
            elif self._minds_end(index, other, connection):
                commands = topics[index].peer_disconnected(ids[other], self.now_s)
            else:
                continue
            if self.log is not None:
                what = message or timer or "disconnected"
                self.log.append(f"{self.now_s:.6f} {other} → {index}: {what}")
            if commands:
                self._carry_out(index, commands)
                if until_all_is_delivered and self._undelivered <= 0:
                    return
        self.now_s = until_s

    def _carry_out(self, index: int, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, SendMessage):
                self._send(index, self._index[command.peer], command.message)
            elif isinstance(command, ScheduleTimer):
                self._push(command.delay_s, index, index, 0, timer=command.timer)
            elif isinstance(command, DisconnectPeer):
                self._disconnect(index, self._index[command.peer])
            elif isinstance(command, DeliverContent | ReportNeighborUp | ReportNeighborDown):
                if isinstance(command, DeliverContent):
                    self._deliver(index, command)
                if self.on_news is not None:
                    self.on_news(index, command)

    def _send(self, index: int, target: int, message: Message) -> None:
        if self.on_message is not None:
            self.on_message(message)
        connection = self._connection(index, target)
        if self._side[index] == self._side[target]:
            self._push(self.latency(index, target), target, index, connection, message)
        else:
            self._push(DIAL_S_MAX, index, target, connection)

    def _connection(self, index: int, target: int) -> int:
        """Return the connection to send on, opening one if need be."""
        connection = self._connections[index].get(target, 0)
        if connection <= 0:
            self._connected += 1
            connection = self._connections[index][target] = self._connected
        return connection

    def _disconnect(self, index: int, other: int) -> None:
        connection = self._connections[index].get(other, 0)
        if connection > 0:
            self._connections[index][other] = -connection
            self._push(self.latency(index, other) + _JUST_AFTER_S, other, index, connection)

    def _on_heard(self, index: int, other: int, connection: int) -> None:
        if connection > abs(self._connections[index].get(other, 0)):
            self._connections[index][other] = connection

    def _on_lost(self, index: int, stopped: int, connection: int) -> None:
        """Have a dial fail; what is sent on a connection from before is lost unnoticed."""
        if connection > self._connected_at_stop[stopped]:
            self._push(DIAL_S_MAX, index, stopped, connection)

    def _minds_end(self, index: int, other: int, connection: int) -> bool:
        """Return whether a connection that ended was the one in use; it no longer is."""
        if self._connections[index].get(other) != connection:
            return False
        self._connections[index][other] = -connection
        return True

    def _notice_end(self, index: int, other: int, delay_s: float = 0.0) -> None:
        """Have one end of a connection notice that the network no longer carries it."""
        connection = self._connections[index].get(other, 0)
        delay_s += self.latency(index, other) + _JUST_AFTER_S
        self._push(delay_s, index, other, connection)

    def _deliver(self, index: int, command: DeliverContent) -> None:
        receivers = self._delivered[command.content]
        assert index not in receivers, f"{index} got {command.content!r} twice"
        receivers[index] = self.now_s
        self._undelivered -= 1
        if isinstance(command.scope, SwarmScope) and command.scope.round > self._last_delivery_hop:
            self._last_delivery_hop = command.scope.round

    def latency(self, one: int, other: int) -> float:
        """Return what a message takes between two nodes, in seconds."""
        pair = (one, other) if one < other else (other, one)
        latency_s = self._latencies_s.get(pair)
        if latency_s is None:
            latency_s = self._latencies_s[pair] = self.rng.uniform(*self._latency_s)
        return latency_s

    def _push(
        self,
        delay_s: float,
        index: int,
        other: int,
        connection: int,
        message: Message | None = None,
        timer: Timer | None = None,
    ) -> None:
        self._scheduled += 1
        event = (self.now_s + delay_s, self._scheduled, index, other, connection, message, timer)
        heapq.heappush(self._heap, event)
