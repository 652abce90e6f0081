"""Removes everything of buddies on this machine, apart from clients' configurations."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from buddies_core.edits import disk
from buddies_core.paths import Paths, config_file, home_directory
from buddies_core.places import HOST_START_LOCK, HOST_START_LOG

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAMS = ("buddies", "buddies-cli", "buddies-core")
OWN_MARK = "made-by-buddies"
"""The file that install.sh leaves in the virtual environment that it makes."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The installer of the program, and the command that removes it; None if only a person can."""

    kind: str
    command: tuple[str, ...] | None


def remove_data(environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Delete what the daemon keeps, and the settings; return what was deleted, and what stays.

    Only what buddies has made is deleted: a data directory may have been anybody's.

    Raises:
        StoreError: the system refuses.
    """
    paths, settings = Paths.from_environment(environ), config_file(environ)
    ours = [] if settings is None else [settings]
    # What has no key of ours in it was never a daemon's, whatever it is called.
    made = paths.node_key.exists()
    ours += (
        []
        if not made
        else [
            paths.store,
            # Copies with all that it holds: of before a restore, or of a damaged one.
            *sorted(paths.data_dir.glob("store.*")),
            paths.index,
            paths.node_key,
            paths.udp_port,
            paths.data_dir / "identity_ed25519",
            paths.http_token,
            *sorted(paths.data_dir.glob("core.log*")),
            paths.start_log,
            *sorted(paths.data_dir.glob("host.log*")),
            paths.host_lock,
            paths.data_dir / HOST_START_LOG,
            paths.data_dir / HOST_START_LOCK,
            paths.start_lock,
            paths.lock,
            paths.runtime_dir,
        ]
    )
    gone = [str(path) for path in ours if _delete(path)]
    directories = [paths.data_dir, *([settings.parent] if settings is not None else [])]
    return gone, [str(it) for it in directories if not _delete_if_empty(it)]


def installation(environ: Mapping[str, str], prefix: Path = Path(sys.prefix)) -> Installation:
    """Return how this program was installed."""
    path = environ.get("PATH")
    if (prefix / "uv-receipt.toml").exists() and (uv := shutil.which("uv", path=path)):
        return Installation("uv", (uv, "tool", "uninstall", "buddies"))
    if (prefix / "pipx_metadata.json").exists() and (pipx := shutil.which("pipx", path=path)):
        return Installation("pipx", (pipx, "uninstall", "buddies"))
    if (prefix / OWN_MARK).exists():
        home = home_directory(environ) or Path("/")
        links = [home / ".local" / "bin" / name for name in PROGRAMS]
        ours = [str(it) for it in links if it.is_symlink() and it.readlink().is_relative_to(prefix)]
        return Installation("venv", ("/bin/rm", "-rf", "--", str(prefix), *ours))
    return Installation("other", None)


def _delete(path: Path) -> bool:
    with disk(path):
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            return False
    return True


def _delete_if_empty(directory: Path) -> bool:
    """Delete a directory unless something is in it; return whether it is gone."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
