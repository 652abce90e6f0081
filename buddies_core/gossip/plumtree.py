"""PlumTree: which neighbor gets a message from me, and how. Leitão, Pereira, Rodrigues, SRDS 2007.

Theory of operation
-------------------
Each neighbor is *eager* or *lazy*. A message is pushed to the eager ones whole, and announced to
the lazy ones by its id (IHave). All start eager, so the first message floods every edge; but who
gets one twice answers Prune, and both ends of that edge turn lazy. What stays eager is a spanning
tree, and from then on each node gets a message about once.

The lazy edges mend the tree. A node that hears of a message it lacks waits a while, as it may be
on its way (80 ms), then grafts: it takes the first announcer as eager again, and asks it for the
message. If that fails too it turns to the next announcer, every 80 ms, until none is left.

They also shorten it. A message counts its relays (`round`); if an announcement came with a round
that is smaller by seven or more, that edge replaces the one that brought the message.

Ids are kept to tell what is new; contents, for a shorter time, to answer Grafts. What neither a
neighbor nor a cache has is lost: there is no history here.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Set
from itertools import islice

from blake3 import blake3

from buddies_core.gossip.commands import Command, DeliverContent, ScheduleTimer, SendMessage
from buddies_core.gossip.config import GossipConfig
from buddies_core.gossip.events import DispatchTimer, EvictTimer, GraftTimer, PlumTreeTimer
from buddies_core.gossip.messages import (
    CONTENT_BYTES_MAX,
    Gossip,
    Graft,
    IHave,
    NeighborsScope,
    PlumTreeMessage,
    Prune,
    SwarmScope,
)
from buddies_core.model.ids import EndpointId, MessageId, TopicId

_NEIGHBORS_SCOPE = NeighborsScope()
_PRUNE = Prune()
_ENTRY_BYTES = 400
"""About what a message takes in the cache besides its content; measured."""


class PlumTree:
    """One node's part of one topic's tree. What to do is appended to `commands`, in order."""

    def __init__(
        self, topic: TopicId, me: EndpointId, config: GossipConfig, commands: list[Command]
    ) -> None:
        self._topic = topic
        self._me = me
        self._config = config
        self._commands = commands
        self._eager: dict[EndpointId, None] = {}
        self._lazy: dict[EndpointId, None] = {}
        # Announcements that wait for the dispatch timer.
        self._announcing: dict[EndpointId, list[tuple[MessageId, int]]] = {}
        # Who announced what we lack, first come first.
        self._announcers: dict[MessageId, deque[tuple[EndpointId, int]]] = {}
        # By whose announcement each missing message was first heard of, and how many that makes.
        self._named_by: dict[MessageId, EndpointId] = {}
        self._named: Counter[EndpointId] = Counter()
        self._grafting: set[MessageId] = set()
        # When each came, oldest first: the order in which they expire.
        self._received: OrderedDict[MessageId, float] = OrderedDict()
        self._cache: OrderedDict[MessageId, tuple[float, Gossip, int]] = OrderedDict()
        self._cached_bytes = 0
        self._dispatches = False
        self._evicts = False

    @property
    def eager(self) -> tuple[EndpointId, ...]:
        """Who gets our messages whole."""
        return tuple(self._eager)

    @property
    def lazy(self) -> tuple[EndpointId, ...]:
        """Who gets announcements."""
        return tuple(self._lazy)

    def broadcast(self, content: bytes, now_s: float, *, neighbors_only: bool) -> None:
        """Say something. With no neighbor it reaches nobody, unless one comes up soon."""
        assert len(content) <= CONTENT_BYTES_MAX, "larger than any peer takes"
        id = message_id(content)
        if neighbors_only:
            self._push(Gossip(id, content, _NEIGHBORS_SCOPE), {self._me})
            return
        gossip = Gossip(id, content, SwarmScope(0))
        self._keep(gossip, 0, now_s)
        self._announce(id, 0, {self._me})
        self._push(gossip, {self._me})

    def receive(self, sender: EndpointId, message: PlumTreeMessage, now_s: float) -> None:
        """Apply a peer's message; the peer need not be a neighbor."""
        match message:
            case Gossip():
                self._on_gossip(sender, message, now_s)
            case IHave(ids):
                self._on_ihave(sender, ids)
            case Prune():
                self._make_lazy(sender)
            case Graft(wanted, _):
                self._on_graft(sender, wanted, now_s)

    def expire(self, timer: PlumTreeTimer, now_s: float) -> None:
        """Apply a timer that ran out."""
        match timer:
            case DispatchTimer():
                self._on_dispatch_timer()
            case GraftTimer(id):
                self._on_graft_timer(id)
            case EvictTimer():
                self._on_evict_timer(now_s)

    def neighbor_up(self, peer: EndpointId, now_s: float) -> None:
        """Take in a new neighbor, and tell it of the newest messages."""
        self._lazy.pop(peer, None)
        self._eager[peer] = None
        newest = islice(reversed(self._cache), self._config.announced_to_new_neighbor_max)
        rounds = [(id, self._aged_round(id, now_s)) for id in newest]
        rounds.reverse()
        young = [it for it in rounds if it[1] < self._config.announced_rounds_max]
        self._send_ihaves(peer, young)

    def neighbor_down(self, peer: EndpointId) -> None:
        """Forget a neighbor, and whatever it had announced."""
        self._eager.pop(peer, None)
        self._lazy.pop(peer, None)
        for id, announcers in tuple(self._announcers.items()):
            kept = deque(one for one in announcers if one[0] != peer)
            if kept:
                self._announcers[id] = kept
            else:
                self._stop_missing(id)

    def quit(self, now_s: float) -> None:
        """Push what was said last to those who were only told of it; nobody can ask us later."""
        newest = islice(reversed(self._cache.values()), self._config.pushed_on_quit_max)
        oldest_s = now_s - self._config.pushed_on_quit_age_s
        for _, gossip, _ in reversed([it for it in newest if it[0] >= oldest_s]):
            for peer in self._lazy:
                self._send(peer, gossip)

    # Messages

    def _on_gossip(self, sender: EndpointId, gossip: Gossip, now_s: float) -> None:
        if message_id(gossip.content) != gossip.id:
            return
        if gossip.id in self._received:
            self._make_lazy(sender)
            self._send(sender, _PRUNE)
            return
        if isinstance(gossip.scope, SwarmScope):
            self._relay(sender, gossip, gossip.scope.round, now_s)
        self._commands.append(DeliverContent(self._topic, gossip.content, sender, gossip.scope))

    def _relay(self, sender: EndpointId, gossip: Gossip, round: int, now_s: float) -> None:
        next_round = (round + 1) & 0xFFFF  # Rust's u16 wraps.
        onward = Gossip(gossip.id, gossip.content, SwarmScope(next_round))
        self._keep(onward, next_round, now_s)
        announcers = self._stop_missing(gossip.id)
        have_it = {sender}
        if announcers and self._config.spares_announcers:
            have_it.update(peer for peer, _ in announcers)
        self._push(onward, have_it)
        self._announce(gossip.id, next_round, have_it)
        if announcers:
            self._optimize(sender, next_round, announcers)

    def _optimize(
        self, sender: EndpointId, round: int, announcers: deque[tuple[EndpointId, int]]
    ) -> None:
        """Replace the edge that a message came by if an announced one is much shorter."""
        peer, announced_round = min(announcers, key=lambda one: one[1])
        shorter_by = round - announced_round
        if shorter_by < self._config.optimization_threshold_rounds or not self._takes(peer):
            return
        if peer not in self._eager:
            self._make_eager(peer)
            self._send(peer, Graft(None, announced_round))
        self._make_lazy(sender)
        self._send(sender, _PRUNE)

    def _on_ihave(self, sender: EndpointId, ids: tuple[tuple[MessageId, int], ...]) -> None:
        for id, round in ids:
            if id in self._received:
                continue
            announcers = self._announcers.get(id)
            if announcers is None:
                if not self._may_name_another(sender):
                    continue
                announcers = self._miss(id, sender)
            said_before = self._config.distinct_announcers and any(
                peer == sender for peer, _ in announcers
            )
            if not said_before and len(announcers) < self._config.announcers_per_id_max:
                announcers.append((sender, round))
            if id not in self._grafting:
                self._grafting.add(id)
                self._schedule(self._config.graft_timeout_1_s, GraftTimer(id))

    def _on_graft(self, sender: EndpointId, wanted: MessageId | None, now_s: float) -> None:
        self._make_eager(sender)
        if wanted is not None and wanted in self._cache:
            _, gossip, _ = self._cache[wanted]
            aged = SwarmScope(self._aged_round(wanted, now_s))
            self._send(sender, Gossip(wanted, gossip.content, aged))

    # Timers

    def _on_graft_timer(self, id: MessageId) -> None:
        """Ask the next announcer for a message that is still missing. PlumTree, p. 9."""
        self._grafting.discard(id)
        announcers = self._announcers.get(id)
        if id in self._received or announcers is None:
            self._stop_missing(id)
            return
        peer, round = announcers.popleft()
        if not announcers:
            self._stop_missing(id)
        self._make_eager(peer)
        self._send(peer, Graft(id, round))
        # This announcer may be gone too, so a shorter timer turns to the one after it.
        self._schedule(self._config.graft_timeout_2_s, GraftTimer(id))

    def _on_dispatch_timer(self) -> None:
        self._dispatches = False
        announcing, self._announcing = self._announcing, {}
        for peer in sorted(announcing):
            if self._takes(peer):
                self._send_ihaves(peer, announcing[peer])

    def _on_evict_timer(self, now_s: float) -> None:
        self._evicts = False
        cached_until_s = now_s - self._config.message_cache_retention_s
        while self._cache and next(iter(self._cache.values()))[0] <= cached_until_s:
            self._forget_oldest_content()
        known_until_s = now_s - self._config.message_id_retention_s
        while self._received and next(iter(self._received.values())) <= known_until_s:
            self._received.popitem(last=False)
        self._schedule_eviction()

    # What is missing

    def _may_name_another(self, peer: EndpointId) -> bool:
        """Whether one more missing message may be waited for on this peer's word."""
        return (
            len(self._announcers) < self._config.missing_ids_max
            and self._named[peer] < self._config.missing_ids_per_peer_max
        )

    def _miss(self, id: MessageId, named_by: EndpointId) -> deque[tuple[EndpointId, int]]:
        self._named_by[id] = named_by
        self._named[named_by] += 1
        announcers = self._announcers[id] = deque()
        return announcers

    def _stop_missing(self, id: MessageId) -> deque[tuple[EndpointId, int]] | None:
        """Wait no longer for a message; return who else had announced it."""
        announcers = self._announcers.pop(id, None)
        if announcers is not None:
            peer = self._named_by.pop(id)
            self._named[peer] -= 1
            if not self._named[peer]:
                del self._named[peer]
        return announcers

    # The tree

    def _takes(self, peer: EndpointId) -> bool:
        """Whether the peer may be part of our tree."""
        return peer in self._eager or peer in self._lazy or not self._config.only_neighbors_in_tree

    def _make_eager(self, peer: EndpointId) -> None:
        if self._takes(peer):
            self._lazy.pop(peer, None)
            self._eager[peer] = None

    def _make_lazy(self, peer: EndpointId) -> None:
        if self._takes(peer):
            self._eager.pop(peer, None)
            self._lazy[peer] = None

    def _keep(self, gossip: Gossip, round: int, now_s: float) -> None:
        """Remember a message by id and, for a shorter time, whole. Again means anew."""
        self._received[gossip.id] = now_s
        self._received.move_to_end(gossip.id)
        if len(self._received) > self._config.message_ids_max:
            self._received.popitem(last=False)
        if gossip.id not in self._cache:
            self._cached_bytes += _ENTRY_BYTES + len(gossip.content)
        self._cache[gossip.id] = (now_s, gossip, round)
        self._cache.move_to_end(gossip.id)
        while self._cached_bytes > self._config.cached_bytes_max:
            self._forget_oldest_content()
        self._schedule_eviction()

    def _forget_oldest_content(self) -> None:
        _, (_, gossip, _) = self._cache.popitem(last=False)
        self._cached_bytes -= _ENTRY_BYTES + len(gossip.content)

    def _aged_round(self, id: MessageId, now_s: float) -> int:
        """Return the round of a cached message; where new neighbors are told, with its seconds."""
        came_at_s, _, round = self._cache[id]
        if not self._config.announced_rounds_max:
            return round
        return min(round + int(now_s - came_at_s), 0xFFFF)

    # What goes out

    def _push(self, gossip: Gossip, have_it: Set[EndpointId]) -> None:
        for peer in self._eager:
            if peer not in have_it:
                self._send(peer, gossip)

    def _announce(self, id: MessageId, round: int, have_it: Set[EndpointId]) -> None:
        for peer in self._lazy:
            if peer not in have_it:
                self._announcing.setdefault(peer, []).append((id, round))
        # Also with nobody to tell, as in Rust: the next announcement then leaves the sooner.
        if not self._dispatches:
            self._dispatches = True
            self._schedule(self._config.dispatch_timeout_s, DispatchTimer())

    def _send_ihaves(self, peer: EndpointId, ids: list[tuple[MessageId, int]]) -> None:
        size = self._config.announcements_per_frame
        for start in range(0, len(ids), size):
            self._send(peer, IHave(tuple(ids[start : start + size])))

    def _schedule_eviction(self) -> None:
        """Wake up once a second, but only while there is something to forget."""
        if not self._evicts and self._received:
            self._evicts = True
            self._schedule(self._config.cache_evict_interval_s, EvictTimer())

    def _send(self, peer: EndpointId, message: PlumTreeMessage) -> None:
        self._commands.append(SendMessage(self._topic, peer, message))

    def _schedule(self, delay_s: float, timer: PlumTreeTimer) -> None:
        self._commands.append(ScheduleTimer(self._topic, delay_s, timer))


def message_id(content: bytes) -> MessageId:
    """Return the id of a broadcast: BLAKE3 of its content."""
    return MessageId(blake3(content).digest())
