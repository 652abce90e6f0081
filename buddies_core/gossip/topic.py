"""One topic of one node: HyParView tells PlumTree who the neighbors are.

A method for each thing that can happen, each returning what to do, in order. `node.Node` calls them
for all topics; a simulation can call them itself.
"""

import random
from collections.abc import Iterable

from buddies_core.gossip.commands import Command, ReportNeighborDown, ReportNeighborUp
from buddies_core.gossip.config import GossipConfig
from buddies_core.gossip.events import (
    DispatchTimer,
    EvictTimer,
    GraftTimer,
    NeighborRequestTimer,
    ShuffleTimer,
    Timer,
)
from buddies_core.gossip.hyparview import HyParView
from buddies_core.gossip.messages import Gossip, Graft, IHave, Message, Prune
from buddies_core.gossip.plumtree import PlumTree
from buddies_core.model.ids import EndpointId, TopicId


class Topic:
    """The state machine of one topic; `now_s` is any clock that never goes back."""

    def __init__(
        self,
        id: TopicId,
        me: EndpointId,
        data: bytes,
        config: GossipConfig,
        rng: random.Random,
    ) -> None:
        self._commands: list[Command] = []
        self.hyparview = HyParView(id, me, data, config, rng, self._commands)
        self.plumtree = PlumTree(id, me, config, self._commands)

    def join(self, contacts: Iterable[EndpointId], now_s: float) -> list[Command]:
        """Ask each contact to let us in; with none, wait to be asked."""
        for contact in contacts:
            self.hyparview.request_join(contact, now_s)
        return self._take()

    def quit(self, now_s: float) -> list[Command]:
        """Take leave of the neighbors; the topic is of no use afterwards."""
        self.plumtree.quit(now_s)
        self.hyparview.quit(now_s)
        return self._take()

    def broadcast(
        self, content: bytes, now_s: float, *, neighbors_only: bool = False
    ) -> list[Command]:
        """Send content to everybody, or only to the neighbors."""
        self.plumtree.broadcast(content, now_s, neighbors_only=neighbors_only)
        return self._take()

    def receive(self, sender: EndpointId, message: Message, now_s: float) -> list[Command]:
        """Apply a peer's message."""
        match message:
            case Gossip() | IHave() | Prune() | Graft():
                self.plumtree.receive(sender, message, now_s)
                return self._take()
            case _:
                self.hyparview.receive(sender, message, now_s)
                return self._take_after_hyparview(now_s)

    def expire(self, timer: Timer, now_s: float) -> list[Command]:
        """Apply a timer that ran out."""
        match timer:
            case GraftTimer() | DispatchTimer() | EvictTimer():
                self.plumtree.expire(timer, now_s)
                return self._take()
            case ShuffleTimer() | NeighborRequestTimer():
                self.hyparview.expire(timer, now_s)
                return self._take_after_hyparview(now_s)

    def peer_disconnected(self, peer: EndpointId, now_s: float) -> list[Command]:
        """Apply the end of the connection to a peer, neighbor or not."""
        self.hyparview.peer_disconnected(peer, now_s)
        # Also for one that is no neighbor: it may have announced something.
        self.plumtree.neighbor_down(peer)
        return self._take_after_hyparview(now_s)

    def change_data(self, data: bytes, now_s: float) -> list[Command]:
        """Have other data of ours told from now on."""
        self.hyparview.change_data(data, now_s)
        return self._take()

    def _take_after_hyparview(self, now_s: float) -> list[Command]:
        """Let PlumTree know of each neighbor that came or went, then hand all commands out."""
        for command in self._commands.copy():
            if isinstance(command, ReportNeighborUp):
                self.plumtree.neighbor_up(command.peer, now_s)
            elif isinstance(command, ReportNeighborDown):
                self.plumtree.neighbor_down(command.peer)
        return self._take()

    def _take(self) -> list[Command]:
        commands = self._commands.copy()
        self._commands.clear()
        return commands
