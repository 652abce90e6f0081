"""A file changes as it was shown, or not at all."""

import os
import stat
from pathlib import Path

import pytest

from buddies_core import edits
from buddies_core.edits import FileEdit
from buddies_core.errors import NotAllowed, StoreError


def test_a_file_that_appears_in_the_last_instant_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.json"
    monkeypatch.setattr("os.fsync", lambda _: file.write_text("theirs"))
    with pytest.raises(NotAllowed, match="has changed since it was looked at"):
        edits.write(FileEdit(file, None, b"ours"))
    assert file.read_text() == "theirs"
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_new_file_is_for_its_owner_alone_and_its_directories_are_made(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "config.json"
    edits.write(FileEdit(file, None, b"ours"), backup_as="2026-11-30")
    assert file.read_bytes() == b"ours"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["config.json"]


def test_there_is_one_backup_whatever_the_file_is_called(tmp_path: Path) -> None:
    file = tmp_path / "[a]*?.json"
    other = tmp_path / "a.json.before-buddies-2026-11-01"
    other.write_text("another file's")
    file.write_text("1")
    for day, (before, after) in enumerate((("1", "2"), ("2", "3")), 10):
        edit = FileEdit(file, before.encode(), after.encode())
        edits.write(edit, backup_as=f"2026-11-{day}")
    assert edits.backup_of(file) == tmp_path / "[a]*?.json.before-buddies-2026-11-11"
    assert {it.name: it.read_text() for it in tmp_path.iterdir()} == {
        "[a]*?.json": "3",
        "[a]*?.json.before-buddies-2026-11-11": "2",
        other.name: "another file's",
    }


def test_what_changes_nothing_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("1")
    file.chmod(0o444)
    before = file.stat()
    edits.write(FileEdit(file, b"1", b"1"))
    assert file.stat() == before


def test_the_word_to_confirm_stands_for_all_that_was_shown(tmp_path: Path) -> None:
    edit = FileEdit(tmp_path / "a", b"1", b"2")
    others = (
        FileEdit(tmp_path / "b", b"1", b"2"),
        FileEdit(tmp_path / "a", b"", b"2"),
        FileEdit(tmp_path / "a", b"1", b"3"),
    )
    words = [edit.confirm(), edit.confirm("more"), *(other.confirm() for other in others)]
    assert len(set(words)) == len(words)
    assert edit.confirm() == FileEdit(tmp_path / "a", b"1", b"2").confirm()


def test_more_than_is_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(b"12345")
    assert edits.read(file, 5) == b"12345"
    with pytest.raises(StoreError, match="has more than 4 bytes, so it can't be changed"):
        edits.read(file, 4)
    assert edits.read(tmp_path / "none") is None
