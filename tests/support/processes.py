"""The system's processes and whose children they are. Linux alone."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def alive(pid: int) -> bool:
    """Return whether a process is there and not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent_of(pid: int) -> int:
    """Return the pid of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def descendants_of(pid: int) -> list[int]:
    """Return the process's children, their children and so on."""
    children: dict[int, set[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            child = int(process.name)
            children.setdefault(parent_of(child), set()).add(child)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        of_one = children.get(waiting.pop(), set())
        found += of_one
        waiting += of_one
    return found


def foster_parent() -> int:
    """Return who becomes the parent of processes here whose own has ended: init, or its deputy."""
    shell = subprocess.run(
        ["sh", "-c", "sleep 60 >/dev/null & echo $!"], check=True, stdout=subprocess.PIPE
    )
    orphan = int(shell.stdout)
    try:
        return parent_of(orphan)
    finally:
        os.kill(orphan, signal.SIGKILL)


def running(script: str, directory: Path) -> set[int]:
    """Return the pids of the processes in this directory whose command line names this script."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            here = (process / "cwd").readlink() == directory
            if here and script.encode() in (process / "cmdline").read_bytes():
                found.add(int(process.name))
    return found
