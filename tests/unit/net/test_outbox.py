from buddies_core.model.ids import TopicId
from buddies_core.net.outbox import (
    BATCH_BYTES_MAX,
    OUTBOX_BYTES_MAX,
    OUTBOX_FRAMES_MAX,
    Batch,
    Outbox,
)

ONE, TWO = TopicId(b"1" * 32), TopicId(b"2" * 32)


def test_frames_that_wait_leave_as_one_batch_in_their_order() -> None:
    outbox = Outbox()
    for frame in (b"a", b"b", b"c"):
        assert outbox.append(ONE, frame, ends_stream=False)
    assert outbox.take() == Batch(topic=ONE, data=b"abc", ends_stream=False)
    assert outbox.take() is None


def test_a_batch_stops_at_the_end_of_a_stream() -> None:
    outbox = Outbox()
    outbox.append(ONE, b"disconnect", ends_stream=True)
    outbox.append(ONE, b"join", ends_stream=False)
    assert outbox.take() == Batch(topic=ONE, data=b"disconnect", ends_stream=True)
    assert outbox.take() == Batch(topic=ONE, data=b"join", ends_stream=False)


def test_a_batch_is_bounded_but_holds_at_least_one_frame() -> None:
    outbox = Outbox()
    large = bytes(BATCH_BYTES_MAX + 1)
    outbox.append(ONE, large, ends_stream=False)
    outbox.append(ONE, bytes(BATCH_BYTES_MAX - 1), ends_stream=False)
    outbox.append(ONE, b"xy", ends_stream=False)
    taken = [outbox.take(), outbox.take(), outbox.take()]
    assert [len(batch.data) for batch in taken if batch] == [len(large), BATCH_BYTES_MAX - 1, 2]


def test_topics_take_turns() -> None:
    outbox = Outbox()
    for _ in range(2):
        outbox.append(ONE, bytes(BATCH_BYTES_MAX), ends_stream=False)
    outbox.append(TWO, b"two", ends_stream=False)
    taken = [outbox.take(), outbox.take(), outbox.take()]
    assert [batch.topic for batch in taken if batch] == [ONE, TWO, ONE]


def test_a_full_outbox_takes_no_frame_until_some_are_taken_out() -> None:
    outbox = Outbox()
    assert all(outbox.append(ONE, b"x", ends_stream=False) for _ in range(OUTBOX_FRAMES_MAX))
    assert not outbox.append(TWO, b"x", ends_stream=False)
    outbox.take()
    assert outbox.append(TWO, b"x", ends_stream=False)


def test_an_outbox_is_full_of_bytes_too() -> None:
    outbox = Outbox()
    assert outbox.append(ONE, bytes(OUTBOX_BYTES_MAX), ends_stream=False)
    assert not outbox.append(ONE, b"x", ends_stream=False)


def test_an_outbox_is_half_full_above_half_of_either_bound() -> None:
    outbox = Outbox()
    outbox.append(ONE, bytes(OUTBOX_BYTES_MAX // 2), ends_stream=False)
    assert not outbox.is_half_full
    outbox.append(ONE, b"x", ends_stream=False)
    assert outbox.is_half_full
    outbox.take()
    assert not outbox.is_half_full
