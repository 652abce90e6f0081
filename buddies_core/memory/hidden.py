"""Decides which memories this machine neither shows nor hands on, and why."""

from typing import Protocol

from buddies_core.model.ids import MemoryId
from buddies_core.model.memory import Memory, MemoryHead, MemoryKey, proven_key
from buddies_core.model.revocation import Revocation, why_hidden
from buddies_core.model.skill import Skill, Vote


class RevokedPort(Protocol):
    """The items of revoked identities; see `trust.revocations.Revocations`."""

    def hiding(self, item: Memory | MemoryHead | Skill | Vote) -> Revocation | None:
        """Return the revocation that hides this, if one does."""


class AmendmentsPort(Protocol):
    """The forgotten and deleted memories; see `store.amendments.RocksAmendments`."""

    def deletion(self, memory: Memory | MemoryHead) -> bool:
        """Return whether this memory, or the one that it is a copy of, was deleted in its room."""

    def is_forgotten(self, id: MemoryId, key: MemoryKey) -> bool:
        """Return whether a memory was forgotten here, so that it must not be shown."""


class Hidden:
    """Hides items that were revoked, forgotten or deleted. It keeps no state."""

    def __init__(self, amendments: AmendmentsPort, revoked: RevokedPort) -> None:
        self._amendments = amendments
        self._revoked = revoked

    def hides(self, item: Memory | MemoryHead | Skill | Vote) -> bool:
        """Return whether this item must be neither shown nor handed on."""
        if self._revoked.hiding(item) is not None:
            return True
        if isinstance(item, Skill | Vote):
            return False
        return self._is_forgotten(item) or self._amendments.deletion(item)

    def why(self, memory: Memory | MemoryHead) -> str:
        """Return a text that says why a memory is hidden, and how a person can show it again."""
        id = memory.entry.id
        revocation = self._revoked.hiding(memory)
        if revocation is not None:
            return why_hidden(f"memory {id}", revocation)
        if self._is_forgotten(memory):
            return (
                f"memory {id} was forgotten on this machine; a person can bring it back: "
                f"buddies-cli memory forget --undo {id}"
            )
        return f"memory {id} was deleted, on every machine of its room"

    def _is_forgotten(self, memory: Memory | MemoryHead) -> bool:
        keys = {memory.key, proven_key(memory)}
        return any(
            key is not None and self._amendments.is_forgotten(memory.entry.id, key) for key in keys
        )
