"""Numbers by name that only rise, on disk: what was seen once is not forgotten in a restart."""

import struct

from buddies_core.store import keys
from buddies_core.store.database import Changes, Database, Read


class RocksMarks:
    """The high-water marks of a store; a part of `RocksStore`.

    What is written here outlives this process, not the machine.
    """

    def __init__(self, database: Database) -> None:
        self._marks = database

    def watermark(self, name: bytes) -> int:
        """Return the highest value that this name was raised to; 0 if never."""
        return _watermark(self._marks.get, name)

    def watermarks(self, prefix: bytes) -> tuple[tuple[bytes, int], ...]:
        """Return the marks whose names begin so, by name, with their values."""
        found = self._marks.scan(keys.watermark(prefix))
        name_at = len(keys.watermark(b""))
        return tuple((place[name_at:], int.from_bytes(value, "big")) for place, value in found)

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise a mark; it never falls."""

        def decide(read: Read) -> tuple[None, Changes]:
            if value <= _watermark(read, name):
                return None, {}
            return None, {keys.watermark(name): struct.pack(">Q", value)}

        await self._marks.commit(decide, synced=False)

    async def forget_watermark(self, name: bytes) -> None:
        """Delete the mark of this name; calling again does nothing."""
        await self._marks.commit(lambda _: (None, {keys.watermark(name): None}), synced=False)


def _watermark(read: Read, name: bytes) -> int:
    return int.from_bytes(read(keys.watermark(name)) or b"", "big")
