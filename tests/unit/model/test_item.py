"""Items are ordered as the protocol compares them."""

from hypothesis import given
from hypothesis import strategies as st

from buddies_core.model.item import AT_MS_MAX, BEGIN, END, ID_BYTES, Bound, Item

ITEMS = st.builds(
    Item, st.integers(0, 3) | st.just(AT_MS_MAX), st.binary(min_size=ID_BYTES, max_size=ID_BYTES)
)


@given(ITEMS)
def test_every_item_lies_between_the_begin_and_the_end(item: Item) -> None:
    assert BEGIN <= item < END


@given(ITEMS, ITEMS, st.integers(0, ID_BYTES))
def test_a_bound_with_a_prefix_divides_items_as_one_with_zero_bytes_behind_it_does(
    item: Item, other: Item, length: int
) -> None:
    prefix = other.id[:length]
    short, long = (Bound(other.at_ms, it) for it in (prefix, prefix.ljust(ID_BYTES, b"\0")))

    assert (item < short) == (item < long)
