"""stdout and stderr for commands: an answer that can't be written is an error, a note is not."""

from __future__ import annotations

import io
import select
import sys
from typing import TYPE_CHECKING

from buddies_core.errors import BuddiesError
from buddies_core.streams import open_missing

if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer


class OutputLost(BuddiesError):
    """The answer can't be written."""


class ReaderGone(BuddiesError):
    """The program that reads the answer has ended, most often because it has read enough."""


def prepare() -> None:
    """Make stdout and stderr fit for commands, whatever they are. Call it before anything else."""
    open_missing()
    sys.stdout = _text(_Answers(1, "wb", closefd=False), sys.stdout)
    sys.stderr = _text(_Notes(2, "wb", closefd=False), sys.stderr)


def _text(raw: io.FileIO, like: TextIO) -> TextIO:
    # A character that the locale can't show is no reason to fail. No BufferedWriter is between: it
    # would write its bytes again if a Ctrl-C came just after they were written.
    return io.TextIOWrapper(raw, encoding=like.encoding, errors="replace", line_buffering=True)


class _Patient(io.FileIO):
    """A file that waits until all is written, even if another program made it non-blocking."""

    def write(self, data: ReadableBuffer, /) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        while left:
            # None stands for "not now", which typeshed does not know.
            written: int | None = super().write(left)
            if written is None:
                select.select([], [self], [])
            else:
                left = left[written:]
        return size


class _Answers(_Patient):
    """Tells why an answer can't be written, once; then it drops what is left."""

    _is_lost = False

    def write(self, data: ReadableBuffer, /) -> int:
        if self._is_lost:
            return memoryview(data).nbytes
        try:
            return super().write(data)
        except BrokenPipeError as error:
            self._is_lost = True
            raise ReaderGone("the reader of stdout is gone") from error
        except OSError as error:
            self._is_lost = True
            raise OutputLost(f"can't write to stdout: {error.strerror}") from error


class _Notes(_Patient):
    """Drops what can't be written: there is nobody to tell."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes
