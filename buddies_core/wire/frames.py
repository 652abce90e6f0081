"""Frames: `frame := length:u32be · body[length]`, and a reader that splits a stream into bodies.

The limits are those of iroh-gossip's default of 4096 bytes, which differs by one byte between the
two directions: it writes fewer bytes than that, and reads up to that many.
"""

from buddies_core.errors import InvalidInput, WireError

WRITTEN_BODY_BYTES_MAX = 4095
READ_BODY_BYTES_MAX = 4096

_LENGTH_BYTES = 4


def frame(body: bytes, body_bytes_max: int = WRITTEN_BODY_BYTES_MAX) -> bytes:
    """Return the body with its length in front.

    Raises:
        InvalidInput: the body is over the limit; peers would drop its stream.
    """
    if len(body) > body_bytes_max:
        raise InvalidInput(
            f"a frame of {len(body)} bytes was not sent: peers take {body_bytes_max}; send less"
        )
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameReader:
    """Reads the bodies in one stream, however its bytes were split on the way."""

    __slots__ = ("_body_bytes_max", "_buffer")

    def __init__(self, body_bytes_max: int = READ_BODY_BYTES_MAX) -> None:
        self._body_bytes_max = body_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the bodies that are complete now; keep less than one frame for the next call.

        Raises:
            WireError: a length is over the limit. The rest of the stream is useless: close it.
        """
        buffer = self._buffer
        buffer += data
        bodies = []
        at = 0
        while len(buffer) - at >= _LENGTH_BYTES:
            start = at + _LENGTH_BYTES
            length = int.from_bytes(buffer[at:start], "big")
            if length > self._body_bytes_max:
                raise WireError(f"a peer announced a frame of {length} bytes, over the limit")
            if len(buffer) - start < length:
                break
            at = start + length
            bodies.append(bytes(buffer[start:at]))
        del buffer[:at]
        return bodies

    def end(self) -> None:
        """Note that the stream has ended; a clean end is between two frames.

        Like iroh-gossip, this also accepts an end within the four bytes of a length as clean.

        Raises:
            WireError: a body was cut short.
        """
        if len(self._buffer) >= _LENGTH_BYTES:
            raise WireError(
                f"the stream ended {len(self._buffer) - _LENGTH_BYTES} bytes into a body"
            )
