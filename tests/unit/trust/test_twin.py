"""What shows that another machine has our key, and what does not."""

from collections import Counter

import pytest

from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.verifying import Verifier
from buddies_core.model.bodies import StatusUpdate
from buddies_core.model.ids import RoomId, RoomName, topic_of
from buddies_core.rooms.composing import SENT_AT, Composer
from buddies_core.trust import twin
from buddies_core.trust.admission import Admission
from buddies_core.trust.admitted import Rejected
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.whole_daemon import sealed

ALICE, MALLORY = NodeKey(b"a" * 32), NodeKey(b"m" * 32)
DEMO = RoomName("demo")
ROOM_ID = RoomId(topic_of(DEMO))
HELLO = StatusUpdate(ALICE.endpoint.hex(), "hello")


class OneOfTwins:
    """Alice's, which speaks and admits what it hears."""

    def __init__(self, store: InMemoryStore | None = None) -> None:
        self.store = store or InMemoryStore()
        self.clock = ManualClock()
        self.composer = Composer(ALICE, self.store, self.clock)
        self.admission = Admission(
            self.store,
            Verifier({}, self.clock).verify,
            Counter(),
            twin=self.composer.twin,
        )

    async def says(self) -> bytes:
        return await self.composer.compose(ROOM_ID, HELLO)

    async def hears(self, raw: bytes) -> bool:
        """Return whether it warns after it has heard this."""
        await self.admission.admit(DEMO, ROOM_ID, raw)
        return self.warns

    @property
    def warns(self) -> bool:
        return self.composer.twin.warnings() != ()


def said_elsewhere(after_ms: int, node: OneOfTwins, key: NodeKey = ALICE) -> bytes:
    """Return what was said with this key, so long after now by the node's clock."""
    return sealed(key, HELLO, sent_at_ms=node.clock.wall_ms() + after_ms)


@pytest.mark.parametrize("after_ms", [1, 60_000])
async def test_a_message_that_we_did_not_make_since_our_start_shows_a_twin(after_ms: int) -> None:
    node = OneOfTwins()

    assert await node.hears(said_elsewhere(after_ms, node))

    [warning] = node.composer.twin.warnings()
    assert warning.startswith("another machine uses this machine's key; it spoke 0 s ago.")


async def test_one_between_two_of_ours_shows_it_as_well() -> None:
    node = OneOfTwins()
    await node.says()
    elsewhere = said_elsewhere(5, node)
    node.clock.unix_ms += 10
    await node.says()

    assert await node.hears(elsewhere)


async def test_what_we_said_ourselves_shows_nothing_however_often_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(twin, "TIMES_MAX", 3)
    node = OneOfTwins()
    ours = [await node.says() for _ in range(10)]

    assert [await node.hears(raw) for raw in ours * 2] == [False] * 20


async def test_what_was_said_before_our_start_shows_nothing() -> None:
    """By us, or on the machine that the data directory was on, or is a backup of."""
    before = OneOfTwins()
    ours = await before.says()
    backup = InMemoryStore()
    node = OneOfTwins(backup)

    assert backup.watermark(SENT_AT) == 0
    assert not await node.hears(ours)
    assert not await node.hears(said_elsewhere(-1, node))
    assert not await node.hears(said_elsewhere(0, node))


async def test_nobody_without_our_key_can_make_us_warn() -> None:
    node = OneOfTwins()
    forged = sealed(MALLORY, HELLO, claimed=ALICE.endpoint, sent_at_ms=node.clock.wall_ms() + 1000)

    with pytest.raises(Rejected, match="not signed by"):
        await node.hears(forged)
    own = StatusUpdate(MALLORY.endpoint.hex(), "hello")
    await node.hears(sealed(MALLORY, own, sent_at_ms=node.clock.wall_ms() + 1000))

    assert not node.warns


async def test_the_warning_ends_some_minutes_after_the_twin_did() -> None:
    node = OneOfTwins()
    await node.hears(said_elsewhere(1, node))

    node.clock.monotonic_s += twin.WARNS_FOR_S - 1
    assert node.warns
    node.clock.monotonic_s += 2
    assert not node.warns


async def test_we_go_on_from_the_time_of_a_twin_whose_clock_is_ahead_so_that_it_hears_of_us() -> (
    None
):
    node = OneOfTwins()
    await node.hears(said_elsewhere(60_000, node))
    await node.hears(said_elsewhere(twin.AHEAD_MS_MAX + 1, node))

    await node.says()

    assert node.store.watermark(SENT_AT) == node.clock.wall_ms() + 60_001
