"""Fetching something from whichever member has it."""

import asyncio
from collections import Counter
from collections.abc import Callable

from buddies_core.asking.fetching import PART_BYTES, Fetcher, content_of, parts
from buddies_core.asking.members import MEMBERS_ASKED_MAX
from buddies_core.errors import NotAllowed, NotFound
from buddies_core.model.ids import EndpointId, RoomName, short
from tests.support.memories import DEMO
from tests.support.virtual_time import run_virtually
from tests.support.worlds.team import Team


class Members:
    """Members that give a text after some time, or fail; notes when each was asked."""

    def __init__(self, **gives: "str | Exception | None") -> None:
        self.gives = {name.encode().ljust(32, b"."): what for name, what in gives.items()}
        self.takes_s: dict[bytes, float] = {}
        self.asked_at_s: dict[str, float] = {}

    def targets(self) -> list[tuple[RoomName, EndpointId]]:
        return [(DEMO, EndpointId(peer)) for peer in self.gives]

    async def fetch(self, peer: EndpointId, _room: RoomName, _timeout_s: float) -> str:
        loop = asyncio.get_running_loop()
        self.asked_at_s[peer.rstrip(b".").decode()] = round(loop.time(), 2)
        given = self.gives[peer]
        await asyncio.sleep(self.takes_s.get(peer, 0.01) if given is not None else 1e9)
        if isinstance(given, Exception):
            raise given
        assert given is not None, "a silent one never gets here"
        return given


def first(
    members: Members, is_enough: Callable[[str], bool] = lambda _: True, **how: float
) -> tuple[list[str], str, float]:
    """Return what was found, why others gave nothing, and how long it took."""

    async def run() -> tuple[list[str], str, float]:
        node = Team().node("me")
        fetcher = Fetcher(node.rooms, node.network, Counter())
        found, why = await fetcher.first(
            members.targets(),
            members.fetch,
            is_enough,
            4.0,
            **how,  # type: ignore[arg-type]
        )
        return found, why, asyncio.get_running_loop().time()

    return run_virtually(run())


def test_the_likeliest_holder_alone_is_asked_if_it_answers() -> None:
    members = Members(author="whole", other="whole")

    found, _, _ = first(members, at_once=1)

    assert found == ["whole"]
    assert members.asked_at_s == {"author": 0.0}


def test_a_silent_author_keeps_nobody_waiting_for_what_others_have() -> None:
    members = Members(author=None, lacking=NotFound("not here"), holder="whole")

    found, _, took_s = first(members, at_once=1, another_after_s=1.0)

    assert found == ["whole"]
    assert members.asked_at_s == {"author": 0.0, "lacking": 1.0, "holder": 1.01}
    assert took_s < 1.1


def test_not_all_are_asked_at_once_for_what_any_of_them_may_have() -> None:
    silent = dict.fromkeys([f"m{number:02}" for number in range(9)])
    members = Members(**silent)

    first(members)

    assert sorted(members.asked_at_s.values()) == [0, 0, 0, 0, 0.25, 0.5, 0.75, 1.0, 1.25]


def test_where_nobody_has_it_all_are_asked_one_after_the_other() -> None:
    lacking = {f"m{number:02}": NotFound("not here") for number in range(80)}
    members = Members(**lacking)

    found, why, took_s = first(members)

    assert (found, len(members.asked_at_s)) == ([], MEMBERS_ASKED_MAX)
    assert why == f"present members without it: {MEMBERS_ASKED_MAX}"
    assert took_s < 0.3


def test_one_that_is_not_enough_is_given_when_no_better_one_came_in_time() -> None:
    members = Members(a="unverified", b=None)

    found, _, took_s = first(members, lambda text: text == "verified")

    assert (found, round(took_s, 1)) == (["unverified"], 4.0)


def test_one_that_is_enough_ends_the_wait_for_the_others() -> None:
    members = Members(a="unverified", b=None, c="verified")

    found, _, took_s = first(members, lambda text: text == "verified")

    assert found == ["unverified", "verified"]
    assert took_s < 0.1


def test_each_member_that_gave_nothing_is_named_with_the_reason() -> None:
    members = Members(a=NotFound("x"), b=NotAllowed("not with you"), c=None, d=None, e=None, f=None)

    _, why, _ = first(members, at_once=1, another_after_s=1.5)

    _, b, c, d, e, _ = (short(peer) for _, peer in members.targets())
    assert why == (
        f"present members without it: 1; not given by {b}: not with you; "
        f"not given by {c}: no answer within 4 s; not given by {d}: no answer within 4 s; "
        f"not given by {e}: no answer within 4 s; members that there was no time to ask: 1"
    )


def test_where_nobody_is_that_is_said() -> None:
    assert first(Members())[:2] == ([], "no member is present")


def test_a_content_travels_in_frames_that_fit_behind_its_proof() -> None:
    content = "größer\n" * 40_000
    frames = parts(b"proof", content, [b"vote"] * 300)

    assert [frame.proof for frame in frames if frame.proof] == [b"proof"]
    assert content_of(frames) == content.encode()
    assert max(len(frame.content) for frame in frames) == PART_BYTES
    assert [len(frame.votes) for frame in frames if frame.votes] == [256, 44]
