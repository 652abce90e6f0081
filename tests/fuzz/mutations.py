"""Bytes that are almost right: what decoders understand, changed in a few places."""

from collections.abc import Sequence
from random import Random

from hypothesis import strategies as st

EDITS_MAX = 6
LENGTHS = (0, 1, 0x7F, 0x80, 0xFF, 0x3FFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**64 - 1)


def mutated(corpus: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy of such bytes, and of some that are only random."""
    edited = st.builds(
        lambda data, seed, edits: edited_by(Random(seed), data, corpus, edits),
        st.sampled_from(corpus),
        st.integers(0, 2**32),
        st.integers(0, EDITS_MAX),
    )
    return edited | st.binary(max_size=200)


def edited_by(random: Random, data: bytes, corpus: Sequence[bytes], edits: int) -> bytes:
    """Return the bytes after that many changes."""
    for _ in range(edits):
        at = random.randrange(len(data) + 1)
        end = min(len(data), at + random.choice((1, 1, 2, 4, 16)))
        match random.randrange(7):
            case 0:
                data = data[:at] + data[end:]
            case 1:
                data = data[:at] + random.randbytes(random.randrange(1, 5)) + data[at:]
            case 2 if at < len(data):
                flipped = data[at] ^ 1 << random.randrange(8)
                data = data[:at] + bytes([flipped]) + data[at + 1 :]
            case 3:
                data = data[:end] + data[at:]
            case 4:
                data = data[:at] + _length(random) + data[end:]
            case 5:
                other = corpus[random.randrange(len(corpus))]
                data = data[:at] + other[random.randrange(len(other) + 1) :]
            case _:
                data = data[:at]
    return data


def _length(random: Random) -> bytes:
    """Return a number as formats write lengths: a varint, or big-endian."""
    number = LENGTHS[random.randrange(len(LENGTHS))]
    if random.randrange(2):
        return number.to_bytes(8, "big").lstrip(b"\0") or b"\0"
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
