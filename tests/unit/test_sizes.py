"""Sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.sizes import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GiB", 1 << 30), ("256 MiB", 256 << 20), ("1.5g", 3 << 29), (" 2KB ", 2048), ("0T", 0)],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "-1G", "1e3M", "GiB", "1 Gibi", "٣G", "1.G"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a size such as 256MiB"):
        parse_size(text)


@given(st.integers(1024, 1 << 50))
def test_a_size_that_is_shown_is_read_as_nearly_the_same(size: int) -> None:
    assert abs(parse_size(size_text(size)) - size) <= size * 0.05
