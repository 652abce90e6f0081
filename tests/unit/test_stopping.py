"""Whether a pid is the daemon's, though the daemon keeps its files to itself."""

import fcntl
import os
from pathlib import Path

from buddies_core.launcher.stopping import is_listed_as_holder


def test_the_process_that_the_system_lists_as_the_holder_of_the_lock_is_the_daemon(
    tmp_path: Path,
) -> None:
    lock, other = tmp_path / "lock", tmp_path / "other"
    lock.touch()
    other.touch()
    found = lock.stat()
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    locks = tmp_path / "locks"
    locks.write_text(f"1: FLOCK  ADVISORY  WRITE 7 {device} 0 EOF\nnonsense\n")
    assert is_listed_as_holder(7, lock, locks)
    assert not is_listed_as_holder(8, lock, locks)
    assert not is_listed_as_holder(7, other, locks)
    assert not is_listed_as_holder(7, lock, tmp_path / "missing")


def test_a_lock_of_this_process_is_listed_as_its_own_where_the_system_lists_any(
    tmp_path: Path,
) -> None:
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        listed = Path("/proc/locks")
        known = listed.exists() and f" {os.getpid()} " in listed.read_text()
        assert is_listed_as_holder(os.getpid(), tmp_path / "lock") == known
