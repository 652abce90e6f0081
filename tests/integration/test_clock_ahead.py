"""A clock that was ahead once does no harm after it was set right."""

import pytest

from buddies_core.clock import SystemClock
from tests.support.memories import DEMO
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import some_person
from tests.support.worlds.whole_daemon import WholeDaemon, a_whole_daemon

HOUR_MS = 3_600_000
GENERATED = {"BUDDIES_USER": "alice", "BUDDIES_SIGNER": "generated"}


def without_comment(label: str) -> str:
    """Return an SSH key's label as others see it: anybody can choose a comment."""
    return " ".join(label.split()[:2])


async def signer_of_alice(node: WholeDaemon) -> str:
    """Return the label of the key that this node knows to vouch for alice."""
    members = (await node.client.room_status(DEMO)).members
    return next((it.signed_by for it in members if it.name == "alice"), "")


async def test_a_key_changed_after_the_clock_was_ahead_is_believed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with some_person() as owner, some_person() as other:
        async with a_whole_daemon(other.home, {"BUDDIES_USER": "carol"}) as carol:
            ticket = (await carol.client.join_room(DEMO)).ticket
            with monkeypatch.context() as ahead:
                right = SystemClock.wall_ms
                ahead.setattr(SystemClock, "wall_ms", lambda self: right(self) + HOUR_MS)
                async with a_whole_daemon(owner.home, GENERATED) as alice:
                    await alice.client.join_room(DEMO, ticket)
                    old = without_comment(alice.client.info.identity)
                    await eventually(lambda: signer_of_alice(carol), lambda it: it == old)
            (owner.home / "data" / "identity_ed25519").unlink()
            async with a_whole_daemon(owner.home, GENERATED) as alice:
                new = without_comment(alice.client.info.identity)
                assert new != old
                await eventually(lambda: signer_of_alice(carol), lambda it: it == new)
                await alice.client.store_memory(room=DEMO, content="by the new key")
                [memory] = (
                    await eventually(
                        lambda: carol.client.list_memories(room=DEMO), lambda it: it.results != ()
                    )
                ).results
                assert memory.signed_by == new
