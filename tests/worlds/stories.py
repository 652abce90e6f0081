"""What happens to laptops, each as a story that returns its figures.

A time begins when the network is whole again, unless its name says otherwise, and ends when an
agent on the other side has the memory. `never` means not within the time that is watched.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from tests.support.worlds.meeting import all_memories
from tests.worlds.goals import Figure
from tests.worlds.laptops import (
    Laptop,
    World,
    a_world,
    seconds_until,
    seconds_until_all_have,
)
from tests.worlds.routers import Style

WATCHED_S = 90.0
LONG_BYTES = 1_000_000

Play = Callable[[str], Awaitable[list[Figure]]]


@dataclass(frozen=True, slots=True)
class Story:
    """A story under its name; the quick ones are told in CI."""

    name: str
    play: Play
    quick: bool = False


async def _two_at_home(world: World) -> tuple[Laptop, Laptop]:
    """Return two laptops that have met: behind two routers, who reach each other by a relay."""
    host = await world.relay()
    homes = [
        world.internet.home("198.51.100.11/24", Style.PRESERVING),
        world.internet.home("198.51.100.12/24", Style.RANDOM),
    ]
    alice, bob = [
        await world.laptop(user, home, "192.168.1.2/24", relay=host)
        for user, home in zip(("alice", "bob"), homes, strict=True)
    ]
    await world.meet(alice, bob)
    return alice, bob


async def _on_the_public_segment(world: World, *users: str) -> list[Laptop]:
    return [
        await world.laptop(user, world.internet.public, f"198.51.100.{21 + index}/24")
        for index, user in enumerate(users)
    ]


async def _after(
    name: str, what: str, world: World, teller: Laptop, hearer: Laptop, missed: set[str]
) -> list[Figure]:
    """Return how long something new takes, and how long what was said in between."""
    began_s = time.monotonic()
    shared_s = await world.share_s(teller, hearer, within_s=WATCHED_S)
    missed_s = await seconds_until_all_have([hearer], missed, WATCHED_S)
    if missed_s is not None:
        missed_s = time.monotonic() - began_s
    return [
        Figure(story=name, what=what, value=shared_s),
        Figure(story=name, what="has what it missed", value=missed_s),
    ]


async def first_ticket(name: str, pairs: int) -> list[Figure]:
    """Two people who have never met, each time anew."""
    worked, took_s = 0, [0.0]
    for seed in range(pairs):
        async with a_world(seed) as world:
            relay = await world.relay()
            homes = [
                world.internet.home("198.51.100.11/24", Style.RANDOM),
                world.internet.home("198.51.100.12/24", list(Style)[seed % 2]),
            ]
            alice, bob = [
                await world.laptop(user, home, "192.168.1.2/24", relay=relay)
                for user, home in zip(("alice", "bob"), homes, strict=True)
            ]
            ticket = await alice.join()
            began_s = time.monotonic()
            if await world.joins(bob, ticket):
                shared_s = await world.share_s(alice, bob)
                worked += shared_s is not None
                took_s.append(time.monotonic() - began_s)
    return [
        Figure(story=name, what="worked at the first call", value=100 * worked / pairs, unit="%"),
        Figure(story=name, what="slowest from join_room to shared", value=max(took_s)),
    ]


async def issuer_gone(name: str) -> list[Figure]:
    """The ticket's maker is unplugged before it is used; two others of the room are there."""
    async with a_world() as world:
        alice, bob, carol, dave = await _on_the_public_segment(
            world, "alice", "bob", "carol", "dave"
        )
        await world.meet(alice, bob, carol)
        ticket = await alice.join()
        alice.host.pull_the_cable()
        began_s = time.monotonic()
        joined = await world.joins(dave, ticket)
        shared_s = await world.share_s(dave, bob, carol) if joined else None
        return [
            Figure(
                story=name,
                what="joined by way of the others",
                value=None if shared_s is None else time.monotonic() - began_s,
            )
        ]


async def relay_down(name: str, down_s: float) -> list[Figure]:
    """The relay that two homes need ends, and is started again."""
    async with a_world() as world:
        relay = await world.relay()
        alice, bob = [
            await world.laptop(
                user,
                world.internet.home(f"198.51.100.{last}/24", Style.RANDOM),
                "192.168.1.2/24",
                relay=relay,
            )
            for user, last in (("alice", 11), ("bob", 12))
        ]
        await world.meet(alice, bob)
        await relay.stop()
        await asyncio.sleep(down_s)
        missed = world.a_text(alice)
        await alice.say(missed)
        await relay.start()
        return await _after(name, "shares after its return", world, alice, bob, {missed})


async def two_relays(name: str) -> list[Figure]:
    """Two homes that use a relay each; one of them is restarted."""
    async with a_world() as world:
        relays = [await world.relay(f"198.51.100.{last}/24") for last in (1, 2)]
        alice, bob = [
            await world.laptop(
                user,
                world.internet.home(f"198.51.100.{last}/24", Style.RANDOM),
                "192.168.1.2/24",
                relay=relay,
            )
            for user, last, relay in zip(("alice", "bob"), (11, 12), relays, strict=True)
        ]
        await world.meet(alice, bob)
        shared_s = await world.share_s(alice, bob)
        await relays[0].stop()
        await relays[0].start()
        return [
            Figure(story=name, what="shares", value=shared_s),
            Figure(
                story=name,
                what="shares after the restart of one",
                value=await world.share_s(alice, bob),
            ),
        ]


async def moved(name: str, *, new_lan: bool, new_public: bool) -> list[Figure]:
    """Bob's laptop gets another address, or his router does, or both."""
    async with a_world() as world:
        alice, bob = await _two_at_home(world)
        await asyncio.sleep(1)
        home = bob.host.network
        assert home.router is not None
        if new_public:
            home.router.renumber(ip_address("198.51.100.77").packed)
        if new_lan:
            home.prefix = "10.20.30"
            bob.host.connect("10.20.30.5/24")
        return [
            Figure(story=name, what="shares", value=await world.share_s(alice, bob)),
            Figure(story=name, what="shares the other way", value=await world.share_s(bob, alice)),
        ]


async def cable_out(name: str, out_s: float, *, relayed: bool = True) -> list[Figure]:
    """Bob's interface is down for some time; Alice says something meanwhile."""
    async with a_world() as world:
        if relayed:
            alice, bob = await _two_at_home(world)
        else:
            alice, bob = await _on_the_public_segment(world, "alice", "bob")
            await world.meet(alice, bob)
        bob.host.pull_the_cable()
        missed = world.a_text(alice)
        await alice.say(missed)
        await asyncio.sleep(out_s)
        bob.host.plug_in()
        return await _after(name, "shares after it is back", world, alice, bob, {missed})


async def asleep(name: str, asleep_s: float) -> list[Figure]:
    """Bob closes the lid for some time; Alice says something meanwhile."""
    async with a_world() as world:
        alice, bob = await _two_at_home(world)
        missed = world.a_text(alice)
        with bob.asleep():
            await alice.say(missed)
            await asyncio.sleep(asleep_s)
        return await _after(name, "shares after waking", world, alice, bob, {missed})


async def ipv6_only(name: str) -> list[Figure]:
    """Two laptops without any IPv4 address but loopback's."""
    async with a_world() as world:
        laptops = [
            await world.laptop(user, world.internet.public, f"2001:db8::{last}/64")
            for user, last in (("alice", 1), ("bob", 2))
        ]
        await world.meet(*laptops)
        return [Figure(story=name, what="shares", value=await world.share_s(*laptops))]


async def lan_without_relay(name: str) -> list[Figure]:
    """Two laptops behind one router, whose way out is of no use."""
    async with a_world() as world:
        home = world.internet.home("198.51.100.11/24", Style.RANDOM)
        laptops = [
            await world.laptop(user, home, f"192.168.1.{last}/24")
            for user, last in (("alice", 2), ("bob", 3))
        ]
        await world.meet(*laptops)
        return [Figure(story=name, what="shares", value=await world.share_s(*laptops))]


async def dead_bridges(name: str) -> list[Figure]:
    """Alice's laptop has 20 bridges of containers that lead nowhere, and one real address."""
    async with a_world() as world:
        home = world.internet.home("198.51.100.11/24", Style.RANDOM)
        alice = await world.laptop("alice", home, "192.168.1.2/24", dead_bridges=20)
        bob = await world.laptop("bob", home, "192.168.1.3/24")
        ticket = await alice.join()
        began_s = time.monotonic()
        joined = await world.joins(bob, ticket)
        shared_s = await world.share_s(alice, bob) if joined else None
        return [
            Figure(
                story=name,
                what="joins and shares",
                value=None if shared_s is None else time.monotonic() - began_s,
            )
        ]


async def split(name: str, split_s: float) -> list[Figure]:
    """Four laptops fall apart into two pairs, each of which goes on talking."""
    async with a_world() as world:
        laptops = await _on_the_public_segment(world, "alice", "bob", "carol", "dave")
        await world.meet(*laptops)
        world.internet.split(
            [laptop.host for laptop in laptops[:2]], [laptop.host for laptop in laptops[2:]]
        )
        texts = {world.a_text(laptop): laptop for laptop in laptops}
        for text, laptop in texts.items():
            await laptop.say(text)
        await asyncio.sleep(split_s)
        world.internet.heal()
        began_s = time.monotonic()
        everybody = {laptop.user for laptop in laptops}
        seen_s = await seconds_until(laptops, lambda it: it.sees(), everybody, WATCHED_S)
        shared_s = await seconds_until_all_have(laptops, set(texts), WATCHED_S)
        has = [len(texts.keys() & await laptop.has()) for laptop in laptops]
        return [
            Figure(story=name, what="all see each other after healing", value=seen_s),
            Figure(
                story=name,
                what="all have all after healing",
                value=None if shared_s is None else time.monotonic() - began_s,
            ),
            Figure(
                story=name,
                what="memories that members then have",
                value=100 * sum(has) / (len(texts) * len(laptops)),
                unit="%",
            ),
        ]


async def author_gone(name: str, memories: int) -> list[Figure]:
    """Five people behind routers have what Alice said; her laptop is off when a sixth joins."""
    async with a_world() as world:
        relay = await world.relay()
        users = ("alice", "bob", "carol", "dave", "erin", "frank")
        alice, bob, *others, frank = [
            await world.laptop(
                user,
                world.internet.home(f"198.51.100.{11 + index}/24", list(Style)[index % 2]),
                "192.168.1.2/24",
                relay=relay,
            )
            for index, user in enumerate(users)
        ]
        await world.meet(alice, bob, *others)
        long = "Every word of it counts. " * (LONG_BYTES // 25)
        texts = {world.a_text(alice) for _ in range(memories)}
        for text in (*texts, long):
            await alice.say(text)
        await seconds_until_all_have([bob, *others], texts, WATCHED_S)
        [kept] = [it for it in await all_memories(alice.agent) if it.get("size") == len(long)]
        await seconds_until([bob], lambda it: whole(it, kept["id"]), {long}, WATCHED_S)
        alice.host.pull_the_cable()

        began_s = time.monotonic()
        await world.joins(frank, await bob.join())
        seen_s = await seconds_until_all_have([frank], texts, WATCHED_S)
        whole_s = await seconds_until([frank], lambda it: whole(it, kept["id"]), {long}, WATCHED_S)
        all_s = time.monotonic() - began_s if seen_s is not None and whole_s is not None else None
        return [
            Figure(story=name, what="the sixth has all, 1 MB whole", value=all_s),
            Figure(
                story=name,
                what="memories that it then has",
                value=100 * len(texts & await frank.has()) / len(texts),
                unit="%",
            ),
        ]


async def whole(laptop: Laptop, id: str) -> set[str]:
    """Return the content of a memory, all pages of it that this machine can have."""
    read: str = ""
    offset: int | None = 0
    while offset is not None:
        page = await laptop.agent.call("get_memory", id=id, offset=offset)
        read += page["content"]
        offset = page.get("next_offset")
    return {read}


async def one_way(name: str) -> list[Figure]:
    """Nothing gets from Alice to Bob, while all else gets through."""
    async with a_world() as world:
        alice, bob, carol = await _on_the_public_segment(world, "alice", "bob", "carol")
        await world.meet(alice, bob, carol)
        world.internet.blocked.add((alice.host, bob.host))
        first_s = await world.share_s(alice, bob, within_s=WATCHED_S)
        later_s = await world.share_s(alice, bob, within_s=WATCHED_S)
        back_s = await world.share_s(bob, alice, within_s=WATCHED_S)
        return [
            Figure(story=name, what="shares by way of a third", value=first_s),
            Figure(story=name, what="shares once more", value=later_s),
            Figure(story=name, what="shares the other way", value=back_s),
        ]


async def flapping(name: str, flaps: int) -> list[Figure]:
    """Bob's interface is down for 3 s, up for 5, and so on, while Alice goes on talking."""
    async with a_world() as world:
        alice, bob = await _two_at_home(world)
        texts = set()
        for _ in range(flaps):
            for change, pause_s in ((bob.host.pull_the_cable, 3), (bob.host.plug_in, 5)):
                change()
                text = world.a_text(alice)
                await alice.say(text)
                texts.add(text)
                await asyncio.sleep(pause_s)
        shared_s = await seconds_until_all_have([bob], texts, WATCHED_S)
        share = 100 * len(texts & await bob.has()) / len(texts)
        return [
            Figure(story=name, what="has all after the last flap", value=shared_s),
            Figure(story=name, what="memories that it then has", value=share, unit="%"),
        ]


async def loss_and_delay(name: str) -> list[Figure]:
    """One packet of twenty is lost each way, and an answer takes 80 ms more."""
    async with a_world() as world:
        alice, bob = await _two_at_home(world)
        bob.host.loss, bob.host.delay_s = 0.05, 0.04
        took_s = [await world.share_s(alice, bob) for _ in range(20)]
        known = sorted(it for it in took_s if it is not None)
        slowest_s = known[-1] if len(known) == len(took_s) else None
        return [
            Figure(story=name, what="slowest of 20 memories", value=slowest_s),
            Figure(story=name, what="median", value=known[len(known) // 2] if known else None),
        ]


async def no_way_out(name: str, watched_s: float) -> list[Figure]:
    """A laptop that wants n0's relays, in a network whose router leads nowhere."""
    async with a_world() as world:
        home = world.internet.home("198.51.100.11/24", Style.RANDOM)
        alice = await world.laptop("alice", home, "192.168.1.2/24", mode="public")
        await alice.join()
        await asyncio.sleep(10)
        before = alice.host.sent.copy()
        await asyncio.sleep(watched_s)
        sent = alice.host.sent - before
        return [
            Figure(
                story=name,
                what=f"{label} a minute",
                value=sent[key] * 60 / watched_s,
                unit="packets",
            )
            for key, label in (("dns", "DNS packets"), ("packets", "packets of any kind"))
        ]


STORIES = (
    Story("first ticket", partial(first_ticket, pairs=10), quick=True),
    Story("issuer gone", issuer_gone, quick=True),
    Story("relay down 5 s", partial(relay_down, down_s=5), quick=True),
    Story("relay down 60 s", partial(relay_down, down_s=60)),
    Story("two relays", two_relays, quick=True),
    Story("new LAN", partial(moved, new_lan=True, new_public=False), quick=True),
    Story("new public address", partial(moved, new_lan=False, new_public=True), quick=True),
    Story("new LAN and public address", partial(moved, new_lan=True, new_public=True)),
    Story("cable out 20 s", partial(cable_out, out_s=20), quick=True),
    Story("cable out 60 s", partial(cable_out, out_s=60)),
    Story("cable out 300 s", partial(cable_out, out_s=300)),
    Story("cable out 60 s, no relay", partial(cable_out, out_s=60, relayed=False)),
    Story("asleep 20 s", partial(asleep, asleep_s=20), quick=True),
    Story("asleep 75 s", partial(asleep, asleep_s=75)),
    Story("asleep 600 s", partial(asleep, asleep_s=600)),
    Story("IPv6 only", ipv6_only, quick=True),
    Story("LAN without a relay", lan_without_relay, quick=True),
    Story("20 dead bridges", dead_bridges, quick=True),
    Story("split 2+2 for 20 s", partial(split, split_s=20), quick=True),
    Story("split 2+2 for 75 s", partial(split, split_s=75)),
    Story("split 2+2 for 180 s", partial(split, split_s=180)),
    Story("author gone", partial(author_gone, memories=100)),
    Story("one way only", one_way, quick=True),
    Story("flapping", partial(flapping, flaps=6)),
    Story("loss 5 %, 80 ms", loss_and_delay, quick=True),
    Story("public, no way out", partial(no_way_out, watched_s=60)),
)
