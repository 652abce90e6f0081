"""HyParView: which peers are my neighbors. Leitão, Pereira, Rodrigues, DSN 2007.

Theory of operation
-------------------
Each node keeps two views of the topic. The *active view* holds a few neighbors, with a connection
to each; edges go both ways, and contents travel along them. The *passive view* is an address book
several times as large, of peers that can take the place of a neighbor that is lost. With five
neighbors a node nearly always has one left when most peers die at once, and its connection tells
of a neighbor's death at once; that is what lets the views be so small.

    Join          a newcomer knows one peer, its contact, which always takes it as a neighbor
    ForwardJoin   the contact tells all its neighbors, and the word goes on a random walk of six
                  steps; where it ends, the newcomer is asked to be a neighbor; three steps before,
                  it enters a passive view: so newcomers spread over the topic
    Neighbor      asks for a place in the active view. High priority (the asking node has no
                  neighbor, or answers a newcomer) is always granted, at the cost of a random
                  neighbor; low only if there is room
    Disconnect    ends it; before it comes a ShuffleReply, so that nobody is left without names
    Shuffle       once a minute a sample of both views goes on a random walk, and where it ends a
                  sample is returned: passive views stay fresh and mixed

An edge is made by two Neighbors, a request and its answer, and no message says which it is. So a
node remembers whom it has sent one (`_pending`): a Neighbor from there is the answer and gets none.

    newcomer ── Join ──▶ contact      contact: neighbor up, pending
    newcomer ◀─ Neighbor ─ contact    newcomer: neighbor up, pending (it answers)
    newcomer ── Neighbor ▶ contact    contact: no longer pending

So whoever answered is left with a pending entry and no answer to come. Rust never clears it, and
seeks no replacement for as many lost neighbors as it has such entries; `config` has our way.

Departures from the paper, which are iroh-gossip's: where a ForwardJoin ends, the newcomer becomes a
neighbor only when its answer arrives, so that nobody unreachable gets into an active view. A peer
that leaves the active view alive (`_alive_disconnect`) stays in the passive one when its connection
closes after that; any other closing is taken for its death. A message from a peer that is not a
neighbor, after being handled, ends the connection.
"""

import random

from buddies_core.gossip.commands import (
    Command,
    DisconnectPeer,
    ReportNeighborDown,
    ReportNeighborUp,
    ScheduleTimer,
    SendMessage,
)
from buddies_core.gossip.config import GossipConfig
from buddies_core.gossip.events import HyParViewTimer, NeighborRequestTimer, ShuffleTimer
from buddies_core.gossip.messages import (
    Disconnect,
    ForwardJoin,
    Join,
    Neighbor,
    PeerInfo,
    Priority,
    Shuffle,
    ShuffleReply,
    SwarmMessage,
)
from buddies_core.gossip.peer_data import PeerData
from buddies_core.gossip.view import View
from buddies_core.model.ids import EndpointId, TopicId

_ALIVE_DISCONNECT_MAX = 1000


class HyParView:
    """One node's views of one topic. What to do is appended to `commands`, in order."""

    def __init__(
        self,
        topic: TopicId,
        me: EndpointId,
        data: bytes,
        config: GossipConfig,
        rng: random.Random,
        commands: list[Command],
    ) -> None:
        self._topic = topic
        self._me = me
        self._data = data
        self._config = config
        self._rng = rng
        self._commands = commands
        self._active = View()
        self._passive = View()
        # When each was sent the Neighbor that it has not answered; oldest first.
        self._pending: dict[EndpointId, float] = {}
        # The same for peers that were evicted since: their answers cross our Disconnect.
        self._revoked: dict[EndpointId, float] = {}
        self._peer_data = PeerData(config, commands)
        self._alive_disconnect: set[EndpointId] = set()
        self._shuffles = False

    @property
    def active(self) -> View:
        """The neighbors."""
        return self._active

    @property
    def passive(self) -> View:
        """Who could become one."""
        return self._passive

    def needs(self, peer: EndpointId) -> bool:
        """Whether a connection to the peer is in use, or about to be."""
        return peer in self._active or peer in self._pending

    def request_join(self, contact: EndpointId, now_s: float) -> None:
        """Ask a peer for a place in its active view. If it does not answer, nothing follows."""
        self._begin(now_s)
        self._send(contact, Join(self._data))

    def change_data(self, data: bytes, now_s: float) -> None:
        """Have other data of ours told from now on; nobody hears of it just because of this."""
        self._begin(now_s)
        self._data = data

    def receive(self, sender: EndpointId, message: SwarmMessage, now_s: float) -> None:
        """Apply a peer's message."""
        self._begin(now_s)
        match message:
            case Shuffle():
                self._on_shuffle(sender, message)
            case ShuffleReply(nodes):
                self._on_shuffle_reply(sender, nodes, now_s)
            case ForwardJoin(peer, ttl):
                self._on_forward_join(sender, peer, ttl, now_s)
            case Neighbor(priority, data):
                self._on_neighbor(sender, priority, data, now_s)
            case Join(data):
                self._on_join(sender, data, now_s)
            case Disconnect(alive):
                self._on_disconnect(sender, alive, now_s)
                return
        is_asked = self._config.disconnect_only_unused_peers and sender in self._pending
        if sender not in self._active and not is_asked:
            self._commands.append(DisconnectPeer(sender))

    def expire(self, timer: HyParViewTimer, now_s: float) -> None:
        """Apply a timer that ran out."""
        self._begin(now_s)
        match timer:
            case ShuffleTimer():
                self._on_shuffle_timer()
            case NeighborRequestTimer(peer):
                self._on_neighbor_request_timer(peer, now_s)

    def peer_disconnected(self, peer: EndpointId, now_s: float) -> None:
        """Apply the end of the connection to a peer: its death, unless it had said otherwise."""
        self._begin(now_s)
        was_pending = self._pending.pop(peer, None) is not None
        self._revoked.pop(peer, None)
        if peer in self._active:
            self._remove_active(peer)
            self._commands.append(DisconnectPeer(peer))
            if peer in self._alive_disconnect:
                self._add_passive(peer, None, told_by=peer)
            self._refill(now_s, skip=peer)
            return
        if peer in self._alive_disconnect:
            self._alive_disconnect.remove(peer)
        else:
            self._passive.discard(peer)
            self._peer_data.forget(peer)
        if was_pending and self._config.refill_after_failed_request:
            self._refill(now_s, skip=peer)

    def quit(self, now_s: float) -> None:
        """Leave the neighbors; they shall not keep us as an address."""
        self._begin(now_s)
        for peer in tuple(self._active):
            self._active.discard(peer)
            self._send_disconnect(peer, alive=False)

    def _begin(self, now_s: float) -> None:
        """What precedes the handling of every event."""
        if not self._shuffles:
            self._shuffles = True
            self._schedule(self._config.shuffle_interval_s, ShuffleTimer())
        if self._config.forget_stale_requests:
            self._forget_unanswered(self._pending, now_s)
            self._forget_unanswered(self._revoked, now_s)

    def _forget_unanswered(self, requests: dict[EndpointId, float], now_s: float) -> None:
        while requests:
            peer, asked_at_s = next(iter(requests.items()))
            if asked_at_s + self._config.neighbor_answer_wait_s > now_s:
                return
            del requests[peer]

    # Messages

    def _on_join(self, newcomer: EndpointId, data: bytes | None, now_s: float) -> None:
        if not self._add_active(newcomer, data, Priority.HIGH, now_s, answer=True):
            return
        forward = ForwardJoin(PeerInfo(newcomer, data), self._config.active_random_walk_length)
        for neighbor in self._active:
            if neighbor != newcomer:
                self._send(neighbor, forward)

    def _on_forward_join(
        self, sender: EndpointId, newcomer: PeerInfo, ttl: int, now_s: float
    ) -> None:
        peer = newcomer.id
        if peer in self._active or ttl == 0 or len(self._active) <= 1:
            self._remember_data(peer, newcomer.data, told_by=sender)
            if len(self._pending) < self._config.forwarded_requests_max:
                self._send_neighbor(peer, Priority.HIGH, now_s)
            return
        if ttl == self._config.passive_random_walk_length:
            self._add_passive(peer, newcomer.data, told_by=sender)
        if peer not in self._pending:
            self._send_on_walk(ForwardJoin(newcomer, ttl - 1), sender, sender)

    def _on_neighbor(
        self, sender: EndpointId, priority: Priority, data: bytes | None, now_s: float
    ) -> None:
        is_answer = self._pending.pop(sender, None) is not None
        is_revoked = self._revoked.pop(sender, None) is not None
        if is_revoked or not self._add_active(sender, data, priority, now_s, answer=not is_answer):
            self._send_disconnect(sender, alive=True)

    def _on_shuffle(self, sender: EndpointId, shuffle: Shuffle) -> None:
        if shuffle.ttl > 0 and len(self._active) > 1:
            onward = Shuffle(shuffle.origin, shuffle.nodes, shuffle.ttl - 1)
            self._send_on_walk(onward, sender, shuffle.origin)
            return
        for node in shuffle.nodes:
            self._add_passive(node.id, node.data, told_by=sender)
        self._send(shuffle.origin, self._sample(len(shuffle.nodes)))

    def _on_shuffle_reply(
        self, sender: EndpointId, nodes: tuple[PeerInfo, ...], now_s: float
    ) -> None:
        for node in nodes:
            self._add_passive(node.id, node.data, told_by=sender)
        self._refill(now_s)

    def _on_disconnect(self, sender: EndpointId, alive: bool, now_s: float) -> None:
        self._pending.pop(sender, None)
        self._revoked.pop(sender, None)
        if sender in self._active:
            self._remove_active(sender)
            self._commands.append(DisconnectPeer(sender))
            if alive:
                self._add_passive(sender, None, told_by=sender)
                self._note_alive(sender)
            self._refill(now_s, skip=sender)
        elif alive and sender in self._passive:
            self._note_alive(sender)

    # Timers

    def _on_shuffle_timer(self) -> None:
        self._schedule(self._config.shuffle_interval_s, ShuffleTimer())
        if not self._active:
            return
        target = self._active.random(self._rng)
        nodes = [
            *self._pick(self._active, self._config.shuffle_active_view_count, target),
            *self._pick(self._passive, self._config.shuffle_passive_view_count, target),
            PeerInfo(self._me, self._data),
        ]
        self._send(target, Shuffle(self._me, tuple(nodes), self._config.shuffle_random_walk_length))

    def _on_neighbor_request_timer(self, peer: EndpointId, now_s: float) -> None:
        if self._pending.pop(peer, None) is not None:
            self._passive.discard(peer)
            self._refill(now_s)

    # The views

    def _add_active(
        self,
        peer: EndpointId,
        data: bytes | None,
        priority: Priority,
        now_s: float,
        *,
        answer: bool,
    ) -> bool:
        """Return whether the peer is a neighbor now; if so and asked for, tell it."""
        if peer == self._me:
            return False
        self._remember_data(peer, data, told_by=peer)
        if peer not in self._active:
            if len(self._active) >= self._config.active_view_capacity:
                if priority is Priority.LOW:
                    return False
                self._evict_one()
            self._passive.discard(peer)
            self._active.add(peer)
            self._commands.append(ReportNeighborUp(self._topic, peer))
        if answer:
            self._send_neighbor(peer, priority, now_s)
        return True

    def _evict_one(self) -> None:
        """Make room: a random neighbor goes to the passive view, and knows that we are alive."""
        peer = self._active.random(self._rng)
        self._remove_active(peer)
        if self._config.forget_stale_requests and peer in self._pending:
            self._revoked[peer] = self._pending.pop(peer)
        self._send_disconnect(peer, alive=True)
        self._add_passive(peer, None, told_by=peer)
        self._note_alive(peer)

    def _note_alive(self, peer: EndpointId) -> None:
        """Remember that the end of this peer's connection will not be its death."""
        self._alive_disconnect.add(peer)
        if len(self._alive_disconnect) > _ALIVE_DISCONNECT_MAX:
            # It makes no difference for who is in neither view.
            self._alive_disconnect.intersection_update((*self._active, *self._passive))

    def _remove_active(self, peer: EndpointId) -> None:
        self._active.discard(peer)
        self._commands.append(ReportNeighborDown(self._topic, peer))

    def _add_passive(self, peer: EndpointId, data: bytes | None, told_by: EndpointId) -> None:
        self._remember_data(peer, data, told_by)
        if peer in self._active or peer in self._passive or peer == self._me:
            return
        if len(self._passive) >= self._config.passive_view_capacity:
            self._passive.discard(self._passive.random(self._rng))
        self._passive.add(peer)

    def _refill(self, now_s: float, skip: EndpointId | None = None) -> None:
        """Ask one passive peer to be a neighbor, if there is room for it."""
        places = len(self._active) + len(self._pending)
        if self._config.forget_stale_requests:
            places -= sum(peer in self._active for peer in self._pending)
        if places >= self._config.active_view_capacity:
            return
        candidates = [it for it in self._passive if it != skip and it not in self._pending]
        if not candidates:
            return
        peer = candidates[int(self._rng.random() * len(candidates))]
        self._send_neighbor(peer, Priority.LOW if self._active else Priority.HIGH, now_s)
        self._schedule(self._config.neighbor_request_timeout_s, NeighborRequestTimer(peer))

    def _remember_data(self, peer: EndpointId, data: bytes | None, told_by: EndpointId) -> None:
        if peer != self._me:
            self._peer_data.remember(peer, data, told_by)

    def _pick(self, view: View, count: int, without: EndpointId | None = None) -> list[PeerInfo]:
        """Return up to `count` random members."""
        peers = [peer for peer in view if peer != without]
        chosen = self._rng.sample(peers, min(count, len(peers)))
        return [self._peer_data.info(peer) for peer in chosen]

    def _sample(self, count: int) -> ShuffleReply:
        """Return what somebody else could use: passive peers, and neighbors if these are few."""
        nodes = self._pick(self._passive, count)
        nodes += self._pick(self._active, count - len(nodes))
        return ShuffleReply(tuple(nodes))

    # What goes out

    def _send_neighbor(self, peer: EndpointId, priority: Priority, now_s: float) -> None:
        # A walk may end at the very node it announces; Rust then fails to dial itself.
        if peer != self._me and peer not in self._pending:
            self._pending[peer] = now_s
            self._revoked.pop(peer, None)
            self._send(peer, Neighbor(priority, self._data))

    def _send_disconnect(self, peer: EndpointId, *, alive: bool) -> None:
        """Part with a peer, leaving it with somebody else to turn to."""
        config = self._config
        names = config.shuffle_active_view_count + config.shuffle_passive_view_count
        self._send(peer, self._sample(names))
        self._send(peer, Disconnect(alive))
        self._commands.append(DisconnectPeer(peer))

    def _send_on_walk(
        self, message: ForwardJoin | Shuffle, sender: EndpointId, origin: EndpointId
    ) -> None:
        """Pass on to a random neighbor, but not back; with nobody else the walk ends unnoticed."""
        others = [peer for peer in self._active if peer not in (sender, origin)]
        if others:
            self._send(others[int(self._rng.random() * len(others))], message)

    def _send(self, peer: EndpointId, message: SwarmMessage) -> None:
        if peer != self._me:
            self._commands.append(SendMessage(self._topic, peer, message))

    def _schedule(self, delay_s: float, timer: HyParViewTimer) -> None:
        self._commands.append(ScheduleTimer(self._topic, delay_s, timer))
