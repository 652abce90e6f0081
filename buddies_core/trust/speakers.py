"""The endpoints that sign their messages; unsigned messages in their names are not believed.

One event loop owns this. Anyone can make keys and sign with each, so their number is limited. The
least trusted is dropped first; unsigned messages in its name are then shown as unverified again,
until it signs something.
"""

from typing import Protocol

from buddies_core.errors import StoreError
from buddies_core.model.ids import EndpointId
from buddies_core.model.provenance import Provenance

SPEAKERS_MAX = 16_384
"""The limit over all rooms: four full rooms. Each endpoint takes 125 bytes on disk."""
SPEAKERS_PER_NEIGHBOR_MAX = SPEAKERS_MAX // 8

_PREFIX = b"spoke"


class MarksPort(Protocol):
    """Marks on disk; see `store.rocks.RocksStore`."""

    def watermarks(self, prefix: bytes) -> tuple[tuple[bytes, int], ...]:
        """Return the marks whose names have this prefix, with their values."""

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise the mark to `value`, if it is lower."""

    async def forget_watermark(self, name: bytes) -> None:
        """Delete the mark of this name."""


def spoke_key(endpoint: EndpointId) -> bytes:
    """Return the name of the mark which records that this endpoint signs its messages."""
    return _PREFIX + endpoint


class Speakers:
    """The endpoints that are known to sign, each with its rank of trust."""

    def __init__(self, marks: MarksPort) -> None:
        """Begin with what is on disk. A mark is one more than the rank of its endpoint."""
        self._marks = marks
        self._places: Provenance[EndpointId] = Provenance(SPEAKERS_MAX, SPEAKERS_PER_NEIGHBOR_MAX)
        for name, value in marks.watermarks(_PREFIX):
            self._places.admit(EndpointId(name.removeprefix(_PREFIX)), value - 1)

    def __contains__(self, endpoint: EndpointId) -> bool:
        return endpoint in self._places

    async def note(
        self, endpoint: EndpointId, rank: int = 0, told_by: EndpointId | None = None
    ) -> None:
        """Record that an endpoint signs, and how far it is trusted; this outlives a restart.

        `told_by` forwarded its message: each neighbor can bring in only so many.

        Raises:
            StoreError: the disk refused; the next time is another chance.
        """
        known = self._places.rank(endpoint)
        if known is not None and rank <= known:
            return
        gone = self._places.admit(endpoint, rank, told_by)
        try:
            if endpoint in self._places:
                await self._marks.raise_watermark(spoke_key(endpoint), rank + 1)
            for it in gone:
                if it != endpoint and it not in self._places:  # It may have signed again meanwhile.
                    await self._marks.forget_watermark(spoke_key(it))
        except StoreError:
            self._places.forget(endpoint)
            raise
