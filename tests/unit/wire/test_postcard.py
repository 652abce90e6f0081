"""The rules of postcard, one by one. Hex as postcard 1.1.3 writes and takes it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_core.errors import WireError
from buddies_core.wire import postcard
from buddies_core.wire.postcard import Reader

UUID_1 = UUID("12345678-1234-4678-9234-567812345678")

WRITTEN: list[tuple[str, Any, str]] = [
    ("u8", 0, "00"),
    ("u8", 255, "ff"),
    ("i8", 1, "01"),
    ("i8", -1, "ff"),
    ("i8", -128, "80"),
    ("boolean", False, "00"),
    ("boolean", True, "01"),
    ("u16", 127, "7f"),
    ("u16", 300, "ac02"),
    ("u16", 65535, "ffff03"),
    ("u32", 2**32 - 1, "ffffffff0f"),
    ("u64", 1_700_000_000, "80e2cfaa06"),
    ("u64", 2**64 - 1, "ffffffffffffffffff01"),
    ("i64", -3, "05"),
    ("i64", 5, "0a"),
    ("i64", -(2**63), "ffffffffffffffffff01"),
    ("text", "ann", "03616e6e"),
    ("text", "é", "02c3a9"),
    ("blob", b"", "00"),
    ("blob", b"\x00\xff", "0200ff"),
    ("uuid", UUID_1, "1012345678123446789234567812345678"),
]


@pytest.mark.parametrize(("kind", "value", "encoded"), WRITTEN)
def test_a_value_is_written_and_read_as_in_rust(kind: str, value: object, encoded: str) -> None:
    write: Callable[[object], bytes] = getattr(postcard, kind)
    reader = Reader(bytes.fromhex(encoded))

    assert write(value).hex() == encoded
    assert getattr(reader, kind)() == value
    assert reader.position == len(encoded) // 2


def test_an_absent_value_is_one_zero_byte_and_a_present_one_follows_a_one() -> None:
    assert postcard.option(None, postcard.text).hex() == "00"
    assert postcard.option("T", postcard.text).hex() == "010154"
    reader = Reader(bytes.fromhex("00010154"))
    assert (reader.option(reader.text), reader.option(reader.text)) == (None, "T")


def test_a_sequence_is_its_count_and_its_elements() -> None:
    assert postcard.seq(["x", "y"], postcard.text).hex() == "0201780179"
    reader = Reader(bytes.fromhex("0201780179"))
    assert reader.seq(reader.text) == ("x", "y")


def test_an_array_has_no_length_and_rest_takes_what_is_left() -> None:
    reader = Reader(b"abcdef")
    assert (reader.raw(2), reader.position, reader.rest(), reader.rest()) == (
        b"ab",
        2,
        b"cdef",
        b"",
    )


@pytest.mark.parametrize(
    ("kind", "encoded", "value"),
    [("u16", "8100", 1), ("u16", "ff8003", 49279), ("u32", "8180808000", 1), ("u64", "8000", 0)],
)
def test_a_number_longer_than_needed_is_accepted(kind: str, encoded: str, value: int) -> None:
    assert getattr(Reader(bytes.fromhex(encoded)), kind)() == value


def test_an_enum_index_longer_than_needed_is_accepted() -> None:
    assert Reader(bytes.fromhex("8100")).variant(2) == 1


def test_an_enum_index_past_the_last_variant_is_refused() -> None:
    with pytest.raises(WireError, match="variant 2 of 2"):
        Reader(b"\x02").variant(2)


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        ("u16", "ffff04"),
        ("u16", "ffffff"),
        ("u16", "80808000"),
        ("u32", "ffffffff10"),
        ("u64", "ffffffffffffffffff02"),
        ("u64", "8080808080808080808000"),
        ("boolean", "02"),
        ("text", "01ff"),
        ("text", "03eda080"),
        ("uuid", "0f" + "00" * 15),
        ("uuid", "11" + "00" * 17),
    ],
)
def test_what_no_encoder_writes_is_refused(kind: str, encoded: str) -> None:
    with pytest.raises(WireError):
        getattr(Reader(bytes.fromhex(encoded)), kind)()


@pytest.mark.parametrize(("kind", "value", "encoded"), WRITTEN)
def test_a_value_cut_short_is_refused(kind: str, value: object, encoded: str) -> None:
    raw = bytes.fromhex(encoded)
    for size in range(len(raw)):
        with pytest.raises(WireError):
            getattr(Reader(raw[:size]), kind)()


@pytest.mark.parametrize("kind", ["blob", "text"])
def test_a_huge_length_is_refused_without_being_allocated(kind: str) -> None:
    with pytest.raises(WireError):
        getattr(Reader(bytes.fromhex("ffffffffffffffffff01") + b"abc"), kind)()


def test_a_huge_count_is_refused_without_being_allocated() -> None:
    reader = Reader(bytes.fromhex("ffffffffffffffffff01") + b"abc")
    with pytest.raises(WireError, match="elements announced, 3 bytes left"):
        reader.seq(reader.u8)


def test_the_error_says_where_it_was_found() -> None:
    reader = Reader(bytes.fromhex("03616e6e02"))
    reader.text()
    with pytest.raises(WireError, match="byte 5 of 5: 0 or 1 wanted, found 2"):
        reader.boolean()


@pytest.mark.parametrize(
    ("kind", "value"),
    [("u8", 256), ("u16", 65536), ("u32", 2**32), ("u64", 2**64), ("u64", -1), ("i64", 2**63)],
)
def test_a_value_out_of_range_is_not_written(kind: str, value: int) -> None:
    with pytest.raises((AssertionError, OverflowError)):
        getattr(postcard, kind)(value)


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**16 - 1))
def test_numbers_survive_the_round_trip(unsigned: int, signed: int, short: int) -> None:
    reader = Reader(postcard.u64(unsigned) + postcard.i64(signed) + postcard.u16(short))
    assert (reader.u64(), reader.i64(), reader.u16()) == (unsigned, signed, short)
    assert reader.rest() == b""


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text())), st.binary(), st.uuids())
def test_nested_values_survive_the_round_trip(
    names: list[str | None], raw: bytes, id: UUID
) -> None:
    written = postcard.seq(names, lambda name: postcard.option(name, postcard.text))
    reader = Reader(written + postcard.blob(raw) + postcard.uuid(id))
    assert reader.seq(lambda: reader.option(reader.text)) == tuple(names)
    assert (reader.blob(), reader.uuid(), reader.rest()) == (raw, id, b"")


@settings(deadline=None)
@given(st.binary(max_size=40), st.sampled_from(sorted({kind for kind, _, _ in WRITTEN})))
def test_any_bytes_are_read_or_refused(data: bytes, kind: str) -> None:
    reader = Reader(data)
    try:
        getattr(reader, kind)()
    except WireError:
        return
    assert reader.position <= len(data)
