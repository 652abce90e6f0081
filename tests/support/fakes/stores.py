"""The services that move what is kept to and from files, for a node without a store."""

from collections.abc import AsyncIterator, Sequence

from buddies_core.errors import NotFound
from buddies_core.model.ids import RoomName
from buddies_core.model.transfer import BackedUp, Exported, Imported, Refused, Verified

EXPORTED = (
    Exported((b'{"type":"memory"}', b'{"type":"vote"}'), (), 2, 3),
    Exported((), ("memory 7 is damaged",), 3, 3),
)
VERIFIED = (Verified(500, ()), Verified(502, ("memory 7: its bytes are not a record",)))


class FakeTransfer:
    """Exports EXPORTED, and takes in each line but those that are not JSON."""

    def __init__(self) -> None:
        self.imported: list[bytes] = []

    async def export(self, room: RoomName) -> AsyncIterator[Exported]:
        if room == "nothing":
            raise NotFound("nothing of it is here")
        for part in EXPORTED:
            yield part

    async def import_lines(
        self, room: RoomName, lines: Sequence[bytes], *, agent: str = "", user: str = ""
    ) -> Imported:
        good = [line for line in lines if line.startswith(b"{")]
        bad = [Refused(at, "it is not JSON") for at, it in enumerate(lines) if it not in good]
        new = [line for line in good if line not in self.imported]
        self.imported += new
        return Imported(imported=len(new), known=len(good) - len(new), refused=tuple(bad))


class FakeKeeping:
    """Backs up nothing, and finds one damaged record."""

    async def back_up(self, directory: str) -> BackedUp:
        return BackedUp(directory=directory, bytes=5 << 20, memories=7)

    async def verify(self) -> AsyncIterator[Verified]:
        for state in VERIFIED:
            yield state
