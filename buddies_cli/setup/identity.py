"""Finds the key of this person that can vouch for what the machine says."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from buddies_core.errors import InvalidInput, StoreError
from buddies_core.paths import home_directory
from buddies_core.settings import BY_DEFAULT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

GIT_TIMEOUT_S = 10.0
KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
"""The key files that ssh-keygen makes, under its default names."""
AGENT = ("SSH_AUTH_SOCK", "SSH_AGENT_PID")
"""A key must work without an agent: not every client that starts the daemon hands these on."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A key that signs for this machine, or could."""

    signer: str
    """The signer as in BUDDIES_SIGNER; empty if there is no key."""
    key: str
    is_chosen: bool
    """Whether the key is already in use; otherwise the settings don't name it yet."""


def find_identity(
    environ: Mapping[str, str], check: Callable[[Mapping[str, str]], None]
) -> Identity:
    """Return what signs for this machine, else the first SSH key that works without a person.

    `check` raises InvalidInput if a daemon with this environment could not start.
    """
    settings = Settings.load(environ)
    chosen = settings.value("signer")
    if chosen.source != BY_DEFAULT:
        named = (
            settings.text("ssh_private_key") if chosen.text == "ssh" else settings.text("gpg_key")
        )
        return Identity(chosen.text, named, is_chosen=True)
    if key := _git(environ, "user.signingkey"):
        return Identity("git", key, is_chosen=True)
    if _git(environ, "commit.gpgsign") == "true" or _git(environ, "tag.gpgsign") == "true":
        return Identity("git", "your committer's key", is_chosen=True)
    home = home_directory(environ)
    plain = {name: value for name, value in environ.items() if name not in AGENT}
    for name in KEYS if home is not None else ():
        key = f"~/.ssh/{name}"
        if not Path(home or "/", ".ssh", name).is_file():
            continue
        try:
            check({**plain, "BUDDIES_SIGNER": "ssh", "BUDDIES_SSH_PRIVATE_KEY": key})
        except (InvalidInput, StoreError):
            continue
        return Identity("ssh", key, is_chosen=False)
    return Identity("", "", is_chosen=False)


def _git(environ: Mapping[str, str], name: str) -> str:
    try:
        found = subprocess.run(  # noqa: S603
            ["git", "config", "--global", "--get", name],  # noqa: S607 - as the daemon would
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip()
