"""Lines out of bytes, however these come."""

from hypothesis import given
from hypothesis import strategies as st

from buddies_mcp.splitting import Lines

LIMIT = 5


def split(chunks: list[bytes]) -> list[bytes]:
    lines = Lines(LIMIT)
    found = [line for chunk in chunks for line in lines.feed(chunk)]
    return [*found, lines.rest()]


def test_lines_come_with_their_ends_and_the_rest_without_one() -> None:
    assert split([b"a\nbc", b"", b"\n\nd"]) == [b"a\n", b"bc\n", b"\n", b"d"]


def test_a_line_that_is_too_long_is_cut_one_byte_beyond_the_limit_and_costs_itself_alone() -> None:
    assert split([b"12345678\nab\n"]) == [b"123456", b"ab\n", b""]
    assert split([b"123456", b"78", b"9\nab\n"]) == [b"123456", b"ab\n", b""]
    assert split([b"12345\n", b"ab\n"]) == [b"12345\n", b"ab\n", b""]
    assert split([b"123456789"]) == [b"123456", b""]


@given(st.lists(st.sampled_from([b"a", b"bcd", b"\n", b"123456", b""])), st.data())
def test_how_the_bytes_are_cut_makes_no_difference(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cut = data.draw(st.integers(0, len(whole)))
    assert split([whole[:cut], whole[cut:]]) == split([whole])
    assert split(parts) == split([whole])
