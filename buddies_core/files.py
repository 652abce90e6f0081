"""Reads files that other people and programs write too: never waiting, and never too much."""

import os
import stat
from pathlib import Path

from buddies_core.errors import StoreError


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file or directory from another one at its place; None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def read_file(path: Path, bytes_max: int) -> bytes | None:
    """Return what the file holds; None if there is none.

    Raises:
        StoreError: it can't be read, is not a file, or is larger than `bytes_max`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would be waited for
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"{path} can't be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StoreError(f"{path} is not a file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(bytes_max + 1)
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    if len(content) > bytes_max:
        raise StoreError(f"{path} has more than {bytes_max} bytes")
    return content
