"""What further attacks of tests/e2e/test_attacks.py's kind cost a machine: see docs/security.md."""

from contextlib import AsyncExitStack
from functools import partial
from secrets import token_bytes

import pytest

from buddies_core.identity.node_key import NodeKey
from buddies_core.model.bodies import StatusUpdate
from buddies_core.pb.peer_pb2 import Hello, PeerRequest
from tests.support.worlds.attacker import address_of, endpoint_of
from tests.support.worlds.meeting import ROOM, eventually
from tests.support.worlds.networks import a_raw_peer
from tests.support.worlds.under_attack import a_team, attackers_of

pytestmark = pytest.mark.timeout(120)


async def test_150_keys_that_connect_from_one_address() -> None:
    async with a_team() as team, AsyncExitStack() as stack:
        there = await address_of(team.alice, ROOM)
        async with team.withstands("150 connections of as many keys", stores=False):
            for number in range(150):
                peer = await stack.enter_async_context(a_raw_peer(1000 + number))
                await peer.connect(there)


async def test_2_000_messages_with_wrong_signatures() -> None:
    async with (
        a_team() as team,
        attackers_of(team.alice, 1) as (attacker,),
        team.withstands("2,000 forgeries", attacker, stores=False),
    ):
        for _ in range(2000):
            author = NodeKey(token_bytes(32))
            said = attacker.signed(StatusUpdate(author.endpoint.hex(), "at work"), author)
            await attacker.says(said[:-1] + bytes([said[-1] ^ 1]))
        status = partial(team.alice.command, "status")
        await eventually(
            status, lambda it: it["counters"].get("rejected_bad_signature", 0) >= 2000, 60
        )


async def test_500_hellos() -> None:
    async with a_team() as team, attackers_of(team.alice, 1) as (attacker,):
        alice = await endpoint_of(team.alice)
        async with team.withstands("500 hellos", stores=False):
            for _ in range(500):
                request = PeerRequest(topic=attacker.topic, hello=Hello())
                await attacker.network.ask(alice, request, 5)
