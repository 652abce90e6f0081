"""What further attacks of tests/e2e/test_attacks.py's kind cost a machine: see docs/security.md."""

from contextlib import AsyncExitStack
from functools import partial
from secrets import token_bytes

from buddies_core.identity.node_key import NodeKey
from buddies_core.model.bodies import StatusUpdate
from buddies_core.pb.peer_pb2 import Hello, PeerRequest
from tests.bench.rows import Goal, Row, row
from tests.support.worlds.attacker import address_of, endpoint_of
from tests.support.worlds.meeting import ROOM, eventually
from tests.support.worlds.networks import a_raw_peer
from tests.support.worlds.under_attack import Cost, a_team, attackers_of

KEYS, FORGERIES, HELLOS = 150, 2000, 500


async def attacks(*, quick: bool) -> list[Row]:
    """Measure what Alice's daemon pays for attacks, and how long her agent waits meanwhile."""
    share = 10 if quick else 1
    return [
        *costs(f"{KEYS // share} keys from one address", await keys(KEYS // share)),
        *costs(f"{FORGERIES // share:,} forgeries", await forgeries(FORGERIES // share)),
        *costs(f"{HELLOS // share} hellos", await hellos(HELLOS // share)),
    ]


def costs(attack: str, cost: Cost) -> list[Row]:
    wait = "The longest that Alice's agent waited for an answer during the attack."
    return [
        row(f"{attack}: CPU", "What the attacked daemon computed.", [cost.cpu_s], unit="s"),
        row(f"{attack}: wait", wait, [cost.longest_wait_s], unit="s", goal=Goal(median=1)),
    ]


async def keys(count: int) -> Cost:
    """Connect with so many keys from one address."""
    async with a_team() as team, AsyncExitStack() as stack:
        there = await address_of(team.alice, ROOM)
        async with team.withstands(f"{count} connections of as many keys", stores=False) as cost:
            for number in range(count):
                peer = await stack.enter_async_context(a_raw_peer(1000 + number))
                await peer.connect(there)
    return cost


async def forgeries(count: int) -> Cost:
    """Say so many messages with wrong signatures."""
    async with (
        a_team() as team,
        attackers_of(team.alice, 1) as (attacker,),
        team.withstands(f"{count:,} forgeries", attacker, stores=False) as cost,
    ):
        for _ in range(count):
            author = NodeKey(token_bytes(32))
            said = attacker.signed(StatusUpdate(author.endpoint.hex(), "at work"), author)
            await attacker.says(said[:-1] + bytes([said[-1] ^ 1]))
        status = partial(team.alice.command, "status")
        await eventually(
            status, lambda it: it["counters"].get("rejected_bad_signature", 0) >= count, 60
        )
    return cost


async def hellos(count: int) -> Cost:
    """Ask who is there so many times."""
    async with a_team() as team, attackers_of(team.alice, 1) as (attacker,):
        alice = await endpoint_of(team.alice)
        async with team.withstands(f"{count} hellos", stores=False) as cost:
            for _ in range(count):
                request = PeerRequest(topic=attacker.topic, hello=Hello())
                await attacker.network.ask(alice, request, 5)
    return cost
