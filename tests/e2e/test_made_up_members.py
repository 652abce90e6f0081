"""What made-up members, and the keys that vouch for them, can do to a room: real daemons."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from buddies_core.identity.binding import bind
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.address import AddressInfo, SocketAddress
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import RoomName, topic_of
from buddies_core.rooms.presence import MEMBERS_PER_NEIGHBOR_MAX
from buddies_core.trust.bindings import BINDINGS_PER_NEIGHBOR_MAX
from buddies_core.wire.room_messages import RoomMessage, Trailer, encode_room_message, seal
from tests.support.worlds.machines import agent_on, some_machines
from tests.support.worlds.meeting import ROOM, eventually, names
from tests.support.worlds.networks import a_mute_port
from tests.support.worlds.person import an_ed25519_signer
from tests.support.worlds.under_attack import a_team, attackers_of

MADE_UP = 4200
"""More members than are remembered of a room."""
MADE_UP_SIGNERS = 10_000
MEETS_WITHIN_S = 5.0
HEARD_WITHIN_S = 60.0
"""Each member says who it is every 30 s. The first time may still go under in the flood."""


async def made_up_presences(count: int, *, bound: bool = False) -> AsyncIterator[bytes]:
    """Yield what so many members that don't exist would say of themselves.

    Where they are `bound`, one person's key vouches for each.
    """
    with a_mute_port() as port:
        address = AddressInfo(None, (SocketAddress("127.0.0.1", port),))
    signer = an_ed25519_signer(b"m")
    for number in range(count):
        key = NodeKey(number.to_bytes(32, "big"))
        body = Presence("ghost", (), await bind(signer, key.endpoint, 5) if bound else None)
        message = encode_room_message(RoomMessage(nonce=bytes(16), body=body))
        trailer = Trailer(sender=key.endpoint, sent_at_ms=1, address=address)
        yield seal(message, trailer, topic_of(RoomName(ROOM)), key.sign)


async def test_made_up_members_do_not_keep_machines_from_finding_each_other_again() -> None:
    """Each presence is signed by a key of its own, and names an address where nobody answers."""
    async with a_team() as team:
        before_s = await team.meets_again_after_a_power_cut()
        async with (
            attackers_of(team.alice, 1) as (attacker,),
            team.withstands("4,200 made-up members", attacker, stores=False),
        ):
            async for said in made_up_presences(MADE_UP):
                await attacker.says(said)
            # All that it may bring in, and more: some of them come by way of Bob.
            status = partial(team.alice.command, "status", ROOM)
            await eventually(status, lambda it: it["members"] > MEMBERS_PER_NEIGHBOR_MAX, 60)
        listed = await team.alices.call("get_room_status", room=ROOM)
        assert listed["members"] <= 2 * MEMBERS_PER_NEIGHBOR_MAX + 3
        assert names(listed) == {"alice", "bob", "ghost"}
        after_s = await team.meets_again_after_a_power_cut()
        print(f"reunion before {before_s:.1f} s, after {after_s:.1f} s")  # noqa: T201 - figures
        assert after_s < before_s + MEETS_WITHIN_S


async def test_made_up_bindings_lock_out_no_new_signer_and_push_out_no_known_one() -> None:
    async with (
        a_team(BUDDIES_SIGNER="generated") as team,
        attackers_of(team.alice, 1) as (attacker,),
    ):
        listed = partial(team.alices.call, "get_room_status", room=ROOM)
        await eventually(listed, lambda it: signed(it) == {"bob"})
        async with team.withstands("10,000 made-up bindings", attacker, stores=False):
            async for said in made_up_presences(MADE_UP_SIGNERS, bound=True):
                await attacker.says(said)
            # It has more than the places it may fill; what overflowed on the way is lost.
            status = partial(team.alice.command, "status")
            await eventually(
                status,
                lambda it: it["counters"].get("bindings_replaced", 0) > BINDINGS_PER_NEIGHBOR_MAX,
                60,
            )
        ticket = (await team.alice.command("ticket", ROOM))["ticket"]
        with some_machines("carol") as (machine,):
            carol = machine.with_environment(BUDDIES_SIGNER="generated")
            async with agent_on(carol) as carols:
                await carols.call("join_room", room=ROOM, ticket=ticket)
                await eventually(listed, lambda it: signed(it) >= {"bob", "carol"}, HEARD_WITHIN_S)
                await team.alice.kill_daemon()
                await eventually(listed, lambda it: signed(it) >= {"bob", "carol"}, HEARD_WITHIN_S)


def signed(status: dict[str, Any]) -> set[str]:
    """Return the members of a room for whom a person's key vouches."""
    return {it["name"] for it in status["peers"] if it["verified"] == "signer"} - {"ghost"}
