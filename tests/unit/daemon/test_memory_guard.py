"""Secrets in the daemon's memory are in no core dump, and out of reach of the user's others."""

import subprocess
import sys

SHOWS = """
import ctypes, resource, sys
from buddies_core.daemon.memory_guard import keep_memory_private
keep_memory_private()
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) if sys.platform == "linux" else 0
print(resource.getrlimit(resource.RLIMIT_CORE), dumpable)
"""


def test_a_process_that_guards_its_memory_leaves_no_core_dump() -> None:
    command = [sys.executable, "-c", SHOWS]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stdout == "(0, 0) 0\n"
