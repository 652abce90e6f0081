"""Where this machine's node is, as far as the relay has to know. Standard library alone.

`paths` knows the rest. It takes some milliseconds to import, which an agent's start must not wait
for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from buddies_core.errors import InvalidInput

HOST_LOCK = "host.lock"
HOST_START_LOCK = "host-start.lock"
HOST_START_LOG = "host-start.log"


def data_directory(environ: Mapping[str, str]) -> str:
    """Return the data directory that the environment asks for, as an absolute path.

    That is BUDDIES_DATA_DIR, or where the system keeps its user's data.

    Raises:
        InvalidInput: there is no such home directory.
    """
    if chosen := environ.get("BUDDIES_DATA_DIR"):
        place = _expanded(chosen, environ)
        if place.startswith("~"):
            raise InvalidInput(
                f"BUDDIES_DATA_DIR is {chosen!r}: there is no such home directory; set it to an"
                " absolute path"
            )
        return place if os.path.isabs(place) else os.path.join(os.getcwd(), place)
    data = environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(data):  # the specification says that a relative one is to be ignored
        home = "~/Library/Application Support" if sys.platform == "darwin" else "~/.local/share"
        data = _expanded(home, environ)
    if data.startswith("~"):
        raise InvalidInput(
            "this system has no home directory for the user that buddies runs as, so there is no "
            "place for its data; set HOME or BUDDIES_DATA_DIR to an absolute path"
        )
    return os.path.join(data, "buddies")


def home_directory(environ: Mapping[str, str]) -> str:
    """Return the user's home directory; empty if there is none, as in a container."""
    home = environ.get("HOME", "")
    if not home:
        import pwd

        try:
            home = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return ""
    return home if os.path.isabs(home) else ""


def _expanded(path: str, environ: Mapping[str, str]) -> str:
    """Return a path with its home directory in place of the tilde, if that is known."""
    if path != "~" and not path.startswith("~/"):
        return os.path.expanduser(path)
    home = home_directory(environ)
    return os.path.join(home, path[2:]) if home else path
