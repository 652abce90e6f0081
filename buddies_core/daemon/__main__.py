"""`buddies-core`: the daemon in the foreground."""

import asyncio
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from buddies_core import __version__, logs, streams
from buddies_core.errors import BuddiesError

USAGE = """\
usage: buddies-core [--help] [--version] [--check] [--restore BACKUP]

Runs the daemon of this machine in the foreground; agents and buddies-cli start it by themselves.
With --check it looks at its settings, says what is wrong with them, and ends. With --restore it
puts a backup in the place of what is kept, and ends; buddies-cli restore does that with care.
Its settings are in config.toml (buddies-cli config show); the environment wins over it:
BUDDIES_USER, BUDDIES_NETWORK, BUDDIES_RELAY_URL, BUDDIES_LEGACY, BUDDIES_MODEL, BUDDIES_SIGNER,
BUDDIES_LOG. Its data is in BUDDIES_DATA_DIR. The README explains them.

options:
  -h, --help     show this text and exit; so does: buddies-core help
  -V, --version  show the version and exit
  --check        look at the settings and exit
"""


def main() -> None:
    """Run the daemon; exit with 1 and one line of text if it can't start, with 2 if misused."""
    streams.open_missing()
    match sys.argv[1:]:
        case [] | ["--check"] | ["--restore", _]:
            pass
        case ["-h"] | ["--help"] | ["help"]:
            raise SystemExit(streams.say(USAGE))
        case ["-V"] | ["--version"]:
            raise SystemExit(streams.say(f"buddies-core {__version__}\n"))
        case arguments:
            streams.complain(f"{arguments[0]!r} is not an option; see buddies-core --help")
            raise SystemExit(2)
    # Before numpy and iroh are imported. More BLAS threads than one make a query wait for a busy
    # core (p99 12 against 212 ms, measured); a backtrace costs iroh 100 ms with every refused dial.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    os.environ["RUST_BACKTRACE"] = "0"
    from buddies_core.daemon.heap import share_arenas

    share_arenas()
    from buddies_core.daemon.backups import restore
    from buddies_core.daemon.checking import check
    from buddies_core.daemon.config import Config
    from buddies_core.daemon.memory_guard import keep_memory_private
    from buddies_core.daemon.run import run

    keep_memory_private()
    # Also in a data directory that is open to others, for whatever reason.
    os.umask(0o077)
    failed = False
    try:
        config = Config.from_environment()
        if sys.argv[1:] == ["--check"]:
            asyncio.run(check(config))
            return
        if sys.argv[1:2] == ["--restore"]:
            now = datetime.now(UTC)
            streams.say(asyncio.run(restore(config.paths, Path(sys.argv[2]), now)) + "\n")
            return
        config.paths.create()
        logs.configure(config.environ, config.paths.log)
        asyncio.run(run(config))
    except* BuddiesError as errors:
        # One, as a rule; it comes in a group of groups, one for each part that was open by then.
        failed = True
        for error in _leaves(errors):
            streams.complain(str(error))
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
