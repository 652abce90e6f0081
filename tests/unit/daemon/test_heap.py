"""The daemon's threads share few arenas, so that what one has freed serves the others."""

import subprocess
import sys
from pathlib import Path

from buddies_core.daemon.heap import ARENAS

COUNTS = """
import ctypes, sys, threading
from buddies_core.daemon.heap import share_arenas
share_arenas()
libc, all_there = ctypes.CDLL(None), threading.Barrier(20)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
def take():
    libc.malloc(5000)
    all_there.wait()
threads = [threading.Thread(target=take) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
"""


def test_twenty_threads_have_two_arenas(tmp_path: Path) -> None:
    told = tmp_path / "told.xml"
    subprocess.run([sys.executable, "-c", COUNTS, str(told)], check=True)
    assert told.read_text().count("<heap nr=") == ARENAS
