"""What keeps a room together, on the virtual clock of a swarm: `rooms/room.py` without a network.

The choice of whom to dial is the real `Reunion`. The rest follows `Room`: a presence every 30
seconds, forgotten after 90; every 5 seconds a look at the known members that are neither heard nor
neighbors, or at all of them if there is no neighbor; a dial that asks for the members and then
joins, or fails after its deadline; a question to each new neighbor that is not known as present.
"""

import heapq
from collections.abc import Callable
from functools import partial
from random import Random

from buddies_core.gossip.commands import DeliverContent, ReportNeighborDown, ReportNeighborUp
from buddies_core.rooms.presence import PRESENCE_LASTS_S
from buddies_core.rooms.reunion import Reunion
from buddies_core.rooms.room import DIAL_TIMEOUT_S, PRESENCE_EVERY_S, REUNITE_EVERY_S
from tests.simulation.simulator import Cluster, News

_PRESENCE = b"presence of "


class Members:
    """The rooms of all nodes of a swarm; each node knows all others, as from an earlier day."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._rng = Random(cluster.rng.getrandbits(64))
        self._rooms: dict[int, _Room] = {}
        self._actions: list[tuple[float, int, Callable[[], None]]] = []
        self._planned = 0
        self.dials = 0
        cluster.on_news = self._on_news
        for index in cluster.alive:
            self.enter(index)

    def enter(self, index: int) -> None:
        """Have a node live in the room from now on."""
        self._rooms[index] = _Room(Random(self._rng.getrandbits(64)))
        self._after(0.0, index, self._say_presence)
        self._after(0.0, index, self._look)

    def run_for(self, seconds: float) -> None:
        """Let so much time pass."""
        until_s = self._cluster.now_s + seconds
        while self._actions and self._actions[0][0] <= until_s:
            at_s, _, action = heapq.heappop(self._actions)
            self._cluster.run_for(at_s - self._cluster.now_s)
            action()
        self._cluster.run_for(until_s - self._cluster.now_s)

    def present(self, index: int) -> list[int]:
        """Return whom a node believes to be in the room."""
        return sorted(self._rooms[index].heard_s)

    def _after(self, delay_s: float, index: int, do: Callable[[int], object]) -> None:
        def action() -> None:
            if index in self._rooms and self._cluster.reaches(index, index):
                do(index)

        self._planned += 1
        heapq.heappush(self._actions, (self._cluster.now_s + delay_s, self._planned, action))

    def _say_presence(self, index: int) -> None:
        room = self._rooms[index]
        room.said += 1
        self._cluster.broadcast(index, _PRESENCE + b"%d %d" % (index, room.said))
        self._after(PRESENCE_EVERY_S * room.rng.uniform(0.9, 1.0), index, self._say_presence)

    def _look(self, index: int) -> None:
        cluster, room = self._cluster, self._rooms[index]
        room.expire(cluster.now_s)
        neighbors = cluster.neighbors(index)
        dialling = {it for it, s in room.dialling_until_s.items() if s > cluster.now_s}
        skip = {index, *neighbors, *dialling, *(room.heard_s if neighbors else ())}
        absent = {cluster.ids[other]: 0 for other in self._rooms if other not in skip}
        chosen = room.reunion.who_to_dial(absent, alone=not neighbors, now_s=cluster.now_s)
        for id in chosen:
            self._dial(index, cluster.number(id))
        pause_s = REUNITE_EVERY_S * room.rng.uniform(0.8, 1.2)
        self._after(pause_s, index, self._look)

    def _dial(self, index: int, other: int) -> None:
        """Dial a node, and join by way of it if that succeeds."""
        self.dials += 1
        room = self._rooms[index]
        room.dialling_until_s[other] = self._cluster.now_s + DIAL_TIMEOUT_S
        if self._cluster.reaches(index, other):
            # A handshake, and a question with its answer.
            took_s = 4 * self._cluster.latency(index, other)
            room.dialling_until_s[other] = self._cluster.now_s + took_s
            self._after(took_s, index, partial(self._arrive, other=other))

    def _arrive(self, index: int, other: int) -> None:
        if self._greet(index, other):
            self._cluster.join(index, other)

    def _greet(self, index: int, other: int) -> bool:
        """Have two nodes exchange whom they hear, if they still can."""
        if not self._cluster.reaches(index, other) or other not in self._rooms:
            return False
        now_s, mine, others = self._cluster.now_s, self._rooms[index], self._rooms[other]
        for member, heard_s in (*others.heard_s.items(), (other, now_s)):
            if member != index:
                mine.hear(member, heard_s)
        others.hear(index, now_s)
        return True

    def _on_news(self, index: int, news: News) -> None:
        room = self._rooms.get(index)
        if room is None:
            return
        match news:
            case DeliverContent(_, content, _, _):
                if content.startswith(_PRESENCE):
                    sender = int(content.removeprefix(_PRESENCE).split()[0])
                    room.hear(sender, self._cluster.now_s)
            case ReportNeighborUp(_, id):
                peer = self._cluster.number(id)
                if peer not in room.heard_s:
                    took_s = 2 * self._cluster.latency(index, peer)
                    self._after(took_s, index, partial(self._greet, other=peer))
            case ReportNeighborDown():
                if not self._cluster.neighbors(index):
                    room.reunion.reset()


class _Room:
    """What one node knows of the others."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.reunion = Reunion(rng)
        self.heard_s: dict[int, float] = {}
        self.dialling_until_s: dict[int, float] = {}
        self.said = 0

    def hear(self, member: int, heard_s: float) -> None:
        self.heard_s[member] = max(heard_s, self.heard_s.get(member, heard_s))

    def expire(self, now_s: float) -> None:
        silent = [
            member
            for member, heard_s in self.heard_s.items()
            if heard_s + PRESENCE_LASTS_S <= now_s
        ]
        for member in silent:
            del self.heard_s[member]
