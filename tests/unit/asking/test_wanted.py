from collections.abc import Iterable

from buddies_core.asking.wanted import (
    ASIDE_FOR_S,
    ATTEMPTS_MAX,
    FAILURES_BURST,
    FAILURES_PER_S,
    MEMBERS_ASKED_MAX,
    MEMBERS_REMEMBERED_MAX,
    RETRY_AFTER_S,
    RETRY_FACTOR,
    WANTED_FOR_S,
    WANTED_MAX,
    WANTED_PER_AUTHOR_MAX,
    WANTED_PER_NEIGHBOR_MAX,
    Attempt,
    Wanted,
)
from buddies_core.model.ids import EndpointId
from buddies_core.model.provenance import Trust
from tests.support.memories import ALICE, BOB, CAROL, DEMO


def peer(number: int) -> EndpointId:
    return EndpointId(number.to_bytes(32, "big"))


class Table:
    """Contents that are wanted, in a room whose members the test names; none has any content."""

    def __init__(self, *members: EndpointId) -> None:
        self.members = list(members)
        self.wanted: Wanted[int] = Wanted(lambda room: tuple(self.members))
        self.now_s = 1000.0

    def add(
        self,
        key: int,
        author: EndpointId,
        trust: Trust = Trust.MEMBER,
        neighbor: EndpointId | None = None,
    ) -> tuple[int, ...]:
        return self.wanted.add(key, DEMO, author, trust, neighbor, self.now_s)

    def next(self, under_way: Iterable[int] = (), strangers: int = 2) -> Attempt[int] | None:
        busy = dict.fromkeys(under_way, Trust.STRANGER)
        return self.wanted.next_attempt(busy, strangers, self.now_s)

    def asks_in_vain(self, *, late: bool = False) -> list[tuple[int, EndpointId]]:
        """Ask for all that is due, which nobody gives; return who was asked for what."""
        self.wanted.look_around()
        asked = []
        while attempt := self.next():
            for member in attempt.members:
                asked.append((attempt.key, member))
                if not self.wanted.failed(attempt.key, member, self.now_s, late=late):
                    break
        return asked


def test_the_author_is_asked_first_then_the_others() -> None:
    table = Table(BOB, CAROL, ALICE)
    table.add(1, ALICE)

    asked = [member for _, member in table.asks_in_vain()]
    assert (asked[0], set(asked[1:])) == (ALICE, {BOB, CAROL})


def test_what_nobody_gives_is_asked_for_ever_more_seldom_and_then_no_more() -> None:
    table = Table(BOB)
    table.add(1, ALICE)

    assert table.asks_in_vain() == [(1, BOB)]
    for attempt in range(ATTEMPTS_MAX - 1):
        table.now_s += RETRY_AFTER_S * RETRY_FACTOR**attempt - 0.5
        assert table.asks_in_vain() == []
        table.now_s += 0.5
        assert table.asks_in_vain() == [(1, BOB)]
    table.now_s += WANTED_FOR_S / 2
    assert table.asks_in_vain() == []


def test_a_newcomer_is_asked_at_once_and_nobody_else() -> None:
    table = Table(BOB)
    table.add(1, ALICE)
    table.asks_in_vain()

    table.members.append(CAROL)
    assert table.asks_in_vain() == [(1, CAROL)]
    assert table.asks_in_vain() == []


def test_an_author_that_comes_back_is_asked_again() -> None:
    table = Table(ALICE)
    table.add(1, ALICE)
    table.asks_in_vain()
    table.members.remove(ALICE)
    assert table.asks_in_vain() == []

    table.members.append(ALICE)
    assert table.asks_in_vain() == [(1, ALICE)]


def test_of_many_members_a_few_are_asked_in_one_attempt_and_others_in_the_next() -> None:
    table = Table(*map(peer, range(20)))
    table.add(1, ALICE)

    first = {member for _, member in table.asks_in_vain()}
    table.now_s += RETRY_AFTER_S
    second = {member for _, member in table.asks_in_vain()}
    assert (len(first), len(second), first & second) == (
        MEMBERS_ASKED_MAX,
        MEMBERS_ASKED_MAX,
        set(),
    )


def test_newcomers_without_end_are_not_asked_without_end() -> None:
    table = Table()
    table.add(1, ALICE)
    asked = 0
    for number in range(500):
        table.members = [peer(number)]
        asked += len(table.asks_in_vain())
    assert asked <= MEMBERS_REMEMBERED_MAX


def test_a_thousand_contents_that_nobody_has_are_asked_for_within_a_budget() -> None:
    table = Table(*map(peer, range(20)))
    for key in range(1000):
        table.add(key, peer(1000 + key), Trust.STRANGER)
    began_s = table.now_s
    asked = 0
    for _ in range(3600):
        asked += len(table.asks_in_vain())
        table.now_s += 1
    assert asked <= FAILURES_BURST + (table.now_s - began_s) * FAILURES_PER_S

    table.add(-1, ALICE)  # The budget of strangers is nobody else's.
    assert table.asks_in_vain()[0][0] == -1


def test_what_members_announce_comes_before_what_strangers_do() -> None:
    table = Table(BOB)
    table.add(1, peer(1), Trust.STRANGER)
    table.add(2, ALICE, Trust.MEMBER)
    table.add(3, CAROL, Trust.VOUCHED)

    assert [key for key, _ in table.asks_in_vain()] == [3, 2, 1]


def test_strangers_take_only_some_of_the_places() -> None:
    table = Table(BOB)
    for key in range(3):
        table.add(key, peer(key), Trust.STRANGER)
    table.wanted.look_around()
    assert table.next(under_way=(0, 1)) is None

    table.add(9, ALICE)
    attempt = table.next(under_way=(0, 1))
    assert attempt is not None
    assert attempt.key == 9


def test_who_does_not_answer_in_time_is_left_alone_for_a_while() -> None:
    table = Table(BOB)
    table.add(1, ALICE)
    table.add(2, ALICE)

    assert len(table.asks_in_vain(late=True)) == 1
    table.now_s += ASIDE_FOR_S
    assert len(table.asks_in_vain(late=True)) == 1


def test_one_author_has_only_so_many_contents_and_the_first_go() -> None:
    table = Table()
    gone = [it for key in range(WANTED_PER_AUTHOR_MAX + 2) for it in table.add(key, ALICE)]
    assert (gone, len(table.wanted)) == ([0, 1], WANTED_PER_AUTHOR_MAX)


def test_one_neighbor_brings_in_only_so_many_and_the_least_trusted_go() -> None:
    table = Table()
    table.add(-1, ALICE, Trust.MEMBER, BOB)
    for key in range(WANTED_PER_NEIGHBOR_MAX + 50):
        table.add(key, peer(key), Trust.STRANGER, BOB)

    assert len(table.wanted) == WANTED_PER_NEIGHBOR_MAX
    table.members = [CAROL]
    assert table.asks_in_vain()[0] == (-1, CAROL)


def test_a_full_table_lets_in_a_member_and_no_more() -> None:
    table = Table()
    for key in range(WANTED_MAX):
        table.add(key, peer(key), Trust.STRANGER)
    assert table.add(WANTED_MAX, ALICE) == (0,)
    assert len(table.wanted) == WANTED_MAX


def test_what_was_wanted_for_a_week_is_given_up() -> None:
    table = Table()
    table.add(1, ALICE)
    table.now_s += WANTED_FOR_S + 1
    table.add(2, ALICE)
    assert (table.wanted.expired(table.now_s), len(table.wanted)) == ((1,), 1)
