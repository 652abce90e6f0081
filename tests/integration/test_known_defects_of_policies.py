"""What buddies 0.1.4 was observed to get wrong about who may speak in a room, and that we don't.

As in `test_known_defects`, each defect is named by its docstring.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from buddies_core.identity.binding import bind
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.resolving import Resolver
from buddies_core.model.bodies import Join, Leave, MemoryCreated, Presence
from buddies_core.model.identity import SshIdentity, Verified
from buddies_core.model.ids import RoomId, topic_of
from buddies_core.model.policy import Policy
from tests.support.forgers import GpgProgram
from tests.support.memories import DEMO, an_entry
from tests.support.worlds.hostile_room import HostileRoom, a_world, members
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import Person, an_ed25519_signer, needs
from tests.support.worlds.whole_daemon import WholeDaemon, sealed, signed_as_0_1_4, unsigned

BOB, CAROL = NodeKey(b"b" * 32), NodeKey(b"c" * 32)
BENS_KEY = an_ed25519_signer(b"2")
BENS_LINE = BENS_KEY.identity.public_key
ROOM_ID = RoomId(topic_of(DEMO))


async def let_in(daemon: WholeDaemon, owner: Person, *labels: str) -> Policy:
    """Have the daemon hear these identities alone in the room, and return its policy."""
    resolver = Resolver(Gpg(owner.environ))
    whitelist = tuple([(await resolver.resolve(label)).identity for label in labels])
    policy = Policy(whitelist)
    await daemon.parts.inbound.gate.policies.put(ROOM_ID, policy)
    return policy


def memory(content: str, author: str = "carol") -> MemoryCreated:
    return MemoryCreated(replace(an_entry(content=content), author=author))


async def a_policy_is_kept_over_a_restart_and_over_leaving(world: HostileRoom) -> None:
    """Rooms and policies are in memory alone: after a restart everybody is heard again."""
    async with world.second() as bob:
        policy = await let_in(bob, world.other, f"ssh:{BENS_LINE}")
    async with world.second() as bob:
        assert await bob.client.list_rooms() == (DEMO,)
        await bob.client.leave_room(DEMO, for_all=True)
        await bob.client.join_room(DEMO, (await world.alice.client.room_ticket(DEMO)).ticket)
        assert bob.parts.inbound.gate.policies.of(ROOM_ID) == policy
        await world.mallory.says(unsigned(memory("forged")))
        await eventually(bob.counters, lambda it: it["rejected_policy"] > 0)
        assert (await bob.client.list_memories()).results == ()


async def a_whitelisted_gpg_key_lets_in_what_it_has_signed_itself(world: HostileRoom) -> None:
    """Any key in the keyring gets past a whitelist of gpg keys, if it claims to be one of them."""
    keys = world.keys
    await let_in(world.alice, world.owner, f"gpg:{keys.gpg.fingerprint[-16:]}")
    unknown = GpgProgram(world.other, world.other.gpg_key())
    await world.hears(
        await signed_as_0_1_4(memory("as another"), keys.other_gpg, keys.gpg.identity),
        await signed_as_0_1_4(memory("other"), keys.other_gpg),
        await signed_as_0_1_4(memory("unknown"), unknown),
        unsigned(memory("unsigned")),
        await signed_as_0_1_4(memory("good"), keys.gpg),
    )
    heard = await eventually(world.memories, lambda it: len(it) > 0)
    assert heard == {"good": (Verified.SIGNER, f"gpg:{keys.gpg.fingerprint}")}
    counted = await world.alice.counters()
    assert (counted["rejected_signer"], counted["rejected_policy"]) == (1, 3)


async def who_is_let_in_is_seen_to_come_and_go(world: HostileRoom) -> None:
    """Nobody signs that they come or go, so that under a policy nobody is seen to do either."""
    await let_in(world.alice, world.owner, f"ssh:{BENS_LINE}")
    vouched = await bind(BENS_KEY, BOB.endpoint, 1)
    await world.hears(
        sealed(CAROL, Presence("carol", ())),
        unsigned(Join("dave", "claude")),
        sealed(BOB, Presence("bob", (), vouched), sent_at_ms=1),
    )
    bob = {BOB.endpoint: ("bob", Verified.SIGNER)}
    assert await eventually(lambda: members(world.alice), lambda it: len(it) > 0) == bob
    await world.hears(unsigned(Leave("bob")), sealed(CAROL, Leave("bob"), sent_at_ms=2))
    assert await members(world.alice) == bob
    await world.hears(sealed(BOB, Leave("bob"), sent_at_ms=2))
    await eventually(lambda: members(world.alice), lambda it: it == {})


async def a_whitelist_names_ssh_keys_and_not_lines(world: HostileRoom) -> None:
    """An SSH key with another comment than on the whitelist is not let in, and one behind a line
    break is.
    """
    await let_in(world.alice, world.owner, f"ssh:{BENS_LINE} ben@work")
    at_home = replace(BENS_KEY, identity=SshIdentity(f"{BENS_LINE} ben@home"))
    two_lines = SshIdentity(f"{BENS_LINE}\nbuddies {world.keys.ssh_line}")
    stranger = SshIdentity(f"{world.keys.ssh_line.rpartition(' ')[0]} ben@work")
    await world.hears(
        await signed_as_0_1_4(memory("forged"), world.keys.ssh, two_lines),
        await signed_as_0_1_4(memory("stranger"), world.keys.ssh, stranger),
        await signed_as_0_1_4(memory("good"), at_home),
    )
    heard = await eventually(world.memories, lambda it: len(it) > 0)
    assert heard == {"good": (Verified.SIGNER, f"ssh:{BENS_LINE}")}
    assert await world.alice.counters() == {
        "rejected_signer": 1,
        "rejected_policy": 1,
        "rejected_undecodable": 1,
    }


DEFECTS: dict[int, Callable[[HostileRoom], Awaitable[None]]] = {
    6: a_policy_is_kept_over_a_restart_and_over_leaving,
    8: a_whitelisted_gpg_key_lets_in_what_it_has_signed_itself,
    9: who_is_let_in_is_seen_to_come_and_go,
    15: a_whitelist_names_ssh_keys_and_not_lines,
}
"""By the same numbers."""


@needs("gpg")
@needs("ssh-keygen")
@pytest.mark.parametrize(
    "is_absent", [pytest.param(shown, id=f"{n}: {shown.__name__}") for n, shown in DEFECTS.items()]
)
async def test_a_defect_of_0_1_4_is_not_ours(
    is_absent: Callable[[HostileRoom], Awaitable[None]],
) -> None:
    async with a_world() as world:
        await is_absent(world)
