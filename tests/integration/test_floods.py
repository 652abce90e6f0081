"""A neighbor that talks too much, to a whole daemon on loopback."""

import time

from buddies_core.identity.node_key import NodeKey
from buddies_core.inbound import MESSAGES_BURST, MESSAGES_PER_S, STRANGERS_BURST
from buddies_core.model.bodies import MemoryCreated, Presence, StatusUpdate
from buddies_core.net.inbox import CREDITS_PER_PEER
from tests.support.memories import DEMO, an_entry
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import some_person
from tests.support.worlds.whole_daemon import a_stranger_among, a_whole_daemon, sealed, unsigned

BOB = NodeKey(b"b" * 32)
TOO_MANY = int(MESSAGES_BURST) + 500


async def test_who_talks_too_much_is_not_acted_on_and_others_are() -> None:
    with some_person() as owner:
        async with a_whole_daemon(owner.home, owner.environ) as alice:
            await alice.client.join_room(DEMO)
            async with a_stranger_among(alice) as mallory:
                for number in range(TOO_MANY):
                    body = StatusUpdate(mallory.key.endpoint.hex(), f"look at me {number}")
                    await mallory.says(sealed(mallory.key, body, sent_at_ms=number))
                await eventually(alice.counters, lambda it: it["messages_over_rate"] > 0)
                # Relayed by the same neighbor, who is not its author.
                told = MemoryCreated(an_entry(1, author=BOB.endpoint))
                await mallory.says(sealed(BOB, told))
                await eventually(alice.client.list_memories, lambda it: len(it.results) == 1)


async def test_who_relays_nonsense_is_heard_all_the_same_when_it_says_something_itself() -> None:
    with some_person() as owner:
        async with a_whole_daemon(owner.home, owner.environ) as alice:
            await alice.client.join_room(DEMO)
            async with a_stranger_among(alice) as relay:
                for number in range(TOO_MANY):
                    body = StatusUpdate(BOB.endpoint.hex(), f"{number}")
                    await relay.says(sealed(relay.key, body, claimed=BOB.endpoint))
                await eventually(
                    alice.counters, lambda it: it["rejected_bad_signature"] == TOO_MANY
                )
                told = MemoryCreated(an_entry(1, author=relay.key.endpoint))
                await relay.says(sealed(relay.key, told))
                await eventually(alice.client.list_memories, lambda it: len(it.results) == 1)


async def test_what_nobody_can_be_held_to_is_charged_to_who_passes_it_on() -> None:
    with some_person() as owner:
        async with a_whole_daemon(owner.home, owner.environ) as alice:
            await alice.client.join_room(DEMO)
            async with a_stranger_among(alice) as mallory:
                for number in range(TOO_MANY):
                    await mallory.says(unsigned(StatusUpdate(f"{number:064x}", "look at me")))
                await eventually(alice.counters, lambda it: it["legacy_messages_over_budget"] > 0)


async def test_forgeries_are_checked_no_faster_than_a_neighbor_may_pass_them_on() -> None:
    """Beyond the burst it waits, and its neighbor is read no further meanwhile."""
    with some_person() as owner:
        async with a_whole_daemon(owner.home, owner.environ) as alice:
            await alice.client.join_room(DEMO)
            async with a_stranger_among(alice) as mallory:
                forged = [
                    sealed(
                        mallory.key, StatusUpdate(BOB.endpoint.hex(), f"{n}"), claimed=BOB.endpoint
                    )
                    for n in range(TOO_MANY)
                ]
                began_s = time.monotonic()
                for raw in forged:
                    await mallory.says(raw)
                await eventually(
                    alice.counters, lambda it: it["rejected_bad_signature"] == TOO_MANY
                )
                assert (await alice.counters())["messages_delayed"] > 0
                over = TOO_MANY - STRANGERS_BURST - CREDITS_PER_PEER
                assert time.monotonic() - began_s > over / MESSAGES_PER_S


async def test_made_up_members_come_in_no_faster_than_a_neighbor_may_pass_them_on() -> None:
    with some_person() as owner:
        async with a_whole_daemon(owner.home, owner.environ) as alice:
            await alice.client.join_room(DEMO)
            async with a_stranger_among(alice) as mallory:
                keys = [NodeKey(number.to_bytes(32, "big")) for number in range(1, TOO_MANY + 1)]
                said = [sealed(key, Presence("ghost", ())) for key in keys]
                began_s = time.monotonic()
                for raw in said:
                    await mallory.says(raw)
                await eventually(alice.counters, lambda it: it["messages_delayed"] > 0)
                # Mallory's own word waits its turn, and is heard.
                told = MemoryCreated(an_entry(1, author=mallory.key.endpoint))
                await mallory.says(sealed(mallory.key, told))
                await eventually(alice.client.list_memories, lambda it: len(it.results) == 1)
                over = TOO_MANY - STRANGERS_BURST - CREDITS_PER_PEER
                assert time.monotonic() - began_s > over / MESSAGES_PER_S
