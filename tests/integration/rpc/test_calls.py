"""Each call, from the client over a real socket to what lies behind it, and back."""

import stat
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import InvalidInput, NotFound
from buddies_core.model.ids import RoomName
from buddies_core.model.memory import MemoryFilter, MemoryKind, MemoryRef
from buddies_core.model.private import Invite
from buddies_core.model.room import LeaveReport, NotifyReport, TicketReport
from buddies_core.model.views import DeletedMemory, Link, MemoryList, MemoryPage, Relation
from buddies_core.paths import Paths
from buddies_core.wire.tickets import decode_ticket
from tests.support.fakes.node import FakeNode
from tests.support.fakes.services import (
    DAEMON_STATUS,
    FOUND,
    JOIN_REPORT,
    MEMORY,
    MEMORY_ID,
    OTHER_ID,
    ROOM_STATUS,
    ROTATED,
    SEARCH_RESULT,
    daemon_info,
)


async def test_the_socket_and_its_directory_are_their_owners_alone(
    paths: Paths, node: FakeNode
) -> None:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (paths.runtime_dir, paths.socket)]

    assert modes == [0o700, 0o600]


async def test_the_handshake_tells_who_the_daemon_is(client: DaemonClient) -> None:
    assert (client.info, client.agents_attached) == (daemon_info(), 0)


async def test_joining_gives_the_whole_report(client: DaemonClient, node: FakeNode) -> None:
    assert await client.join_room("feature-a", "a ticket") == JOIN_REPORT
    assert await client.join_room("feature-a", private=True) == replace(JOIN_REPORT, private=True)
    assert node.rooms.calls == [
        ("join", "feature-a", "a ticket", None, False),
        ("join", "feature-a", None, None, True),
    ]


async def test_what_a_call_logs_names_its_room_and_its_request(
    client: DaemonClient, node: FakeNode
) -> None:
    await client.join_room("a")
    await client.join_room("b")

    # The handshake was the first call.
    assert node.rooms.contexts == [("a", "rpc-2"), ("b", "rpc-3")]


async def test_leaving_tells_who_keeps_the_node_in_the_room(
    client: DaemonClient, node: FakeNode
) -> None:
    report = await client.leave_room("feature-a", for_all=True)

    assert report == LeaveReport(RoomName("feature-a"), False, ("codex",))
    assert node.rooms.calls == [("leave", "feature-a", None, True)]


async def test_rooms_status_ticket_and_notify_cross_the_socket_unchanged(
    client: DaemonClient, node: FakeNode
) -> None:
    assert await client.list_rooms() == ("a", "feature-a")
    assert await client.room_status("feature-a") == ROOM_STATUS
    assert await client.room_ticket("feature-a") == TicketReport(
        RoomName("feature-a"), "ticket-text", ("it may work here alone",)
    )
    limited = (await client.room_ticket("feature-a", uses=2, expires_s=0.5)).ticket
    invite = decode_ticket(limited)
    assert isinstance(invite, Invite)
    assert invite.uses == 2
    assert await client.rotate_room("feature-a", ["bob"]) == ROTATED
    assert await client.notify("feature-a", "reading ☺") == NotifyReport(
        RoomName("feature-a"), "reading ☺", 3
    )
    assert node.rooms.calls == [
        ("status", "feature-a"),
        ("ticket", "feature-a", None, None),
        ("ticket", "feature-a", 2, 0.5),
        ("rotate", "feature-a", ("bob",)),
        ("notify", "feature-a", "reading ☺", None),
    ]


async def test_storing_parses_the_kind_and_the_references(
    client: DaemonClient, node: FakeNode
) -> None:
    stored = await client.store_memory(
        room="feature-a",
        title="Database",
        content="PostgreSQL",
        kind="decision",
        tags=["db"],
        references=[str(OTHER_ID)],
        supersedes=f"{OTHER_ID}@AB12",
    )
    await client.store_memory(room="feature-a", content="PostgreSQL")

    assert stored == MEMORY
    assert node.memories.calls == [
        (
            "store", "feature-a", "Database", "PostgreSQL", MemoryKind.DECISION,
            ("db",), (OTHER_ID,), MemoryRef(OTHER_ID, "ab12"), "", "",
        ),
        ("store", "feature-a", "", "PostgreSQL", MemoryKind.CONTEXT, (), (), None, "", ""),
    ]  # fmt: skip


async def test_a_list_is_limited_by_what_was_asked_and_by_nothing_else(
    client: DaemonClient, node: FakeNode
) -> None:
    listed = await client.list_memories(
        room="r",
        kind="status",
        tags=("a", "b"),
        author="bob",
        agent="codex",
        since_ms=0,
        include_superseded=True,
        limit=7,
    )
    await client.list_memories()

    assert listed == MemoryList((MEMORY, FOUND), 2)
    assert node.memories.calls == [
        (
            "list",
            MemoryFilter(
                room=RoomName("r"),
                kind=MemoryKind.STATUS,
                tags=("a", "b"),
                author="bob",
                agent="codex",
                since_ms=0,
                include_superseded=True,
            ),
            8,  # one more, to know whether the list goes on
            None,
        ),
        ("list", MemoryFilter(), 21, None),
    ]


async def test_a_page_of_a_memory_says_where_the_next_begins(
    client: DaemonClient, node: FakeNode
) -> None:
    page = await client.get_memory(str(MEMORY_ID), offset=10, limit=5)

    assert page == MemoryPage(memory=MEMORY, offset=10, next_offset=15, total=200_000)
    assert node.memories.calls == [("get", MemoryRef(MEMORY_ID), 10, 5)]


async def test_the_links_of_a_memory_come_with_it(client: DaemonClient, node: FakeNode) -> None:
    node.memories.page = MemoryPage(
        memory=replace(
            MEMORY,
            supersedes=(OTHER_ID,),
            superseded_by=(MEMORY_ID,),
            proposals=(OTHER_ID, MEMORY_ID),
            proposed_for=(MEMORY_ID,),
        ),
        offset=0,
        next_offset=None,
        total=41,
        links=tuple(Link(relation, OTHER_ID, "Title", "bob") for relation in Relation),
    )

    assert await client.get_memory(str(MEMORY_ID)) == node.memories.page


async def test_deleting_and_forgetting_name_the_memory_and_say_what_it_was(
    client: DaemonClient, node: FakeNode
) -> None:
    deleted = await client.delete_memory(f" {MEMORY_ID}@AB ", "outdated")
    forgotten = await client.forget_memory(str(MEMORY_ID))
    shown = await client.forget_memory(str(MEMORY_ID), undo=True)

    assert deleted == DeletedMemory(MEMORY_ID, MEMORY.room, MEMORY.title)
    assert forgotten == shown == (MEMORY.title,)
    assert node.memories.calls == [
        ("delete", MemoryRef(MEMORY_ID, "ab"), "outdated", "", ""),
        ("forget", MemoryRef(MEMORY_ID)),
        ("remember", MEMORY_ID),
    ]


@pytest.mark.parametrize("id", ["", "7", f"{MEMORY_ID}@xyz", f"@{MEMORY_ID}"])
async def test_what_names_no_memory_is_refused_and_nothing_is_deleted(
    client: DaemonClient, node: FakeNode, id: str
) -> None:
    with pytest.raises(InvalidInput, match="id"):
        await client.delete_memory(id)
    assert node.memories.calls == []


async def test_a_search_tells_who_answered_and_who_did_not(
    client: DaemonClient, node: FakeNode
) -> None:
    result = await client.search_memory("how?", room="feature-a", timeout_s=0.25, limit=3)

    assert result == SEARCH_RESULT
    assert node.search.calls == [
        ("search", "how?", MemoryFilter(room=RoomName("feature-a")), 0.25, 3)
    ]


async def test_the_daemons_status_crosses_the_socket_unchanged(client: DaemonClient) -> None:
    assert await client.status() == DAEMON_STATUS


async def test_stop_is_answered_and_reaches_the_daemon(
    client: DaemonClient, node: FakeNode
) -> None:
    assert await client.stop() == daemon_info().pid
    assert node.daemon.stop_requested.is_set()


async def test_a_memory_of_a_megabyte_crosses_the_socket(
    client: DaemonClient, node: FakeNode
) -> None:
    content = "€" * (1 << 20)

    await client.store_memory(room="r", content=content)

    assert node.memories.calls[0][3] == content


async def test_what_is_not_there_is_not_found(client: DaemonClient) -> None:
    with pytest.raises(NotFound, match="not in room 'elsewhere'"):
        await client.room_status("elsewhere")


BAD_CALLS: dict[str, tuple[Callable[[DaemonClient], Awaitable[object]], str]] = {
    "unknown kind": (
        lambda client: client.store_memory(room="r", content="x", kind="opinion"),
        "kind 'opinion' is unknown; use one of decision, implementation, context, skill, status",
    ),
    "unknown kind in a filter": (
        lambda client: client.search_memory("q", kind="opinion"),
        "kind 'opinion' is unknown",
    ),
    "bad id": (lambda client: client.get_memory("12"), "id '12' is no id; one looks like"),
    "bad reference": (
        lambda client: client.store_memory(room="r", content="x", references=["12"]),
        "reference '12' is no id",
    ),
    "negative offset": (
        lambda client: client.get_memory(str(MEMORY_ID), offset=-1),
        "an argument can't be sent",
    ),
    "half a surrogate pair": (
        lambda client: client.notify("r", "\ud83d"),
        "an argument can't be sent",
    ),
    "limit": (lambda client: client.list_memories(limit=501), "at most 500"),
    "limit of a search": (lambda client: client.search_memory("q", limit=10**9), "at most 500"),
    "limit without end": (lambda client: client.list_memories(limit=10**10), "can't be sent"),
    "kind of a list": (lambda client: client.list_memories(kind="note"), "kind 'note' is unknown"),
    "kind of a search": (
        lambda client: client.search_memory("q", kind="note"),
        "kind 'note' is unknown; use one of decision, ",
    ),
    "tags of a list": (lambda client: client.list_memories(tags=["x"] * 33), "33 tags are asked"),
    "tags of a search": (
        lambda client: client.search_memory("q", tags=["x"] * 33),
        "at most 32 can be at once",
    ),
    "half a pair in a filter": (
        lambda client: client.list_memories(agent="\ud83d"),
        "an argument can't be sent",
    ),
    "page": (
        lambda client: client.get_memory(str(MEMORY_ID), limit=40_001),
        "a page has at most 40000 characters",
    ),
    "timeout": (
        lambda client: client.search_memory("q", timeout_s=0),
        "timeout is 0 s; give 0.1 to",
    ),
    "endless": (
        lambda client: client.search_memory("q", timeout_s=float("inf")),
        "timeout is inf s; give 0.1 to 45 seconds",
    ),
    "too large": (
        lambda client: client.store_memory(room="r", content="x" * (17 << 20)),
        "too large",
    ),
}


@pytest.mark.parametrize("name", BAD_CALLS)
async def test_bad_input_is_refused_before_it_reaches_a_service(
    name: str, client: DaemonClient, node: FakeNode
) -> None:
    call, text = BAD_CALLS[name]

    with pytest.raises(InvalidInput, match=text):
        await call(client)

    assert node.memories.calls + node.search.calls + node.rooms.calls == []
