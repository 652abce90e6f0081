"""Storing, receiving, listing and reading memories, among nodes that share a room."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest

from buddies_core.asking import completion
from buddies_core.asking.fetching import PART_BYTES
from buddies_core.asking.wanted import WANTED_PER_AUTHOR_MAX, Wanted
from buddies_core.convert.cursors import memory_place
from buddies_core.errors import (
    Busy,
    InvalidInput,
    NotAllowed,
    NotFound,
    QuotaExceeded,
    StoreError,
)
from buddies_core.gossip.messages import CONTENT_BYTES_MAX as BROADCAST_BYTES_MAX
from buddies_core.memory import remainders
from buddies_core.memory.copies import received_memory, unsigned_copy
from buddies_core.model.bodies import MemoryCreated
from buddies_core.model.identity import SshIdentity, Verified
from buddies_core.model.ids import MemoryId, RoomName
from buddies_core.model.memory import (
    CONTENT_BYTES_MAX,
    SNIPPET_CHARS_MAX,
    TITLE_BYTES_MAX,
    Memory,
    MemoryFilter,
    MemoryKey,
    MemoryKind,
    Whole,
    verified_key,
)
from buddies_core.model.views import MemoryView
from buddies_core.pb.peer_pb2 import FetchMemory, Part, PeerReply, PeerRequest
from buddies_core.wire.room_messages import (
    RoomMessage,
    encode_room_message,
    legacy_signed_payload,
)
from tests.support.eventually import until
from tests.support.memories import CAROL, DEMO, a_memory, an_entry, memory_id
from tests.support.worlds.person import an_ed25519_signer
from tests.support.worlds.team import Node, Team

OPS = RoomName("ops")
LONG = "".join(f"line {number}: größer\n" for number in range(20_000))
NOW_S = 1_700_000_000


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.fixture
def alice(team: Team) -> Node:
    return team.node("alice", DEMO, OPS)


@pytest.fixture
def bob(team: Team, alice: Node) -> Node:
    return team.node("bob")


@asynccontextmanager
async def running(*nodes: Node) -> AsyncIterator[None]:
    """Have these nodes fetch in the background."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(node.memories.run()) for node in nodes]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


def only(node: Node) -> Memory:
    [key] = node.store._memories
    memory = node.store.get_memory(key)
    assert memory is not None
    return memory


# Storing


async def test_a_memory_is_meant_by_the_first_digits_of_its_id(alice: Node) -> None:
    of = alice.memories.id_of
    first, second = [
        (await alice.memories.store(DEMO, "", it, MemoryKind.CONTEXT, (), (), agent="", user="")).id
        for it in "ab"
    ]

    assert of(f" '{first.hex[:8].upper()}' ", "id") == of(str(first)[:13], "id") == first
    assert of(str(second), "id") == second
    twin = MemoryId(UUID(first.hex[:8] + "0" * 24))
    await alice.store.put_memory(a_memory(replace(an_entry(), id=twin)))
    with pytest.raises(InvalidInput) as refused:
        of(first.hex[:8], "reference")
    assert str(refused.value) == (
        f"reference {first.hex[:8]} begins several ids, such as {twin} and {first}; give the whole"
        " id"
    )
    assert of(first.hex[:31], "id") == first
    with pytest.raises(NotFound, match="id 00000000 begins the id of no memory on this machine"):
        of("00000000", "id")
    for wrong in (first.hex[:7], "7", "", "g" * 8):
        with pytest.raises(InvalidInput, match="is no id; one looks like"):
            of(wrong, "id")


async def test_a_memory_is_kept_before_it_is_told(team: Team, alice: Node, bob: Node) -> None:
    kept_when_told: list[int] = []
    alice.rooms.on_send = lambda _: kept_when_told.append(alice.store.count_memories())

    view = await alice.store_memory("We use PostgreSQL", title=" Database ", tags=("db", "db"))

    assert kept_when_told == [1]
    assert view == MemoryView(
        id=view.id,
        author=alice.endpoint.hex(),
        author_name="alice",
        agent="claude",
        verified=Verified.PEER,
        room=DEMO,
        kind=MemoryKind.DECISION,
        title="Database",
        content="We use PostgreSQL",
        tags=("db",),
        references=(),
        created_at_s=NOW_S,
        truncated=False,
        size=17,
    )
    assert view.id.version == 4
    assert alice.index.noticed == 1


async def test_a_memory_shows_whose_key_vouches_for_its_author_also_when_that_is_known_later(
    alice: Node, bob: Node
) -> None:
    stored = await alice.store_memory("We use PostgreSQL")
    assert (stored.verified, stored.signed_by) == (Verified.PEER, "")
    alice.rooms.signers[alice.endpoint] = SshIdentity("ssh-ed25519 AAAA")
    (listed,) = (await alice.memories.list(MemoryFilter(), 10)).results
    page = await alice.memories.get(stored.id, 0, 10)
    for shown in (listed, page.memory):
        assert (shown.verified, shown.signed_by) == (Verified.SIGNER, "ssh:ssh-ed25519 AAAA")


async def test_a_0_1_4_memory_shows_who_has_signed_its_message_and_prevails_over_one_unsigned(
    alice: Node,
) -> None:
    signer = an_ed25519_signer(b"1", "ann@home")
    body = MemoryCreated(replace(an_entry(), author="ann"))
    unsigned = RoomMessage(nonce=bytes(16), body=body)
    for nonce in range(20):  # of two unsigned ones either may prevail
        unsigned = replace(unsigned, nonce=bytes([nonce]) * 16)
        await alice.hear(DEMO, encode_room_message(unsigned))
    signature = await signer.sign(legacy_signed_payload(unsigned), "buddies")
    signed = replace(unsigned, signed_by=signer.identity, signature=signature)
    await alice.hear(DEMO, encode_room_message(signed))
    await alice.hear(DEMO, encode_room_message(replace(unsigned, nonce=bytes(range(16)))))

    (shown,) = (await alice.memories.list(MemoryFilter(), 10)).results
    assert (shown.verified, shown.signed_by) == (
        Verified.SIGNER,
        an_ed25519_signer(b"1").label,
    )


async def test_a_memory_that_could_not_be_told_is_kept_all_the_same(alice: Node) -> None:
    def fail(_: bytes) -> None:
        raise Busy("the queue is full")

    alice.rooms.on_send = fail
    view = await alice.store_memory("We use PostgreSQL")

    assert (await alice.memories.get(view.id, 0, 100)).memory == view


async def test_what_the_disk_refuses_is_not_told(
    alice: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Memory) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(alice.store, "put_memory", refuse)
    with pytest.raises(StoreError):
        await alice.store_memory("We use PostgreSQL")
    assert alice.rooms.sent == []


async def test_what_is_over_a_quota_is_an_error_to_its_author_and_counted_at_others(
    team: Team, alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: Memory) -> bool:
        raise QuotaExceeded("the room is full")

    monkeypatch.setattr(bob.store, "put_memory", refuse)
    with pytest.raises(QuotaExceeded):
        await bob.store_memory("We use SQLite")
    assert bob.rooms.sent == []

    await alice.store_memory("We use PostgreSQL")
    await team.deliver(alice)
    assert bob.store.count_memories() == 0
    assert bob.counters == {"memories_over_quota": 1}


async def test_a_content_that_is_over_a_quota_is_read_and_not_fetched_again_by_itself(
    team: Team, alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(bob):
        view = await alice.store_memory(LONG)
        put = bob.store.put_memory

        async def refuse(memory: Memory) -> bool:
            if not memory.truncated:
                raise QuotaExceeded("the room is full")
            return await put(memory)

        monkeypatch.setattr(bob.store, "put_memory", refuse)
        await team.deliver(alice)
        await until(lambda: bob.counters["contents_over_quota"] == 1)
        assert len(bob.memories._completion._wanted) == 0
        assert (await bob.memories.get(view.id, 0, len(LONG))).memory.content == LONG
        assert only(bob).truncated


@pytest.mark.parametrize(
    ("content", "title"),
    [
        ("  first line \nsecond", "first line "),
        ("ü" * 300, "ü" * (TITLE_BYTES_MAX // 2)),
        ("a" + "ü" * 300, "a" + "ü" * (TITLE_BYTES_MAX // 2 - 1)),
    ],
)
async def test_a_title_that_is_left_out_is_the_first_line(
    alice: Node, content: str, title: str
) -> None:
    assert (await alice.store_memory(content)).title == title


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("content", " \n", "content is empty"),
        ("content", "x" * (CONTENT_BYTES_MAX + 1), "content has 1048577 bytes, at most 1048576"),
        ("title", "ü" * 257, "title has 514 bytes, at most 512"),
        ("tags", tuple(map(str, range(33))), "tags has 33 tags, at most 32"),
        ("tags", ("x" * 65,), "a tag has 65 bytes, at most 64"),
        ("tags", ("db", " "), "tags holds an empty one"),
        ("references", (memory_id(1),) * 33, "references has 33 references, at most 32"),
        ("tags", tuple(str(n).rjust(64) for n in range(32)), None),
    ],
)
async def test_a_field_that_can_not_be_taken_is_named(
    alice: Node, field: str, value: object, text: str | None
) -> None:
    fields = {"title": "t", "content": "c", "kind": MemoryKind.SKILL, "tags": (), "references": ()}

    async def store() -> None:
        await alice.memories.store(DEMO, *(fields | {field: value}).values(), agent="", user="")  # type: ignore[arg-type]

    if text is None:
        await store()
    else:
        with pytest.raises(InvalidInput, match=text):
            await store()
        assert alice.store.count_memories() == 0


async def test_storing_into_a_room_that_is_not_joined_says_how_to_join(bob: Node) -> None:
    with pytest.raises(NotFound, match="room 'ops' is not joined; join it first: join_room"):
        await bob.store_memory("x", room=OPS)
    assert bob.store.count_memories() == 0


# Receiving


async def test_a_memory_reaches_the_members_with_its_author(
    team: Team, alice: Node, bob: Node
) -> None:
    view = await alice.memories.store(
        DEMO, "T", "C", MemoryKind.STATUS, ("x",), (memory_id(3),), agent="claude", user="Ann"
    )
    await team.deliver(alice)

    assert view.author_name == "Ann"
    assert await bob.memories.list(MemoryFilter(), 10) == await alice.memories.list(
        MemoryFilter(), 10
    )
    assert (await bob.memories.get(view.id, 0, 10)).memory == view
    assert only(bob).proof == only(alice).proof


async def test_a_memory_is_in_the_room_it_came_in_by_whatever_it_says(
    alice: Node, bob: Node
) -> None:
    entry = an_entry(author=alice.endpoint, room=RoomName("elsewhere"))
    await bob.hear(DEMO, await alice.rooms.compose(DEMO, MemoryCreated(entry)))
    await bob.hear(DEMO, unsigned_copy(replace(entry, author="mallory")))

    assert {memory.room for memory in (await bob.memories.list(MemoryFilter(), 9)).results} == {
        DEMO
    }


async def test_an_unsigned_memory_is_kept_beside_the_signed_one_and_never_in_its_place(
    alice: Node, bob: Node
) -> None:
    view = await alice.store_memory("We use PostgreSQL")
    signed = only(alice)
    await bob.hear(DEMO, unsigned_copy(replace(signed.entry, content="We use nothing")))
    await bob.hear(DEMO, signed.proof)

    assert (await bob.memories.get(view.id, 0, 99)).memory == view
    listed = (await bob.memories.list(MemoryFilter(), 9)).results
    assert {(m.verified, m.content) for m in listed} == {
        (Verified.PEER, "We use PostgreSQL"),
        (Verified.UNVERIFIED, "We use nothing"),
    }


async def test_an_unsigned_memory_names_whoever_it_claims(alice: Node, bob: Node) -> None:
    claims = [alice.endpoint.hex(), CAROL.hex(), "dora" * 50]
    for number, author in enumerate(claims):
        entry = replace(an_entry(number, created_at_s=number), author=author)
        await bob.hear(DEMO, unsigned_copy(entry))

    listed = (await bob.memories.list(MemoryFilter(), 9)).results
    assert [memory.author_name for memory in reversed(listed)] == [
        "alice",
        CAROL.hex()[:10],
        ("dora" * 50)[:64],
    ]


@pytest.mark.parametrize(
    ("entry", "whole"),
    [
        (an_entry(title="t" * 513), None),
        (an_entry(tags=("x",) * 33), None),
        (an_entry(tags=("x" * 65,)), None),
        (an_entry(references=(memory_id(1),) * 33), None),
        (an_entry(created_at_s=1 << 60), None),
        (an_entry(), Whole(b"h" * 32, CONTENT_BYTES_MAX + 1)),
    ],
)
async def test_a_memory_beyond_the_limits_is_dropped_and_counted(
    alice: Node, bob: Node, entry: object, whole: Whole | None
) -> None:
    assert isinstance(entry, type(an_entry()))
    body = MemoryCreated(replace(entry, author=alice.endpoint.hex()))
    await bob.hear(DEMO, await alice.rooms.compose(DEMO, body, whole=whole))

    assert bob.store.count_memories() == 0
    assert bob.counters == {"memories_rejected": 1}


# Contents that don't fit


async def test_a_long_memory_is_told_shortened_and_fetched_whole(
    team: Team, alice: Node, bob: Node
) -> None:
    view = await alice.store_memory(LONG)
    [(_, told)] = alice.rooms.sent
    assert len(told) <= BROADCAST_BYTES_MAX
    assert (view.content, view.truncated, view.size) == (
        LONG[:SNIPPET_CHARS_MAX],
        True,
        len(LONG.encode()),
    )

    async with running(bob):
        await team.deliver(alice)
        await until(lambda: not only(bob).truncated)

    assert only(bob).entry == only(alice).entry
    assert bob.index.noticed == 2  # Its beginning, then all of it.


async def test_the_rest_comes_from_any_member_once_the_author_has_gone(
    team: Team, alice: Node, bob: Node
) -> None:
    carol = team.node("carol")
    await alice.store_memory(LONG)
    async with running(carol):
        sent = alice.rooms.sent[0][1]
        await carol.hear(DEMO, sent)
        await until(lambda: not only(carol).truncated)
    team.goes(alice)

    async with running(bob):
        await bob.hear(DEMO, sent)
        await until(lambda: not only(bob).truncated)

    assert only(bob).entry.content == LONG


async def test_a_content_that_is_not_the_announced_one_is_refused(
    team: Team, alice: Node, bob: Node
) -> None:
    def refuse(_: PeerRequest) -> list[PeerReply]:
        raise Busy("later")

    lies = {
        "other text": LONG.replace("größer", "kleiner").encode(),
        "too short": LONG.encode()[:-1],
        "not text": b"\xff" * len(LONG.encode()),
    }
    for name, content in lies.items():
        liar = team.node(name)
        part = PeerReply(memory_part=Part(content=content))
        team.answers[liar.endpoint] = lambda _, part=part: [part]  # type: ignore[misc]
    await alice.store_memory(LONG)
    team.answers[alice.endpoint] = refuse

    await bob.hear(DEMO, alice.rooms.sent[0][1])
    page = await bob.memories.get(only(bob).entry.id, 0, 100)

    assert page.memory.truncated
    assert only(bob).truncated
    assert bob.counters == {"fetches_rejected": 3}
    del team.answers[alice.endpoint]
    async with running(bob):
        await until(lambda: not only(bob).truncated)


async def stopped_before_it_was_fetched(alice: Node, bob: Node) -> None:
    """Have what Alice has told on Bob's disk."""
    admitted = await bob.rooms.admit(DEMO, alice.rooms.sent[0][1])
    await bob.store.put_memory(received_memory(admitted, bob.rooms, bob.clock.wall_ms()))
    assert only(bob).truncated


async def test_what_was_truncated_at_the_last_stop_is_fetched_at_start(
    alice: Node, bob: Node
) -> None:
    await alice.store_memory(LONG)
    await stopped_before_it_was_fetched(alice, bob)

    async with running(bob):
        await until(lambda: not only(bob).truncated)


async def test_a_content_comes_from_a_member_that_appears_later(
    team: Team, alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "CHECK_EVERY_S", 0.001)
    await alice.store_memory(LONG)
    await bob.hear(DEMO, alice.rooms.sent[0][1])
    team.goes(alice)
    carol = team.node("carol")  # Has never heard of it.

    async with running(bob):
        await until(lambda: [peer for peer, _ in bob.network.asked] == [carol.endpoint])
        team.nodes[alice.endpoint] = alice
        bob.rooms.present[DEMO].append(alice.member())
        await until(lambda: not only(bob).truncated)


async def test_all_contents_of_one_author_are_fetched_however_many_come_at_once(
    alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remainders, "LEFT_OUT_EVERY_S", 0.001)
    for _ in range(WANTED_PER_AUTHOR_MAX + 9):
        await alice.store_memory(LONG)
    for _, proof in alice.rooms.sent:
        await bob.hear(DEMO, proof)
    assert len(bob.store.truncated_memories(999)) == WANTED_PER_AUTHOR_MAX + 9

    async with running(bob):
        await until(lambda: not bob.store.truncated_memories(999))


async def test_what_nobody_can_give_keeps_nothing_else_from_being_fetched(
    team: Team, alice: Node, bob: Node
) -> None:
    mallory = team.node("mallory")
    for _ in range(WANTED_PER_AUTHOR_MAX + 9):
        await mallory.store_memory(LONG)
    await alice.store_memory(LONG)
    for _, proof in (*mallory.rooms.sent, *alice.rooms.sent):
        await bob.hear(DEMO, proof)
    team.answers[mallory.endpoint] = refusing_to_give

    async with running(bob):
        await until(lambda: len(bob.store.truncated_memories(999)) == WANTED_PER_AUTHOR_MAX + 9)


def refusing_to_give(_request: PeerRequest) -> list[PeerReply]:
    raise NotFound("that memory is not here")


async def test_what_the_disk_does_not_say_is_looked_for_again(
    alice: Node, bob: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remainders, "CHECK_EVERY_S", 0.001)
    await alice.store_memory(LONG)
    await stopped_before_it_was_fetched(alice, bob)
    readable = bob.store.truncated_memories

    def damaged_once(limit: int, after: MemoryKey | None = None) -> tuple[MemoryKey, ...]:
        monkeypatch.setattr(bob.store, "truncated_memories", readable)
        raise StoreError("the disk is damaged")

    monkeypatch.setattr(bob.store, "truncated_memories", damaged_once)
    async with running(bob):
        await until(lambda: not only(bob).truncated)
    assert "contents_not_looked_for: the disk is damaged" in caplog.text


async def test_a_content_that_the_disk_refuses_is_fetched_again_after_a_pause(
    alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "CHECK_EVERY_S", 0.001)
    await alice.store_memory(LONG)
    await stopped_before_it_was_fetched(alice, bob)
    refused, looks = [], []
    look_around = Wanted.look_around

    async def full(memory: Memory) -> bool:
        refused.append(memory)
        raise StoreError("the disk is full")

    def counted(wanted: Wanted[MemoryKey]) -> None:
        looks.append(wanted)
        look_around(wanted)

    monkeypatch.setattr(bob.store, "put_memory", full)
    monkeypatch.setattr(Wanted, "look_around", counted)
    async with running(bob):
        await until(lambda: len(refused) == 1)
        looks.clear()
        await until(lambda: len(looks) > 20)
        assert len(refused) == 1
        bob.clock.monotonic_s += completion.DISK_PAUSE_S
        await until(lambda: len(refused) == 2)


# Listing and reading


async def test_lists_show_the_beginning_of_long_contents(alice: Node) -> None:
    short = await alice.store_memory("x" * SNIPPET_CHARS_MAX)
    long = await alice.store_memory("y" * (SNIPPET_CHARS_MAX + 1))

    listed = await alice.memories.list(MemoryFilter(room=DEMO), 10)

    assert listed.results == (long, short)
    assert [(len(view.content), view.truncated, view.size) for view in listed.results] == [
        (1000, True, 1001),
        (1000, False, 1000),
    ]
    assert await alice.memories.list(MemoryFilter(), 1) == replace(
        listed, results=(long,), cursors=listed.cursors[:1]
    )
    after_long = memory_place(listed.cursors[0])
    assert await alice.memories.list(MemoryFilter(), 9, after_long) == replace(
        listed, results=(short,), cursors=listed.cursors[1:]
    )


async def test_the_list_of_an_unknown_room_is_an_error_and_of_one_that_was_left_is_not(
    alice: Node,
) -> None:
    await alice.store_memory("x")
    del alice.rooms.present[DEMO]

    assert len((await alice.memories.list(MemoryFilter(room=DEMO), 9)).results) == 1
    with pytest.raises(NotFound, match="room 'nope' is not joined"):
        await alice.memories.list(MemoryFilter(room=RoomName("nope")), 9)


async def test_pages_add_up_to_the_whole_content(alice: Node) -> None:
    id = (await alice.store_memory(LONG)).id
    read, offset, pages = "", 0, 0
    while True:
        page = await alice.memories.get(id, offset, 100_000)
        assert (page.offset, page.total) == (offset, len(LONG))
        read += page.memory.content
        pages += 1
        if page.next_offset is None:
            break
        offset = page.next_offset

    assert (read, pages) == (LONG, len(LONG) // 100_000 + 1)
    with pytest.raises(InvalidInput, match=f"the content has {len(LONG)} characters"):
        await alice.memories.get(id, len(LONG) + 1, 10)


async def test_a_memory_that_is_elsewhere_is_read_from_any_member_of_any_room(
    team: Team, alice: Node, bob: Node
) -> None:
    dave = team.node("dave", OPS)
    id = (await alice.store_memory(LONG, room=OPS)).id
    team.silent.add(bob.endpoint)

    page = await dave.memories.get(id, 10, len(LONG))

    assert page.memory.content == LONG[10:]
    assert dave.store.count_memories() == 0
    team.goes(alice)
    # It is remembered for a while.
    assert await dave.memories.get(id, 10, len(LONG)) == page
    assert dave.memories.id_of(id.hex[:8], "id") == id


async def test_the_rest_of_a_content_is_asked_of_its_author_first(
    team: Team, alice: Node, bob: Node
) -> None:
    carol = team.node("carol")
    view = await carol.store_memory(LONG)
    await bob.hear(DEMO, carol.rooms.sent[0][1])

    page = await bob.memories.get(view.id, 0, len(LONG))

    assert page.memory.content == LONG
    assert [peer for peer, _ in bob.network.asked] == [carol.endpoint]


async def test_a_member_that_has_only_the_beginning_is_not_taken_for_one_that_has_it_all(
    team: Team, alice: Node, bob: Node
) -> None:
    team.silent |= {team.node(f"silent {number}").endpoint for number in range(3)}
    carol = team.node("carol")  # She is asked when one of the four before her has answered.
    view = await carol.store_memory(LONG)
    await alice.hear(DEMO, carol.rooms.sent[0][1])

    page = await bob.memories.get(view.id, 0, len(LONG))

    assert page.memory.content == LONG
    by_id = PeerRequest(fetch_memory=FetchMemory(id=view.id.bytes))
    asked = [(alice.endpoint, by_id), *((it, by_id) for it in team.silent)]
    assert sorted(bob.network.asked[:4], key=str) == sorted(asked, key=str)
    assert bob.network.asked[4:] == [(carol.endpoint, by_id)]


async def test_who_was_asked_is_told_when_nobody_has_it(team: Team, alice: Node, bob: Node) -> None:
    carol, dora = team.node("carol"), team.node("dora")

    def refuse(_: PeerRequest) -> list[PeerReply]:
        raise NotAllowed("not with you")

    team.answers[carol.endpoint] = refuse
    del team.nodes[dora.endpoint]

    with pytest.raises(
        NotFound,
        match="present members without it: 1; "
        "not given by carol: not with you; not given by dora: connection refused",
    ):
        await bob.memories.get(memory_id(77), 0, 10)


async def test_a_verified_memory_is_preferred_to_an_unverified_one_of_another_member(
    team: Team, alice: Node, bob: Node
) -> None:
    carol, dora = team.node("carol"), team.node("dora")
    entry = an_entry(author=alice.endpoint)
    await alice.hear(DEMO, await alice.rooms.compose(DEMO, MemoryCreated(entry)))
    await carol.hear(DEMO, unsigned_copy(replace(entry, content="false")))

    assert (await dora.memories.get(entry.id, 0, 99)).memory.content == entry.content
    team.goes(alice)
    assert (await bob.memories.get(entry.id, 0, 99)).memory.content == "false"


async def test_a_member_that_gives_another_memory_than_asked_for_is_not_believed(
    team: Team, alice: Node, bob: Node
) -> None:
    await alice.store_memory("We use PostgreSQL")
    proof = only(alice).proof
    team.answers[alice.endpoint] = lambda _: [PeerReply(memory_part=Part(proof=proof))]

    with pytest.raises(NotFound, match="another memory"):
        await bob.memories.get(memory_id(5), 0, 10)


async def test_of_a_content_whose_rest_nobody_has_the_beginning_is_read_and_then_an_error(
    team: Team, alice: Node, bob: Node
) -> None:
    view = await alice.store_memory(LONG)
    await bob.hear(DEMO, alice.rooms.sent[0][1])
    team.goes(alice)

    page = await bob.memories.get(view.id, 0, 1 << 20)

    assert LONG.startswith(page.memory.content)
    assert page.memory.truncated
    assert page.next_offset == len(page.memory.content)
    with pytest.raises(
        NotFound, match=r"rest of memory .* \(no member is present\); try again when alice"
    ):
        await bob.memories.get(view.id, page.next_offset, 1 << 20)


# Handing on


async def test_a_memory_is_handed_on_only_in_its_room(alice: Node, bob: Node) -> None:
    id = (await alice.store_memory("secret of ops", room=OPS)).id
    key = verified_key(alice.endpoint, id)

    for request in (FetchMemory(id=id.bytes), FetchMemory(key=key)):
        with pytest.raises(NotFound):
            await alice.memories.answer_fetch(bob.endpoint, DEMO, request)
        with pytest.raises(NotFound):
            await alice.memories.answer_fetch(bob.endpoint, RoomName("x"), request)
        replies = await alice.memories.answer_fetch(bob.endpoint, OPS, request)
        assert replies == [PeerReply(memory_part=Part(proof=only(alice).proof))]


async def test_of_many_memories_under_one_id_one_content_is_read(
    alice: Node, bob: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may give an unverified memory any id, and it may have 1 MiB of content."""
    claims = [
        a_memory(an_entry(7, content=f"claim {n}", created_at_s=n), verified=Verified.UNVERIFIED)
        for n in range(50)
    ]
    for memory in claims:
        await alice.store.put_memory(memory)
    read: list[MemoryKey] = []
    get_memory = alice.store.get_memory

    def noted(key: MemoryKey) -> Memory | None:
        read.append(key)
        return get_memory(key)

    monkeypatch.setattr(alice.store, "get_memory", noted)
    page = await alice.memories.get(memory_id(7), 0, 99)
    request = FetchMemory(id=memory_id(7).bytes)
    replies = await alice.memories.answer_fetch(bob.endpoint, DEMO, request)
    assert page.memory.content == "claim 0"
    assert replies == [PeerReply(memory_part=Part(proof=claims[0].proof))]
    assert read == [claims[0].key] * 2


async def test_a_content_is_handed_on_in_frames_that_fit(alice: Node, bob: Node) -> None:
    id = (await alice.store_memory(LONG)).id
    replies = await alice.memories.answer_fetch(bob.endpoint, DEMO, FetchMemory(id=id.bytes))

    assert replies[0] == PeerReply(memory_part=Part(proof=only(alice).proof))
    assert b"".join(reply.memory_part.content for reply in replies) == LONG.encode()
    assert max(len(reply.memory_part.content) for reply in replies) == PART_BYTES


async def test_who_has_only_the_beginning_hands_on_that_but_not_as_the_whole(
    alice: Node, bob: Node
) -> None:
    await alice.store_memory(LONG)
    await bob.hear(DEMO, alice.rooms.sent[0][1])
    memory = only(bob)

    with pytest.raises(NotFound):
        await bob.memories.answer_fetch(alice.endpoint, DEMO, FetchMemory(key=memory.key))
    replies = await bob.memories.answer_fetch(
        alice.endpoint, DEMO, FetchMemory(id=memory.entry.id.bytes)
    )
    assert replies == [PeerReply(memory_part=Part(proof=memory.proof))]


@pytest.mark.parametrize("request_", [FetchMemory(), FetchMemory(id=b"short")])
async def test_a_fetch_that_names_nothing_is_refused(
    alice: Node, bob: Node, request_: FetchMemory
) -> None:
    with pytest.raises(InvalidInput):
        await alice.memories.answer_fetch(bob.endpoint, DEMO, request_)
