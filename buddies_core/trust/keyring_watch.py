"""Notices that the user's GPG keyring has changed, so that revoked keys stop counting at once.

A key is revoked here once its revocation is imported, which writes gpg's keyring. Keys also expire,
which changes no file: so all are checked again every ten minutes, and at the start.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import StoreError
from buddies_core.paths import home_directory

LOOK_EVERY_S = 1.0
"""How often to read the times of three files."""
RECHECK_EVERY_S = 600.0
"""How often to check all bindings, each by a gpg process that takes some 10 ms."""
_FILES = ("pubring.kbx", "pubring.gpg", "public-keys.d/pubring.db")

log = logging.getLogger(__name__)


class BindingsPort(Protocol):
    """The signers of endpoints; see `trust.bindings.Bindings`."""

    async def recheck(self) -> None:
        """Forget the bindings whose key is no longer in force."""


class VerifierPort(Protocol):
    """Remembers gpg's answers; see `identity.verifying.Verifier`."""

    def forget_gpg(self) -> None:
        """Ask gpg anew about each signature."""


class KeyringWatch:
    """Triggers new checks of GPG keys. One event loop owns this."""

    def __init__(
        self,
        environ: Mapping[str, str],
        verifier: VerifierPort,
        bindings: BindingsPort,
        clock: Clock,
    ) -> None:
        home = home_directory(environ) or Path("/")  # without a home there is no keyring
        self._directory = Path(environ.get("GNUPGHOME") or home / ".gnupg")
        self._verifier = verifier
        self._bindings = bindings
        self._clock = clock
        self._seen: tuple[tuple[int, int], ...] | None = None
        self._checked_s = 0.0

    async def run(self) -> None:
        """Watch the keyring until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Check all bindings again, if the keyring has changed or it is time; never raises."""
        now_s, files = self._clock.now_s(), self._files()
        if files == self._seen and now_s - self._checked_s < RECHECK_EVERY_S:
            return
        self._verifier.forget_gpg()
        try:
            await self._bindings.recheck()
        except StoreError as error:
            log.warning("bindings_not_rechecked: %s", error)
            return
        self._seen, self._checked_s = files, now_s

    def _files(self) -> tuple[tuple[int, int], ...]:
        """Return the modification time and the size of each keyring file."""
        return tuple(map(_stamp, (self._directory / name for name in _FILES)))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
