"""Each call about skills, from the client over a real socket to what lies behind it, and back."""

from collections.abc import Awaitable, Callable

import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import InvalidInput, NotFound
from buddies_core.model.ids import RoomName
from buddies_core.model.skill_views import SkillList
from tests.support.fakes.node import FakeNode
from tests.support.fakes.skills import FOUND, HASH, PAGE, PARENT, SEARCH_RESULT, SKILL, VOTED

ROOM = RoomName("feature-a")


async def test_publishing_gives_the_skill_that_the_daemon_made(
    client: DaemonClient, node: FakeNode
) -> None:
    await client.attach("claude", "ann")

    published = await client.publish_skill(
        room=ROOM, title="t", content="c", tags=["a"], version=3, parent_hash=PARENT.upper()
    )
    await client.publish_skill(room=ROOM, title="t", content="c")

    assert published == SKILL
    assert node.skills.calls == [
        ("publish", ROOM, "t", "c", ("a",), 3, PARENT, "claude", "ann"),
        ("publish", ROOM, "t", "c", (), 0, None, "claude", "ann"),
    ]


async def test_a_skill_comes_with_its_versions(client: DaemonClient, node: FakeNode) -> None:
    assert await client.get_skill(HASH, 3, 7) == PAGE
    assert await client.whole_skill(HASH) == PAGE
    assert node.skills.calls == [("get", HASH, 3, 7), ("get", HASH, 0, 40_000)]
    with pytest.raises(NotFound, match=PARENT):
        await client.get_skill(PARENT)


async def test_lists_and_searches_pass_every_limit(client: DaemonClient, node: FakeNode) -> None:
    assert await client.list_skills(room=ROOM, tags=("a",), limit=5) == SkillList((SKILL, FOUND), 2)
    await client.list_skills()
    found = await client.search_skills("how?", room=ROOM, tags=("a",), timeout_s=0.5, limit=5)
    await client.search_skills("how?")

    assert found == SEARCH_RESULT
    assert node.skills.calls == [
        ("list", ROOM, ("a",), 6, None),  # one more, to know whether the list goes on
        ("list", None, (), 21, None),
        ("search", "how?", ROOM, ("a",), 0.5, 5),
        ("search", "how?", None, (), 3.0, 20),
    ]


async def test_a_vote_tells_what_became_of_it(client: DaemonClient, node: FakeNode) -> None:
    assert await client.vote_skill(room=ROOM, hash=HASH, score=-1) == VOTED
    assert node.skills.calls == [("vote", ROOM, HASH, -1, "", "")]


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.get_skill("nonsense"),
        lambda client: client.vote_skill(room=ROOM, hash="", score=1),
        lambda client: client.publish_skill(room=ROOM, title="t", content="c", parent_hash="x"),
        lambda client: client.publish_skill(room=ROOM, title="t", content="c", version=-1),
        lambda client: client.publish_skill(room=ROOM, title="\ud800", content="c"),
        lambda client: client.list_skills(limit=100_000),
        lambda client: client.list_skills(limit=10**9),
        lambda client: client.list_skills(tags=["x"] * 33),
        lambda client: client.search_skills("q", tags=["x"] * 33),
        lambda client: client.search_skills("q", timeout_s=0),
    ],
)
async def test_an_argument_that_can_t_be_taken_never_arrives(
    client: DaemonClient, node: FakeNode, call: Callable[[DaemonClient], Awaitable[object]]
) -> None:
    with pytest.raises(InvalidInput):
        await call(client)
    assert node.skills.calls == []
