"""The names of this machine's rooms, for completion: kept where reading them takes no time.

Asking the daemon takes longer than a person waits for a tab. So commands that learn the names keep
them, and a completion that finds them old has them learned again behind its back.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from typing import TYPE_CHECKING

from buddies_core.errors import BuddiesError
from buddies_core.paths import Paths, lock_holder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

FRESH_S = 5.0
SAFE = re.compile(r"[\w./@+-]+")
"""Names that a shell may insert unquoted: a room's name may come from somebody else's ticket."""


def keep(environ: Mapping[str, str], rooms: Iterable[str]) -> None:
    """Keep these names. What can't be written is left."""
    with contextlib.suppress(OSError, BuddiesError):
        file = _file(environ)
        new = file.with_name(f"{file.name}.{os.getpid()}")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write("\n".join(rooms))
        new.replace(file)


def known(environ: Mapping[str, str]) -> list[str]:
    """Return the names that are safe to type, as of the last time that they were learned.

    Starts no daemon, and waits for none.
    """
    try:
        file = _file(environ)
        text = file.read_text() if file.exists() else ""
        is_fresh = text != "" and time.time() - file.stat().st_mtime < FRESH_S  # noqa: TID251 - of files
    except (OSError, ValueError, BuddiesError):
        return []
    if not is_fresh and lock_holder(Paths.from_environment(environ)) is not None:
        _learn(environ)
    return [name for name in text.split("\n") if SAFE.fullmatch(name)]


def _file(environ: Mapping[str, str]) -> Path:
    return Paths.from_environment(environ).runtime_dir / "room-names"


def _learn(environ: Mapping[str, str]) -> None:
    import subprocess

    clean = {name: value for name, value in environ.items() if "COMPLETE" not in name}
    with contextlib.suppress(OSError):
        subprocess.Popen(
            [sys.executable, "-m", "buddies_cli.main", "rooms", "--json"],
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
