"""Lets the wall clock of a Python process jump by what the file BUDDIES_SOAK_CLOCK says.

Python imports this by itself in each program that has this directory in PYTHONPATH. The file
holds a number of seconds, and is read whenever it changes. The monotonic clock, and clocks that
other languages read, stay as they are.
"""

import os
import time

_path = os.environ.get("BUDDIES_SOAK_CLOCK")
_real_ns = time.time_ns
_seen: tuple[int, int] = (0, 0)


def _shifted_ns() -> int:
    global _seen
    try:
        changed_ns = os.stat(_path).st_mtime_ns if _path else 0
        if changed_ns != _seen[0] and _path:
            with open(_path) as file:
                _seen = (changed_ns, int(file.read() or 0) * 1_000_000_000)
    except OSError:
        pass
    return _real_ns() + _seen[1]


if _path:
    time.time_ns = _shifted_ns
    time.time = lambda: _shifted_ns() / 1e9  # noqa: TID251 - it is replaced
