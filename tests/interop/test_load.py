"""Many messages in a swarm of both kinds."""

import hashlib
from asyncio import TaskGroup
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

from buddies_core.model.ids import EndpointId, TopicId
from tests.interop.peers import Complaint, Peer, RustConfig
from tests.interop.swarm import Swarm
from tests.support.eventually import until

TOPIC = TopicId(hashlib.sha256(b"load").digest())

# 200 messages are under way at a time: a Rust peer drops deliveries when its application is more
# than 256 behind.
ROUNDS = 10
EACH_WAY_IN_A_ROUND = 100


async def test_of_a_thousand_messages_each_way_none_is_lost_and_none_comes_twice(
    rust_binary: Path, record_property: Callable[[str, object], None]
) -> None:
    async with Swarm.of(rust_binary) as swarm:
        ours = [await swarm.python(f"python {it}") for it in range(5)]
        theirs = [await swarm.rust(f"rust {it}", RustConfig()) for it in range(3)]
        peers: list[Peer] = [*ours, *theirs]
        await peers[0].join(TOPIC)
        for peer in peers[1:]:
            await peer.join(TOPIC, peers[0])
        await until(lambda: _are_in_one_piece(peers))
        said: dict[EndpointId, Counter[bytes]] = {peer.id: Counter() for peer in peers}

        started_s = monotonic()
        for turn in range(ROUNDS):
            async with TaskGroup() as speaking:
                for number in range(EACH_WAY_IN_A_ROUND):
                    for author in (ours[number % len(ours)], theirs[number % len(theirs)]):
                        content = f"{author.name}, {turn}, {number}".encode().ljust(300)
                        said[author.id][content] += 1
                        speaking.create_task(author.broadcast(TOPIC, content))
            for peer in peers:
                others = (turn + 1) * 2 * EACH_WAY_IN_A_ROUND - said[peer.id].total()
                await peer.has_contents(TOPIC, others, timeout_s=10)
        took_s = monotonic() - started_s

        everything = sum(said.values(), Counter[bytes]())
        for peer in peers:
            assert Counter(peer.contents(TOPIC)) == everything - said[peer.id], peer.name
            assert not [it for it in peer.journal if isinstance(it, Complaint)]
        record_property(
            "messages a second, 3 Rust and 5 Python peers", round(everything.total() / took_s)
        )


def _are_in_one_piece(peers: Sequence[Peer]) -> bool:
    """Whether each is reached from the first by way of neighbors, of whom both ends know."""
    neighbors = {peer.id: peer.neighbors(TOPIC) for peer in peers}
    reached: set[EndpointId] = set()
    new = {peers[0].id}
    while new:
        reached |= new
        new = {it for by in new for it in neighbors[by] if by in neighbors[it]} - reached
    return reached == neighbors.keys()
