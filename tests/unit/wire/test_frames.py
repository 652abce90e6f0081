"""Where one body ends and the next begins."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_core.errors import InvalidInput, WireError
from buddies_core.wire.frames import FrameReader, frame


def test_a_frame_is_the_length_in_four_bytes_and_the_body() -> None:
    assert frame(b"\x01\x01").hex() == "000000020101"
    assert frame(b"").hex() == "00000000"


def test_a_body_is_written_below_4096_bytes_and_read_up_to_them() -> None:
    assert len(frame(bytes(4095))) == 4 + 4095
    with pytest.raises(InvalidInput, match="4096 bytes was not sent: peers take 4095"):
        frame(bytes(4096))
    largest = (4096).to_bytes(4, "big") + bytes(4096)
    assert FrameReader().feed(largest) == [bytes(4096)]


def test_a_length_over_the_limit_is_refused_before_any_of_its_body_arrives() -> None:
    with pytest.raises(WireError, match="4097"):
        FrameReader().feed((4097).to_bytes(4, "big"))
    with pytest.raises(WireError):
        FrameReader().feed(b"\xff\xff\xff\xff")


def test_other_limits_can_be_agreed_on() -> None:
    body = bytes(100_000)
    assert FrameReader(100_000).feed(frame(body, 100_000)) == [body]
    with pytest.raises(WireError):
        FrameReader(99_999).feed(frame(body, 100_000))


def test_no_more_than_one_unfinished_frame_is_kept() -> None:
    reader = FrameReader(10)
    reader.feed(frame(b"0123456789") * 1000 + frame(b"0123456789")[:-1])
    assert len(reader._buffer) == 13
    assert reader.feed(b"9") == [b"0123456789"]
    assert len(reader._buffer) == 0


@pytest.mark.parametrize("received", [b"", b"\x00", b"\x00\x00\x00", frame(b"whole")])
def test_a_stream_may_end_between_frames_and_within_a_length(received: bytes) -> None:
    reader = FrameReader()
    reader.feed(received)
    reader.end()


@pytest.mark.parametrize("received", [b"\x00\x00\x00\x05", frame(b"cut short")[:-1]])
def test_a_stream_must_not_end_within_a_body(received: bytes) -> None:
    reader = FrameReader()
    reader.feed(received)
    with pytest.raises(WireError, match="bytes into a body"):
        reader.end()


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=20), st.lists(st.integers(0, 1100), max_size=20))
def test_bodies_come_out_whole_however_the_stream_is_cut(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(frame(body) for body in bodies)
    places = sorted(min(cut, len(stream)) for cut in [0, *cuts, len(stream)])
    reader = FrameReader()
    pieces = [stream[start:end] for start, end in pairwise(places)]
    assert [body for piece in pieces for body in reader.feed(piece)] == bodies
    reader.end()


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_cut_or_refused(data: bytes) -> None:
    try:
        bodies = FrameReader(64).feed(data)
    except WireError:
        return
    assert b"".join(frame(body) for body in bodies) == data[: sum(4 + len(it) for it in bodies)]
