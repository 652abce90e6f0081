"""What a stranger who knows an open room's name can do to the machines in it: real daemons."""

import asyncio
from functools import partial
from secrets import token_bytes
from uuid import uuid4

from buddies_core.gossip.messages import Join, PeerInfo, ShuffleReply
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.address import AddressInfo, SocketAddress
from buddies_core.model.bodies import (
    MemoryCreated,
    SearchFilters,
    SearchRequest,
    SkillPublished,
    SkillVoteCast,
)
from buddies_core.model.ids import RequestId, RoomName, topic_of
from buddies_core.model.memory import Whole
from buddies_core.pb.peer_pb2 import Found, PeerReply, SearchReply
from buddies_core.wire.address_info import encode_address_info
from buddies_core.wire.frames import frame
from buddies_core.wire.gossip_messages import encode_message, stream_header
from buddies_core.wire.tickets import decode_ticket
from tests.support.memories import an_entry
from tests.support.skills import a_skill_entry
from tests.support.worlds.attacker import Attacker, address_of, cpu_s, endpoint_of
from tests.support.worlds.machines import agent_on, some_machines
from tests.support.worlds.meeting import ROOM, eventually, names
from tests.support.worlds.networks import a_mute_port, a_raw_peer
from tests.support.worlds.under_attack import QUIET_CPU, a_team, attackers_of
from tests.support.worlds.whole_daemon import unsigned

FLOOD = 3500
FLOOD_CPU_S = 6.0
"""To answer them all took 33 s."""
READ_AT_MOST = FLOOD // 2


async def test_a_flood_of_unsigned_searches_silences_nobody_and_costs_little() -> None:
    async with a_team() as team, attackers_of(team.alice, 1) as (attacker,):
        await team.alices.call("store_memory", room=ROOM, content="the launch is on Friday")
        before_s = cpu_s(team.alice)
        async with team.withstands("3,500 unsigned searches", attacker, stores=False):
            for number in range(FLOOD):
                request = SearchRequest(RequestId(uuid4()), f"launch {number}", SearchFilters())
                await attacker.says(unsigned(request))
            status = partial(team.alice.command, "status")
            # Whatever is over the budget is counted; the rest is answered or waits no longer.
            await eventually(status, lambda it: _refused(it["counters"]) > FLOOD - READ_AT_MOST)
            assert cpu_s(team.alice) - before_s < FLOOD_CPU_S
        async with team.withstands("the same while storing", attacker):
            for _ in range(FLOOD):
                request = SearchRequest(RequestId(uuid4()), "launch", SearchFilters())
                await attacker.says(unsigned(request))
            await asyncio.sleep(2)


def _refused(counters: dict[str, int]) -> int:
    return sum(n for name, n in counters.items() if name.endswith("_over_budget"))


async def test_four_members_with_the_largest_answers_make_a_searcher_swell_by_little() -> None:
    async with a_team() as team, attackers_of(team.alice, 4) as attackers:
        for attacker in attackers:
            await attacker.is_a_member()
        await eventually(
            partial(team.alices.call, "get_room_status", room=ROOM),
            lambda it: len(it["peers"]) == 2 + len(attackers),
        )
        async with team.withstands("40 searches, largest answers", *attackers, stores=False):
            for make_answer in ANSWERS:
                for attacker in attackers:
                    attacker.answers[:] = make_answer(attacker)
                for number in range(5):
                    query = f"what is the launch about? {number}"
                    found = await team.alices.call("search_memory", query=query)
                    theirs = [m for m in found["results"] if m["content"].startswith("launch ")]
                    assert bool(theirs) == (make_answer is memories_without_end)
                    await team.alices.call("search_skills", query=query)


def memories_without_end(attacker: Attacker) -> list[PeerReply]:
    """Return as many memories of 3 KB as go into a reply, each by an author of its own."""
    return [PeerReply(search=SearchReply(found=[a_find(attacker, n) for n in range(75)]))]


def a_find(attacker: Attacker, number: int) -> Found:
    key = NodeKey(token_bytes(32))
    entry = an_entry(number, author=key.endpoint, room=RoomName(ROOM), content="launch " * 430)
    return Found(proof=attacker.signed(MemoryCreated(entry), key), score=1.5)


def empty_finds(_: Attacker) -> list[PeerReply]:
    return [PeerReply(search=SearchReply(found=[Found()] * 1024))]


def one_huge_find(attacker: Attacker) -> list[PeerReply]:
    entry = an_entry(1, author=attacker.key.endpoint, room=RoomName(ROOM), content="🙂" * 62_000)
    return [
        PeerReply(search=SearchReply(found=[Found(proof=attacker.signed(MemoryCreated(entry)))]))
    ]


def votes_without_end(attacker: Attacker) -> list[PeerReply]:
    """Return skills with as many votes as go into four replies."""
    key = NodeKey(token_bytes(32))
    entry = a_skill_entry(author=key.endpoint, room=RoomName(ROOM), title="launch")
    proof = attacker.signed(SkillPublished(entry), key)
    votes = [
        attacker.signed(SkillVoteCast(entry.hash, voter.endpoint.hex(), 1), voter)
        for voter in (NodeKey(token_bytes(32)) for _ in range(900))
    ]
    found = Found(proof=proof, score=1.5, votes=votes)
    return [PeerReply(skills_found=SearchReply(found=[found])) for _ in range(4)]


ANSWERS = (memories_without_end, empty_finds, one_huge_find, votes_without_end)


async def test_a_thousand_contents_that_nobody_has_cost_little() -> None:
    async with a_team() as team, attackers_of(team.alice, 4) as attackers:
        for attacker in attackers:
            await attacker.is_a_member()
        async with team.withstands("1,000 contents nobody has", *attackers, stores=False):
            for number in range(1000):
                attacker, key = attackers[number % 4], NodeKey(token_bytes(32))
                entry = an_entry(
                    number, author=key.endpoint, room=RoomName(ROOM), content="beginning"
                )
                await attacker.says(
                    attacker.signed(MemoryCreated(entry), key, Whole(token_bytes(32), 50_000))
                )
            status = partial(team.alice.command, "status")
            await eventually(status, lambda it: it["memories"] > 1000)
            await asyncio.sleep(5)
        # It was 0.31 and stayed so.
        assert (share := await team.cpu_share(8)) < QUIET_CPU, share

        await team.bobs.call("store_memory", room=ROOM, content="the truth " * 1000)
        await eventually(
            partial(team.alices.call, "list_memories", room=ROOM, author="bob", limit=1),
            lambda it: [m.get("size") for m in it["results"]] == [10_000],
        )


async def test_a_forged_shuffle_reply_sends_nobody_to_wrong_addresses() -> None:
    """It names a port where nobody answers, and a relay that is none, as Bob's."""
    async with a_team() as team, a_raw_peer(666) as mallory, a_raw_peer(667) as decoy:
        bob = await endpoint_of(team.bob)
        with a_mute_port() as port:
            wrong = tuple(SocketAddress(f"127.0.0.{n}", port) for n in range(1, 17))
        forged = ShuffleReply(
            (
                PeerInfo(bob, encode_address_info(AddressInfo("https://wrong.invalid/", wrong))),
                # Whoever has read this dials it, as there is room for a further neighbor.
                PeerInfo(decoy.address.endpoint, encode_address_info(decoy.address.info)),
            )
        )
        async with asyncio.timeout(60), team.withstands("a forged ShuffleReply"):
            connection = await mallory.connect(await address_of(team.alice, ROOM))
            stream = await connection.open_uni()
            await stream.write_all(stream_header(topic_of(RoomName(ROOM))))
            for message in (Join(None), forged):
                await stream.write_all(frame(encode_message(message)))
            await decoy.accept()

        text = (await team.alice.command("ticket", ROOM))["ticket"]
        addresses = {it.endpoint: it.info for it in decode_ticket(text).endpoints}
        assert addresses[bob] == (await address_of(team.bob, ROOM)).info
        # With Alice away, that ticket leads to Bob alone.
        await team.alice.kill_daemon()
        with some_machines("carol") as (carol,):
            async with agent_on(carol) as carols:
                await carols.call("join_room", room=ROOM, ticket=text)
                status = partial(carols.call, "get_room_status", room=ROOM)
                await eventually(status, lambda it: "bob" in names(it))
