"""Handles a store that the disk has damaged.

RocksDB writes each commit to its log first. Read back at the next start, a log may end in the
middle of a record: that commit was never acknowledged. Anything else that is wrong in it is damage,
to what may have been acknowledged. Then the logs are copied aside as they are, what can be read of
them is taken in, and everybody who looks is told, until a person deletes the copies.
"""

import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rocksdict import DBRecoveryMode, Rdict

_log = logging.getLogger(__name__)

_ASIDE = ".damaged-"


def open_sound_or_salvaged(
    path: Path, open_rocks: Callable[[DBRecoveryMode], Rdict]
) -> tuple[Rdict, bool]:
    """Return the database in this directory, and whether a part of its logs was damaged."""
    try:
        # Not the default mode, which takes what follows a damaged record for never written.
        return open_rocks(DBRecoveryMode.tolerate_corrupted_tail_records()), False
    except Exception as error:
        logs = [file for file in path.glob("*.log") if file.stat().st_size]
        if "Corruption" not in str(error) or not logs:
            raise
        aside = path.with_name(f"{path.name}{_ASIDE}{datetime.now(UTC):%Y%m%d-%H%M%S}")
        aside.mkdir(mode=0o700)
        for file in logs:
            shutil.copy2(file, aside)
        try:
            rocks = open_rocks(DBRecoveryMode.skip_any_corrupted_record())
        except Exception:  # noqa: BLE001 - rocksdict raises nothing narrower
            shutil.rmtree(aside)  # It was not the logs.
            raise error from None
        _log.exception("store_damaged aside=%s", aside)
        return rocks, True


def warnings_about(path: Path) -> tuple[str, ...]:
    """Return warnings about damage to the store in this directory, until the copies are deleted."""
    return tuple(
        f"part of what this machine keeps was damaged on disk and could not be read; found at the "
        f"start of {aside.name.partition(_ASIDE)[2]} (UTC). What other members have comes back by "
        "itself; what only this machine had may be lost. Check the disk, and what is left with: "
        f"buddies-cli store verify. The damaged files are in {aside}; delete that directory to end "
        "this warning"
        for aside in sorted(path.parent.glob(f"{path.name}{_ASIDE}*"))
    )
