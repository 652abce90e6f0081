"""`buddies-core`: the daemon in the foreground."""

import os
import sys

# Before numpy or iroh are imported. More BLAS threads than one make a query wait for a busy core
# (p99 12 against 212 ms, measured); a backtrace costs iroh 100 ms with every refused dial.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["RUST_BACKTRACE"] = "0"

import asyncio
from collections.abc import Iterator

from buddies_core import logs
from buddies_core.daemon.config import Config
from buddies_core.daemon.run import run
from buddies_core.errors import BuddiesError

USAGE = """\
usage: buddies-core

Runs the daemon of this machine in the foreground; agents and buddies-cli start it by themselves.
It is set up by the environment: BUDDIES_USER, BUDDIES_DATA_DIR, BUDDIES_NETWORK, BUDDIES_RELAY_URL,
BUDDIES_SIGNER, BUDDIES_LOG. The README explains them.
"""


def main() -> None:
    """Run the daemon; exit with 1 and one line of text if it can't start, with 2 if misused."""
    if sys.argv[1:]:
        is_help = sys.argv[1:] in (["-h"], ["--help"])
        (sys.stdout if is_help else sys.stderr).write(USAGE)
        raise SystemExit(0 if is_help else 2)
    # Also in a data directory that is open to others, for whatever reason.
    os.umask(0o077)
    failed = False
    try:
        config = Config.from_environment()
        config.paths.create()
        logs.configure(os.environ, config.paths.log)
        asyncio.run(run(config))
    except* BuddiesError as errors:
        # One, as a rule; it comes in a group of groups, one for each part that was open by then.
        failed = True
        for error in _leaves(errors):
            sys.stderr.write(f"error: {error}\n")
    if failed:
        raise SystemExit(1)


def _leaves(errors: BaseExceptionGroup[BuddiesError]) -> Iterator[BuddiesError]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


if __name__ == "__main__":
    main()
