"""A daemon that does not talk with peers of buddies 0.1.4, and one that does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from buddies_core.identity.node_key import NodeKey
from buddies_core.model.bodies import (
    Body,
    Join,
    MemoryCreated,
    Presence,
    SearchFilters,
    SearchRequest,
    SearchResponse,
    SkillSearchFilters,
    SkillSearchRequest,
    StatusUpdate,
    TaskRequest,
)
from buddies_core.model.ids import RequestId
from buddies_core.net.driver import ContentDelivered
from buddies_core.wire.room_messages import open_envelope
from tests.support.memories import DEMO, an_entry
from tests.support.tasks import task_id
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import some_person
from tests.support.worlds.whole_daemon import (
    Stranger,
    WholeDaemon,
    a_stranger_among,
    a_whole_daemon,
    sealed,
    unsigned,
)

BOB = NodeKey(b"b" * 32)
OLD_TALK: list[Body] = [
    Join("olga", "cursor"),
    MemoryCreated(replace(an_entry(2), author="olga")),
    SearchRequest(RequestId(UUID(int=1)), "entry", SearchFilters()),
    SkillSearchRequest(RequestId(UUID(int=2)), "entry", SkillSearchFilters()),
    TaskRequest(
        task_id=task_id(7),
        source_peer="olga",
        room=DEMO,
        description="do it",
        timeout_s=60,
        created_at_s=0,
    ),
]


@asynccontextmanager
async def alice_and_olga(legacy: str) -> AsyncIterator[tuple[WholeDaemon, Stranger]]:
    """Give Alice's daemon with this switch, in a room where Olga's 0.1.4 peer has talked."""
    with some_person() as owner:
        async with a_whole_daemon(owner.home, {**owner.environ, "BUDDIES_LEGACY": legacy}) as alice:
            await alice.client.join_room(DEMO)
            async with a_stranger_among(alice) as olga:
                for body in OLD_TALK:
                    await olga.says(unsigned(body))
                # What is signed comes after it, so all of the above has been read then.
                told = MemoryCreated(an_entry(1, author=BOB.endpoint))
                await olga.says(sealed(BOB, told))
                await eventually(
                    alice.client.list_memories,
                    lambda it: BOB.endpoint.hex() in {memory.author for memory in it.results},
                )
                await alice.has_settled()
                yield alice, olga


async def kinds_that_olga_hears(alice: WholeDaemon, olga: Stranger, last: type) -> set[type]:
    """Return the kinds of messages that Alice's daemon says until it says one of this kind."""
    kinds: set[type] = set()
    while last not in kinds:
        delivery = await olga.network.next_delivery()
        if isinstance(delivery, ContentDelivered):
            kinds.add(type(open_envelope(delivery.content).message.body))
            delivery.done()
    return kinds


async def test_with_the_switch_off_nothing_unsigned_has_any_effect() -> None:
    async with alice_and_olga("off") as (alice, olga):
        assert (await alice.counters())["legacy_refused"] == len(OLD_TALK)
        members = (await alice.client.room_status(DEMO)).members
        assert "olga" not in {member.name for member in members}
        assert len((await alice.client.list_memories()).results) == 1
        assert not (await alice.client.list_tasks()).tasks
        assert (await alice.client.status()).info.legacy is False
        await alice.client.search_memory("entry")
        await alice.client.notify(DEMO, "done")
        assert await kinds_that_olga_hears(alice, olga, StatusUpdate) == {Presence, StatusUpdate}


async def test_with_the_switch_on_old_peers_are_members_heard_and_answered() -> None:
    async with alice_and_olga("on") as (alice, olga):
        assert (await alice.counters())["legacy_refused"] == 0
        members = (await alice.client.room_status(DEMO)).members
        assert "olga" in {member.name for member in members}
        assert len((await alice.client.list_memories()).results) == 2
        assert [it.id for it in (await alice.client.list_tasks()).tasks] == [task_id(7)]
        assert (await alice.client.status()).info.legacy is True
        assert Join in await kinds_that_olga_hears(alice, olga, SearchResponse)
