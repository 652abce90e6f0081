"""Reads what lies under a prefix, now or as it was at one moment."""

from collections.abc import Callable, Iterator

from rocksdict import Rdict, Snapshot

from buddies_core.errors import StoreError

AFTER_ANY_SUFFIX = b"\xff" * 32
"""Longer and higher than what keys have after a prefix."""


class View:
    """The map as it was at one moment, whatever is committed meanwhile. See `Database.view`."""

    def __init__(self, snapshot: Snapshot, failed: Callable[[Exception], StoreError]) -> None:
        self._snapshot = snapshot
        self._failed = failed

    def close(self) -> None:
        """Let it go: the traceback of an error could keep this view, and RocksDB's lock with it."""
        del self._snapshot

    def get(self, key: bytes) -> bytes | None:
        """Return the value; raises StoreError if the disk could not be read."""
        try:
            value: bytes = self._snapshot[key]
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
            if str(error) == "key not found":
                return None
            raise self._failed(error) from None
        return value

    def scan(
        self,
        prefix: bytes,
        *,
        start: bytes | None = None,
        backwards: bool = False,
        before: bytes | None = None,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield what lies under a prefix; see `Database.scan`."""
        return scan(self._snapshot, self._failed, prefix, start, backwards, before)


def scan(
    source: Rdict | Snapshot,
    failed: Callable[[Exception], StoreError],
    prefix: bytes,
    start: bytes | None,
    backwards: bool,
    before: bytes | None,
) -> Iterator[tuple[bytes, bytes]]:
    """Yield what lies under a prefix; see `Database.scan`."""
    # Not `items()`: it ends silently at a damaged block. Not ReadOptions' bounds: the upper one
    # is read after its memory was freed, the lower one sets the upper.
    try:
        iterator = source.iter()
        if backwards:
            iterator.seek_for_prev(before or prefix + AFTER_ANY_SUFFIX)
            if iterator.valid() and iterator.key() == before:
                iterator.prev()
        else:
            iterator.seek(start or prefix)
        step = iterator.prev if backwards else iterator.next
        while iterator.valid() and iterator.key().startswith(prefix):
            yield iterator.key(), iterator.value()
            step()
        iterator.status()
    except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
        raise failed(error) from None
    finally:
        # Else the traceback of an error would keep them, and with them RocksDB's lock.
        iterator = step = source = None  # type: ignore[assignment] # for nothing uses them again
