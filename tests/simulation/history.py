"""Nodes with whole histories on a virtual clock: they crash, sleep, are split, and miss broadcasts.

After that they are left alone for a while, and then all have the same. A seed decides everything.
Real are the stores' contract, admission, memories, skills and histories; what one asks another goes
over a network in memory that can break off at any question.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from random import Random

from buddies_core.errors import BuddiesError, Unreachable
from buddies_core.history.schedule import EVERY_S
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from tests.support.fakes.clocks import ManualClock
from tests.support.memories import DEMO
from tests.support.virtual_time import LoopClock, run_virtually
from tests.support.worlds.history_team import HistoryNode, HistoryTeam
from tests.support.worlds.team import TeamNetwork

NODES = 5
HARM_S = 900.0
HEAL_S = 6 * EVERY_S
"""A broken exchange leaves a pair alone for a while; each room's turn comes every 5 minutes."""


class LoopedClock(ManualClock):
    """The loop's time, in the place of a clock that is set by hand."""

    def now_s(self) -> float:
        return LoopClock().now_s()

    def wall_ms(self) -> int:
        return LoopClock().wall_ms()


class FlakyNetwork(TeamNetwork):
    """Questions take time, and some are lost."""

    def __init__(self, node: HistoryNode, world: "World") -> None:
        super().__init__(node.endpoint, world.team)
        self._world = world

    async def ask(
        self, peer: EndpointId, room: RoomName, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        world = self._world
        await asyncio.sleep(world.rng.uniform(0.001, 0.2))
        if not world.connects(self.endpoint, peer) or world.breaks():
            raise Unreachable("the connection was lost")
        replies = await super().ask(peer, room, request, timeout_s)
        await asyncio.sleep(world.rng.uniform(0.001, 0.2))
        if not world.connects(self.endpoint, peer) or world.breaks():
            raise Unreachable("the answer was lost")
        return replies


class World:
    """The nodes, and what is done to them."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.team = HistoryTeam()
        self.team.clock = LoopedClock()
        self.nodes: list[HistoryNode] = []
        self.sides: dict[EndpointId, int] = {}
        """Which half of a split each node is on."""
        self.asleep: set[EndpointId] = set()
        self.stored = 0
        self.healed = False
        self._lives: dict[EndpointId, asyncio.Task[None]] = {}

    def connects(self, one: EndpointId, other: EndpointId) -> bool:
        """Whether a question gets from one node to another."""
        return self.sides[one] == self.sides[other] and not {one, other} & self.asleep

    def breaks(self) -> bool:
        """Whether a question or an answer is lost just now."""
        return not self.healed and self.rng.random() < 0.03

    async def run(self) -> list[int]:
        """Do harm, heal, and return how many items each node has then."""
        for number in range(NODES):
            node = self.team.historian(f"node {number}")
            node.network = FlakyNetwork(node, self)
            self.nodes.append(node)
            self.sides[node.endpoint] = 0
        async with asyncio.TaskGroup() as group:
            for node in self.nodes:
                self._start(group, node)
            while LoopClock().now_s() < HARM_S:
                await asyncio.sleep(self.rng.expovariate(1 / 10))
                await self._harm(group)
            self.healed = True
            self.asleep.clear()
            self._join_halves(lambda _: 0)
            await asyncio.sleep(HEAL_S)
            for life in self._lives.values():
                life.cancel()
        return [len(node.ids()) for node in self.nodes]

    async def _harm(self, group: asyncio.TaskGroup) -> None:
        node = self.rng.choice(self.nodes)
        match self.rng.choices(
            ("store", "publish", "split", "join", "sleep", "wake", "crash"), (30, 3, 1, 2, 2, 3, 2)
        )[0]:
            case "store" if node.endpoint not in self.asleep:
                await self._say(node, vote=False)
            case "publish" if node.endpoint not in self.asleep:
                await self._say(node, vote=True)
            case "split":
                self._join_halves(lambda _: self.rng.randrange(2))
            case "join":
                self._join_halves(lambda _: 0)
            case "sleep":
                self.asleep.add(node.endpoint)
            case "wake" if node.endpoint in self.asleep:
                self.asleep.discard(node.endpoint)
                node.rooms.moves += 1
            case "crash":
                self._lives.pop(node.endpoint).cancel()
                node.history = node.new_history()
                self._start(group, node)
                self._meet(node)
            case _:
                pass

    def _start(self, group: asyncio.TaskGroup, node: HistoryNode) -> None:
        async def live() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await node.history.run()

        self._lives[node.endpoint] = group.create_task(live())

    async def _say(self, node: HistoryNode, *, vote: bool) -> None:
        """Store something; a broadcast reaches some of those that are there."""
        self.stored += 1
        if vote:
            skill = await node.publish(f"skill {self.stored}")
            await node.vote(skill.hash, self.rng.choice((1, -1)))
        else:
            await node.store_memory(f"memory {self.stored}")
        sent, node.rooms.sent = node.rooms.sent, []
        for room, proof in sent:
            for other in self.nodes:
                reached = self.connects(node.endpoint, other.endpoint)
                if other is not node and reached and self.rng.random() < 0.8:
                    with contextlib.suppress(BuddiesError):
                        await other.hear(room, proof)

    def _join_halves(self, side: Callable[[EndpointId], int]) -> None:
        before = dict(self.sides)
        for peer in self.sides:
            self.sides[peer] = side(peer)
        if self.sides != before:
            for node in self.nodes:
                self._meet(node)

    def _meet(self, node: HistoryNode) -> None:
        """Have the neighbors of a node that it reaches come up, as those of both see it."""
        for other in self.nodes:
            if other is not node and self.connects(node.endpoint, other.endpoint):
                node.history.neighbor_up(DEMO, other.endpoint)
                other.history.neighbor_up(DEMO, node.endpoint)


def play(seed: int) -> None:
    """Play one seed.

    Raises:
        AssertionError: not all nodes have the same in the end, or one met a bug.
    """
    world = World(seed)
    counts = run_virtually(world.run())
    sets = [node.ids() for node in world.nodes]
    again = f"seed {seed}: {counts}; again: make sim-history SEED={seed}"
    assert all(ids == sets[0] for ids in sets), again
    assert sets[0], again
    # A vote that comes before its skill counts as refused; it waits for it.
    bad = ("bugs", "history_members_dropped")
    counted = {name: sum(node.counters[name] for node in world.nodes) for name in bad}
    assert not any(counted.values()), f"{again} {counted}"


def main() -> None:
    """Play one seed or many; exit code 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=200)
    given = parser.parse_args()
    seeds = range(given.seeds) if given.seed is None else (given.seed,)
    for seed in seeds:
        play(seed)
    sys.stdout.write(f"{len(seeds)} seeds: all nodes have the same in the end\n")


if __name__ == "__main__":
    main()
