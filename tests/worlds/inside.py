"""Run a program in a host's network namespace.

python -I -S inside.py NAMESPACE COMMAND [ARG ...]
"""

import ctypes
import os
import sys

CLONE_NEWNET = 0x40000000

if __name__ == "__main__":
    namespace, *command = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise SystemExit(f"{namespace}: {os.strerror(ctypes.get_errno())}")
    os.execv(command[0], command)  # noqa: S606 - running the given command is what this is for
