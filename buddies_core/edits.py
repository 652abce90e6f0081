"""Changes to other programs' files, and to ours that people edit: plan, show, confirm, write.

A plan holds what the file is now and what it will be. Writing looks again, and refuses if the file
is no longer what was shown. The file is replaced at once; a symbolic link to it stays one; its mode
and owner stay. Nothing here knows what is in a file.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from buddies_core.errors import NotAllowed, StoreError
from buddies_core.files import read_file
from buddies_core.model.text_diff import CHARS_MAX as DIFF_CHARS_MAX
from buddies_core.model.text_diff import text_diff

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_BYTES_MAX = 16 << 20
"""The largest file that is edited. No client's configuration comes near it."""
OWNER_ONLY = 0o600
BACKUP = ".before-buddies-"


@dataclass(frozen=True, slots=True)
class FileEdit:
    """One file as it is and as it will be; None stands for no file."""

    path: Path
    before: bytes | None = field(repr=False)
    after: bytes | None = field(repr=False)

    @property
    def changes_something(self) -> bool:
        """Whether there is anything to write."""
        return self.before != self.after

    def diff(self, old_name: str = "", new_name: str = "", chars_max: int = DIFF_CHARS_MAX) -> str:
        """Return what changes, as a unified diff for people."""
        old_name, new_name = old_name or f"{self.path} as it is", new_name or f"{self.path}"
        return text_diff(_shown(self.before), _shown(self.after), old_name, new_name, chars_max)

    def confirm(self, *more: str) -> str:
        """Return a word that stands for this very change, and for what else was shown with it."""
        seen = (str(self.path).encode(), self.before or b"", self.after or b"")
        return hashlib.sha256(b"\0".join((*seen, *map(str.encode, more)))).hexdigest()[:16]


def read(path: Path, bytes_max: int = FILE_BYTES_MAX) -> bytes | None:
    """Return what the file holds; None if there is none.

    Raises:
        StoreError: it can't be read, is not a file, or is larger than `bytes_max`.
    """
    try:
        return read_file(path, bytes_max)
    except StoreError as error:
        raise StoreError(f"{error}, so it can't be changed; do that by hand") from error


def write(edit: FileEdit, *, mode: int = OWNER_ONLY, backup_as: str = "") -> None:
    """Put the file in place as it was planned; directories that are missing are made.

    `mode` is that of a new file. With `backup_as`, a word such as a date, what the file held is
    kept beside it, in place of an earlier backup.

    Raises:
        NotAllowed: the file has changed since the plan was made, or is read-only.
        StoreError: the disk refused; the file is as it was.
    """
    if not edit.changes_something:
        return
    with disk(edit.path):
        target = Path(os.path.realpath(edit.path))  # what a link leads to is changed, not the link
        target.parent.mkdir(parents=True, exist_ok=True)
        found = read(target)
        if found != edit.before:
            raise _changed(edit.path)
        if edit.after is None:
            _check_writable(target)
            target.unlink(missing_ok=True)
            return
        if found is None:
            _create(target, edit.after, mode, edit.path)
            return
        _check_writable(target)
        if backup_as:
            _back_up(target, found, backup_as)
        _replace(target, edit.after, target.stat())


def replace(path: Path, content: bytes, *, mode: int) -> None:
    """Put a file of ours in place at once, so that nobody reads half of it."""
    with _temporary(path, content) as temporary:
        temporary.chmod(mode)
        temporary.replace(path)


def backup_of(path: Path) -> Path | None:
    """Return the backup that lies beside a file; None if there is none."""
    target = Path(os.path.realpath(path))
    found = sorted(target.parent.glob(f"{_literal(target.name)}{BACKUP}*"))
    return found[-1] if found else None


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Tell what the system refuses as a StoreError that names the file."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} can't be used: {error.strerror}; see that you may read and write it"
        ) from error


def _create(target: Path, content: bytes, mode: int, named: Path) -> None:
    with _temporary(target, content) as temporary:
        temporary.chmod(mode)
        try:
            os.link(temporary, target)  # unlike a rename, it fails if a file has appeared
        except FileExistsError:
            raise _changed(named) from None


def _replace(target: Path, content: bytes, like: os.stat_result) -> None:
    with _temporary(target, content) as temporary:
        if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            with suppress(PermissionError):  # only root may give files away
                os.chown(temporary, like.st_uid, like.st_gid)
        temporary.chmod(stat.S_IMODE(like.st_mode))
        temporary.replace(target)


def _back_up(target: Path, content: bytes, date: str) -> None:
    earlier = set(target.parent.glob(f"{_literal(target.name)}{BACKUP}*"))
    backup = target.with_name(f"{target.name}{BACKUP}{date}")
    _replace(backup, content, target.stat())
    for path in earlier - {backup}:
        path.unlink(missing_ok=True)


@contextmanager
def _temporary(target: Path, content: bytes) -> Iterator[Path]:
    file, name = tempfile.mkstemp(dir=target.parent, prefix=".buddies-")
    temporary = Path(name)
    try:
        with os.fdopen(file, "wb") as written:
            written.write(content)
            written.flush()
            os.fsync(file)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _check_writable(target: Path) -> None:
    # A rename would replace a read-only file all the same, and root may write any.
    if target.exists() and not target.stat().st_mode & stat.S_IWUSR:
        raise NotAllowed(
            f"{target} is read-only, so it was left as it is; make it writable (chmod u+w), or "
            "change it by hand"
        )


def _changed(path: Path) -> NotAllowed:
    return NotAllowed(
        f"{path} has changed since it was looked at, so nothing was written; try again"
    )


def _shown(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "replace")


def _literal(name: str) -> str:
    """Return a file's name as a pattern that matches only it."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
