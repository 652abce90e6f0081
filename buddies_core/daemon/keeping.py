"""Backs up and verifies the store as a whole."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from buddies_core.daemon.backups import back_up
from buddies_core.model.transfer import BackedUp, Verified
from buddies_core.paths import Paths
from buddies_core.store.rocks import RocksStore


@dataclass(frozen=True, slots=True)
class Keeping:
    """The store of this data directory."""

    paths: Paths
    store: RocksStore

    async def back_up(self, directory: str) -> BackedUp:
        """Write a backup into a directory; raises as `backups.back_up`."""
        return await back_up(self.paths, self.store, Path(directory))

    def verify(self) -> AsyncIterator[Verified]:
        """Read every record, and yield what is damaged."""
        return self.store.verify()
