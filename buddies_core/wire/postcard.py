"""postcard: bytes to values and back, field by field.

Postcard is not self-describing: reader and writer agree on the order of the fields, and none can be
skipped. `Reader` is as strict and as lenient as the Rust decoder (postcard 1.1): a number may take
more bytes than it needs, and bytes after the last field are left alone; anything else that an
encoder would not write raises WireError. The functions write; each has the name of the Reader's
method for the same type, and their results are joined by `+`.

    u8, i8     one byte (i8 in two's complement)      text   length:varint · UTF-8
    boolean    00 | 01                                blob   length:varint · bytes
    u16 … u64  varint: 7 bits a byte, lowest first    uuid   10 · 16 bytes
    i64        zigzag, then varint                    seq    count:varint · elements
    variant    index:varint, then its fields          raw    bytes as they are, no length
    option     00 | 01 · value                        struct its fields, nothing between
"""

from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar
from uuid import UUID

from buddies_core.errors import WireError

T = TypeVar("T")


class Reader:
    """Reads the fields of one value, in order. After a WireError, don't use the reader again."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def position(self) -> int:
        """How many bytes have been read."""
        return self._at

    def rest(self) -> bytes:
        """Read all remaining bytes; there may be none."""
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest

    def raw(self, size: int) -> bytes:
        """Read exactly `size` bytes, without a length in front."""
        end = self._at + size
        if end > len(self._data):
            self._fail(f"{size} bytes wanted, {len(self._data) - self._at} left")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def u8(self) -> int:
        """Read one byte."""
        at = self._at
        if at >= len(self._data):
            self._fail("a byte wanted, none left")
        self._at = at + 1
        return self._data[at]

    def i8(self) -> int:
        """Read one byte in two's complement."""
        byte = self.u8()
        return byte - 256 if byte > 127 else byte

    def boolean(self) -> bool:
        """Read a byte that is 0 or 1."""
        byte = self.u8()
        if byte > 1:
            self._fail(f"0 or 1 wanted, found {byte}")
        return byte == 1

    def u16(self) -> int:
        """Read a varint of at most 3 bytes."""
        return self._varint(bytes_max=3, last_max=3)

    def u32(self) -> int:
        """Read a varint of at most 5 bytes."""
        return self._varint(bytes_max=5, last_max=15)

    def u64(self) -> int:
        """Read a varint of at most 10 bytes; lengths are written like this too."""
        return self._varint(bytes_max=10, last_max=1)

    def i64(self) -> int:
        """Read a zigzag number."""
        zigzag = self.u64()
        return (zigzag >> 1) ^ -(zigzag & 1)

    def variant(self, count: int) -> int:
        """Read the index of an enum that has `count` variants; there is no unknown variant."""
        index = self.u32()
        if index >= count:
            self._fail(f"variant {index} of {count}")
        return index

    def blob(self) -> bytes:
        """Read bytes with their length in front."""
        return self.raw(self.u64())

    def text(self) -> str:
        """Read a string."""
        raw = self.blob()
        try:
            return raw.decode()
        except UnicodeDecodeError:
            self._fail("a string is not UTF-8")

    def uuid(self) -> UUID:
        """Read a UUID, which has a length in front although that is always 16."""
        raw = self.blob()
        if len(raw) != 16:
            self._fail(f"a UUID of {len(raw)} bytes")
        return UUID(bytes=raw)

    def option(self, read: Callable[[], T]) -> T | None:
        """Read an optional value: `reader.option(reader.text)`."""
        return read() if self.boolean() else None

    def seq(self, read: Callable[[], T]) -> tuple[T, ...]:
        """Read a sequence: `reader.seq(reader.text)`."""
        count = self.u64()
        # Each element takes at least a byte, so a made-up count is refused here at no cost.
        if count > len(self._data) - self._at:
            self._fail(f"{count} elements announced, {len(self._data) - self._at} bytes left")
        return tuple([read() for _ in range(count)])

    def _varint(self, bytes_max: int, last_max: int) -> int:
        value = self.u8()
        if value < 128:
            return value
        value &= 127
        for index in range(1, bytes_max):
            byte = self.u8()
            if index == bytes_max - 1 and byte > last_max:
                break
            value |= (byte & 127) << (7 * index)
            if byte < 128:
                return value
        self._fail("a number is too long")

    def _fail(self, what: str) -> NoReturn:
        raise WireError(f"postcard, byte {self._at} of {len(self._data)}: {what}")


def u8(value: int) -> bytes:
    """Return one byte."""
    return value.to_bytes(1, "big")


def i8(value: int) -> bytes:
    """Return one byte in two's complement."""
    return value.to_bytes(1, "big", signed=True)


def boolean(value: bool) -> bytes:
    """Return 00 or 01."""
    return b"\x01" if value else b"\x00"


def u16(value: int) -> bytes:
    """Return a varint of 1 to 3 bytes."""
    assert value < 1 << 16, "out of range of u16"
    return _varint(value)


def u32(value: int) -> bytes:
    """Return a varint of 1 to 5 bytes."""
    assert value < 1 << 32, "out of range of u32"
    return _varint(value)


def u64(value: int) -> bytes:
    """Return a varint of 1 to 10 bytes."""
    assert value < 1 << 64, "out of range of u64"
    return _varint(value)


def i64(value: int) -> bytes:
    """Return a zigzag number of 1 to 10 bytes."""
    assert -(1 << 63) <= value < 1 << 63, "out of range of i64"
    return _varint((value << 1) ^ (value >> 63))


def variant(index: int) -> bytes:
    """Return the index that precedes the fields of an enum's variant."""
    return u32(index)


def blob(value: bytes) -> bytes:
    """Return the length and the bytes."""
    return u64(len(value)) + value


def text(value: str) -> bytes:
    """Return the length and the UTF-8 of a string."""
    return blob(value.encode())


def uuid(value: UUID) -> bytes:
    """Return 17 bytes."""
    return b"\x10" + value.bytes


def option(value: T | None, write: Callable[[T], bytes]) -> bytes:
    """Return an optional value: `option(name, text)`."""
    return b"\x00" if value is None else b"\x01" + write(value)


def seq(values: Iterable[T], write: Callable[[T], bytes]) -> bytes:
    """Return the count and the elements: `seq(tags, text)`."""
    pieces = [write(value) for value in values]
    return u64(len(pieces)) + b"".join(pieces)


def _varint(value: int) -> bytes:
    assert value >= 0, "negative, but unsigned"
    if value < 128:
        return bytes((value,))
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    groups.append(value)
    return bytes(groups)
