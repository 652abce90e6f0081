"""What is read by those whom nobody has let in: on the wire, and in the swarm of a private room."""

import socket

from buddies_core.model.bodies import StatusUpdate
from buddies_core.model.ids import RoomName
from buddies_core.net.driver import NeighborCameUp
from buddies_core.wire.private import seal_content
from tests.support.eventually import until
from tests.support.worlds.meeting import eventually
from tests.support.worlds.networks import a_network, contents, wait_delivery
from tests.support.worlds.private_team import SECRET, people
from tests.support.worlds.whole_daemon import unsigned
from tests.support.worlds.wiretap import Wiretap, a_wiretap

LAUNCH = RoomName("launching")
NOTE = "the launch of Zephyr is on Friday"
STEPS = "1. fuel the rocket\n2. light it"


async def sees_what_is_sent(wiretap: Wiretap) -> None:
    """Return once a packet in the open was seen, and so whatever was sent before it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.sendto(b"in the open", ("127.0.0.1", 9))
    await until(lambda: wiretap.saw(b"in the open"))


async def test_who_listens_in_on_the_network_reads_nothing_of_what_is_said() -> None:
    with a_wiretap() as wiretap:
        async with people("alice", "robert") as (alice, bob):
            await bob.join((await alice.join(room=LAUNCH)).ticket, room=LAUNCH)
            await alice.sees("robert", room=LAUNCH)
            await alice.stores(NOTE, LAUNCH)
            await bob.hears(NOTE)
            await bob.on.client.publish_skill(room=LAUNCH, title="Take-off", content=STEPS)
            await eventually(
                lambda: bob.on.client.search_memory("when does Zephyr start?", room=LAUNCH),
                lambda found: [it.name for it in found.answered] == ["alice"],
            )
        await sees_what_is_sent(wiretap)
    said = (NOTE, "Zephyr", STEPS, "rocket", "Take-off", LAUNCH, "alice", "robert")
    assert [words for words in said if wiretap.saw(words.encode())] == []


async def test_who_is_in_the_swarm_of_a_private_room_reads_nothing_without_its_secret() -> None:
    async with people("alice") as (alice,):
        await alice.join(private=True)
        topic, address = alice.room().line.topic, alice.on.parts.inbound.network.address()
        async with a_network(666) as eve:
            await eve.reach(address, 5)
            await eve.join(topic, (address.endpoint,))
            await wait_delivery(eve, NeighborCameUp(topic, address.endpoint))
            await alice.on.client.notify(SECRET, NOTE)
            await alice.stores(NOTE)
            heard = await contents(eve, 3)  # A presence as well.
        said = (NOTE, "Zephyr", SECRET, "alice", alice.room().room_id)
        for words in said:
            sought = words.encode() if isinstance(words, str) else words
            assert not any(sought in content for content in heard)


async def test_what_a_member_of_a_private_room_does_not_sign_is_not_heard() -> None:
    async with people("alice", "bob") as (alice, bob):
        await bob.join(await alice.opens())
        await alice.sees("bob")
        epochs = bob.room().epochs
        assert epochs is not None
        message = unsigned(StatusUpdate("carol", "I was never here"))
        content = seal_content(epochs.keyring.newest, message, bytes(24))
        await bob.on.parts.inbound.network.broadcast(epochs.keyring.newest.topic, content)
        await eventually(alice.on.counters, lambda it: it["rejected_unsigned"] == 1)
        status = await alice.on.client.room_status(SECRET)
        assert {it.name for it in status.members} == {"alice", "bob"}
