"""What waits to be written to one peer: frames by topic, in order within each."""

from collections import deque
from dataclasses import dataclass

from buddies_core.model.ids import TopicId

OUTBOX_BYTES_MAX = 1024 * 1024
OUTBOX_FRAMES_MAX = 1000
BATCH_BYTES_MAX = 64 * 1024
"""More in one write gains nothing (measured: 145 MB/s), and blocks the loop for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Frames of one topic for one write; after the last batch its stream ends."""

    topic: TopicId
    data: bytes
    ends_stream: bool


class Outbox:
    """The queue to one peer. Full, it takes no more: the peer is to be disconnected."""

    def __init__(self) -> None:
        # Topics take turns, in the order of this dict.
        self._waiting: dict[TopicId, deque[tuple[bytes, bool]]] = {}
        self._bytes = 0
        self._frames = 0

    @property
    def is_half_full(self) -> bool:
        """Whether it is time to say less."""
        return self._frames > OUTBOX_FRAMES_MAX // 2 or self._bytes > OUTBOX_BYTES_MAX // 2

    def append(self, topic: TopicId, frame: bytes, *, ends_stream: bool) -> bool:
        """Queue a frame; return False if there is no room for it."""
        if self._frames >= OUTBOX_FRAMES_MAX or self._bytes + len(frame) > OUTBOX_BYTES_MAX:
            return False
        self._waiting.setdefault(topic, deque()).append((frame, ends_stream))
        self._bytes += len(frame)
        self._frames += 1
        return True

    def take(self) -> Batch | None:
        """Take what can be written next at once; None if nothing waits."""
        if not self._waiting:
            return None
        topic = next(iter(self._waiting))
        frames = self._waiting.pop(topic)
        taken: list[bytes] = []
        size = 0
        ends_stream = False
        while (
            frames
            and not ends_stream
            and (not taken or size + len(frames[0][0]) <= BATCH_BYTES_MAX)
        ):
            frame, ends_stream = frames.popleft()
            taken.append(frame)
            size += len(frame)
        if frames:
            self._waiting[topic] = frames
        self._bytes -= size
        self._frames -= len(taken)
        return Batch(topic=topic, data=b"".join(taken), ends_stream=ends_stream)
