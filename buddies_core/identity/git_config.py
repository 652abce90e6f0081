"""How git is configured to sign for this user, whatever the repository."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buddies_core.errors import InvalidInput
from buddies_core.identity.programs import PROGRAM_DEADLINE_S, run_program
from buddies_core.paths import home_directory

_SWITCHES = ("commit.gpgsign", "tag.gpgsign")
_ASKS_TO_SIGN = ("gpgsign", "signingkey", "defaultkeycommand")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSigning:
    """What git's own configuration says about signing."""

    format: str
    """`openpgp`, `ssh`, `x509`, or a word that git doesn't know."""
    key: str
    """user.signingkey; empty if it isn't set."""
    key_command: str
    """gpg.ssh.defaultKeyCommand, which prints the key if user.signingkey isn't set."""
    program: str
    """The program that signs in this format; empty for the usual one."""


async def read_git_signing(environ: Mapping[str, str]) -> GitSigning | None:
    """Return how git would sign for this user; None if nothing asks it to sign.

    A switch (commit.gpgsign, tag.gpgsign) asks it to, and so does a key.

    Raises:
        InvalidInput: git's configuration is broken, or git is missing and the configuration
            asks it to sign.
        TimedOut: git was too slow.
    """
    if shutil.which("git", path=environ.get("PATH")) is None:
        _check_without_git(environ)
        return None
    listed = await _git(environ, "config", "-z", "--list")
    settings: dict[str, str] = {}
    for entry in listed.split("\0"):
        name, _, value = entry.partition("\n")
        # git treats both names as one setting: the last one counts.
        settings["gpg.openpgp.program" if name == "gpg.program" else name] = value.strip()
    format = settings.get("gpg.format", "") or "openpgp"
    signing = GitSigning(
        format=format,
        key=settings.get("user.signingkey", ""),
        key_command=settings.get("gpg.ssh.defaultkeycommand", "") if format == "ssh" else "",
        program=settings.get(f"gpg.{format}.program", ""),
    )
    if signing.key or signing.key_command:
        return signing
    for switch in _SWITCHES:
        # Only git knows all the ways to write a boolean.
        asked = switch in settings and await _git(environ, "config", "--type=bool", switch)
        if asked == "true":
            return signing
    return None


async def committer(environ: Mapping[str, str]) -> str:
    """Return the committer as git would write it, `Name <address>`.

    Raises:
        InvalidInput: git doesn't know who commits.
    """
    identity = await _git(environ, "var", "GIT_COMMITTER_IDENT")
    return identity.rpartition(">")[0] + ">"  # A time and a time zone follow.


async def _git(environ: Mapping[str, str], *arguments: str) -> str:
    # The daemon outlives the repository and the one git command that it may be started from.
    outside = {**environ, "GIT_DIR": os.devnull}
    outside.pop("GIT_CONFIG_PARAMETERS", None)
    finished = await run_program(["git", *arguments], outside, PROGRAM_DEADLINE_S)
    if finished.code != 0:
        raise InvalidInput(f"git {' '.join(arguments)}: {finished.complaint}")
    return finished.output.decode(errors="replace").strip()


def _check_without_git(environ: Mapping[str, str]) -> None:
    """Check that none of this user's configuration asks git to sign.

    Raises:
        InvalidInput: one does, and only git can read it.
    """
    home = home_directory(environ) or Path("/")  # without a home the user has no files
    places = (
        Path(environ.get("GIT_CONFIG_GLOBAL") or home / ".gitconfig"),
        Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "git" / "config",
    )
    for path in places:
        try:
            text = path.read_text(errors="replace").lower()
        except OSError:
            continue
        if any(word in text for word in _ASKS_TO_SIGN):
            raise InvalidInput(
                f"{path} sets up signing, but there is no git to read it; put git on the PATH "
                "that the daemon starts with"
            )
