"""Two sets learn how they differ; the messages are those of negentropy's own implementation."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_core.errors import WireError
from buddies_core.history import reconcile
from buddies_core.history.reconcile import MESSAGE_BYTES_MIN, answer, begin, begin_briefly, learn
from buddies_core.model.item import AT_MS_MAX, BEGIN, Bound, Item
from tests.support.items import InMemoryItems, an_item

NO_LIMIT = 1 << 30
VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "negentropy-vectors.json").read_text()
)["cases"]


def numbered(numbers: Iterable[int], at_ms: int | None = None) -> list[Item]:
    return [an_item(number, at_ms) for number in numbers]


SETS = {
    "both empty": ([], []),
    "client empty": ([], numbered(range(5))),
    "server empty": (numbered(range(5)), []),
    "small equal": (numbered(range(10)), numbered(range(10))),
    "small apart": (
        numbered(n for n in range(10) if n != 3),
        numbered(n for n in range(10) if n != 7),
    ),
    "hundred, one missing": (numbered(n for n in range(100) if n != 42), numbered(range(100))),
    "same timestamp": (
        numbered((n for n in range(200) if n % 17), 5000),
        numbered((n for n in range(200) if n % 23), 5000),
    ),
    "thousand equal": (numbered(range(1000)), numbered(range(1000))),
    "thousand, 1 % missing each": (
        numbered(n for n in range(1000) if n % 100 != 1),
        numbered(n for n in range(1000) if n % 100 != 2),
    ),
    "ten thousand, 1 % missing": (
        numbered(n for n in range(10_000) if n % 100 != 1),
        numbered(range(10_000)),
    ),
}
"""The items on both sides, as the vectors' rules say in words."""
SETS["frame limit"] = SETS["thousand, 1 % missing each"]


@dataclass
class Exchange:
    """All that two sets said to each other."""

    messages: list[bytes] = field(default_factory=list)
    ours_alone: list[bytes] = field(default_factory=list)
    theirs_alone: list[bytes] = field(default_factory=list)


def exchange(
    ours: Iterable[Item],
    theirs: Iterable[Item],
    bytes_max: int = NO_LIMIT,
    *,
    since: Bound = BEGIN,
    wanted_since: Bound = BEGIN,
    briefly: bool = False,
) -> Exchange:
    client, server, said = InMemoryItems(ours), InMemoryItems(theirs), Exchange()
    message: bytes | None = (
        begin_briefly(client, since) if briefly else begin(client, bytes_max, since)
    )
    while message is not None:
        reply = answer(server, message, bytes_max, wanted_since)
        learned = learn(client, reply, bytes_max)
        said.messages += [message, reply]
        said.ours_alone += (item.id for item in learned.ours_alone)
        said.theirs_alone += learned.theirs_alone
        message = learned.reply
        assert len(said.messages) < 10_000, "it goes on for ever"
    return said


@pytest.mark.parametrize("case", VECTORS, ids=[case["name"] for case in VECTORS])
def test_messages_and_results_are_those_of_negentropy(case: dict[str, Any]) -> None:
    ours, theirs = SETS[case["name"]]

    said = exchange(ours, theirs, case["frame_limit"] or NO_LIMIT)

    assert [message.hex() for message in said.messages] == [it["hex"] for it in case["messages"]]
    assert matches(said.ours_alone, case["client_has_alone"])
    assert matches(said.theirs_alone, case["server_has_alone"])


def matches(ids: list[bytes], expected: list[str] | dict[str, int | str]) -> bool:
    """Whether these are the ids of a vector, which has the hash of many in their place."""
    hexes = sorted(id.hex() for id in ids)
    if isinstance(expected, list):
        return hexes == sorted(expected)
    lines = hashlib.sha256("\n".join(hexes).encode()).hexdigest()
    return expected == {"count": len(hexes), "sha256_of_sorted_hex_lines": lines}


# Few first bytes, so that bounds need long prefixes.
ids = st.builds(
    lambda zeros, n: bytes(zeros) + n.to_bytes(32 - zeros, "big"),
    st.integers(0, 28),
    st.integers(0, (1 << 31) - 1),
)
times = st.one_of(st.integers(0, AT_MS_MAX), st.integers(0, 3), st.just(AT_MS_MAX))
limits = st.sampled_from([MESSAGE_BYTES_MIN, 10_000, NO_LIMIT])


@st.composite
def two_sets(draw: st.DrawFn) -> tuple[set[Item], set[Item]]:
    """Draw what one side has and what the other has; an id has one time."""
    drawn = draw(
        st.dictionaries(ids, st.tuples(times, st.sampled_from(["ours", "theirs", "both"])))
    )
    more = numbered(range(draw(st.integers(0, 600))), draw(st.one_of(st.none(), times)))
    placed = [(Item(at_ms, id), whose) for id, (at_ms, whose) in drawn.items()]
    return (
        {item for item, whose in placed if whose != "theirs"} | set(more),
        {item for item, whose in placed if whose != "ours"} | set(more),
    )


def ids_of(some: Iterable[Item]) -> list[bytes]:
    return sorted(item.id for item in some)


@given(two_sets(), limits, st.booleans())
@settings(max_examples=200)
def test_each_side_alone_is_what_the_difference_of_the_sets_is(
    sets: tuple[set[Item], set[Item]], bytes_max: int, briefly: bool
) -> None:
    ours, theirs = sets

    said = exchange(ours, theirs, bytes_max, briefly=briefly)

    assert sorted(said.ours_alone) == ids_of(ours - theirs)
    assert sorted(said.theirs_alone) == ids_of(theirs - ours)
    assert max(map(len, said.messages)) <= bytes_max


@given(two_sets(), times)
def test_what_is_older_than_the_initiator_asks_for_is_not_spoken_of(
    sets: tuple[set[Item], set[Item]], since_ms: int
) -> None:
    ours, theirs = sets

    said = exchange(ours, theirs, since=Bound(since_ms))

    assert sorted(said.ours_alone) == ids_of(it for it in ours - theirs if it.at_ms >= since_ms)
    assert sorted(said.theirs_alone) == ids_of(it for it in theirs - ours if it.at_ms >= since_ms)


def test_what_the_responder_neither_has_nor_wants_is_hardly_spoken_of() -> None:
    ours, theirs = numbered(range(1000)), numbered(range(990, 1010))

    said = exchange(ours, theirs, wanted_since=Bound(1990))

    # All but the part in which the responder's first item lies.
    assert len(said.ours_alone) <= 1000 // reconcile.PARTS
    assert sorted(said.theirs_alone) == sorted(it.id for it in numbered(range(1000, 1010)))
    assert len(said.messages) <= 6


def test_a_responder_without_anything_is_told_of_a_bounded_number_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "DIFFERENCES_MAX", 100)
    ours = numbered(range(1000))
    nothing = answer(InMemoryItems(), begin(InMemoryItems(ours), NO_LIMIT), NO_LIMIT)

    learned = learn(InMemoryItems(ours), nothing, NO_LIMIT)
    said = exchange(ours, [])

    assert len(learned.ours_alone) == 100
    assert learned.reply is not None
    assert sorted(said.ours_alone) == sorted(it.id for it in ours)


@given(st.binary(max_size=400), two_sets())
@settings(max_examples=300)
def test_any_bytes_are_answered_or_refused_as_nonsense(
    data: bytes, sets: tuple[set[Item], set[Item]]
) -> None:
    for message in (data, b"\x61" + data):
        for read in (answer, learn):
            with suppress(WireError):
                read(InMemoryItems(sets[0]), message, MESSAGE_BYTES_MIN)


@pytest.mark.parametrize(
    "message",
    [
        "",  # nothing
        "41",  # no version
        "6105",  # ends within a bound
        "61000001aa",  # ends within a fingerprint
        "610000020100",  # ends within an id
        "61000003",  # an unknown mode
        "61000000000000",  # something behind the end
        "6102000001" + "21" + "00" * 33 + "00",  # a prefix longer than an id
        "610301ff00" + "010000",  # a bound before the last one
        "618181818181818181818100" + "0000",  # a number of more than 64 bits
    ],
)
def test_a_message_that_is_not_of_the_protocol_is_refused(message: str) -> None:
    for work in (answer, learn):
        with pytest.raises(WireError):
            work(InMemoryItems(), bytes.fromhex(message), NO_LIMIT)


def test_another_version_is_answered_with_ours_and_not_learned_from() -> None:
    assert answer(InMemoryItems(), b"\x62whatever", NO_LIMIT) == b"\x61"
    with pytest.raises(WireError, match="another version"):
        (learn(InMemoryItems(), b"\x62", NO_LIMIT))


def test_a_message_with_more_ranges_than_allowed_is_refused() -> None:
    empty_lists = b"\x02\x00\x02\x00" * reconcile.RANGES_MAX

    answer(InMemoryItems(), b"\x61" + empty_lists, NO_LIMIT)
    with pytest.raises(WireError, match="more than"):
        answer(InMemoryItems(), b"\x61" + empty_lists + b"\x02\x00\x00", NO_LIMIT)


@pytest.mark.parametrize("bytes_max", [MESSAGE_BYTES_MIN, 6000, 10_000, 65_536])
@pytest.mark.parametrize("step", [2, 7, 33])
def test_no_message_is_larger_than_the_limit_however_much_differs(
    bytes_max: int, step: int
) -> None:
    at_ms = 5000 if step == 7 else None  # bounds are longest where all items are of one time
    ours = numbered((n for n in range(4000) if n % step), at_ms)
    theirs = numbered((n for n in range(4000) if n % 11), at_ms)

    said = exchange(ours, theirs, bytes_max)

    assert max(map(len, said.messages)) <= bytes_max
    assert sorted(said.theirs_alone) == ids_of(set(theirs) - set(ours))
    assert sorted(said.ours_alone) == ids_of(set(ours) - set(theirs))
