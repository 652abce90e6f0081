"""Writes a room as lines, and reads lines into a room.

Imported items are not broadcast: members get them through the room's history. Each line is admitted
like a member's message, so an interrupted import can be repeated and continues where it stopped.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from buddies_core.errors import BuddiesError, InvalidInput, NotFound, StoreError
from buddies_core.model.bodies import (
    MemoryCreated,
    MemoryDeleted,
    MemorySuperseded,
    SkillPublished,
    SkillVoteCast,
)
from buddies_core.model.ids import RoomName
from buddies_core.model.item import BEGIN, Bound, Item
from buddies_core.model.memory import verified_key
from buddies_core.model.transfer import Exported, Imported, Refused
from buddies_core.transfer.lines import Line, Plain, Proven, line_of, parse_line, proof_line
from buddies_core.transfer.ports import (
    HiddenPort,
    MemoriesPort,
    RoomsPort,
    SkillsPort,
    StorePort,
)

RECORDS_AT_ONCE = 100
"""The number of records read at once; each may be 1 MiB."""
BATCH_BYTES = 1 << 20
LINES_MAX = 1000
"""The most lines in one call."""


class Transfer:
    """Exports and imports of this node's rooms."""

    def __init__(
        self,
        *,
        store: StorePort,
        rooms: RoomsPort,
        memories: MemoriesPort,
        skills: SkillsPort,
        hidden: HiddenPort,
        counters: Counter[str],
    ) -> None:
        self._store = store
        self._rooms = rooms
        self._memories = memories
        self._skills = skills
        self._hidden = hidden
        self._counters = counters

    async def export(self, room: RoomName) -> AsyncIterator[Exported]:
        """Yield a room's memories, skills and votes as lines, by their times, a few at once.

        Items that arrive meanwhile with a later time are included. Hidden ones are left out,
        damaged ones are named.

        Raises:
            NotFound: nothing is kept of such a room.
            StoreError: the disk could not be read.
        """
        total = len(self._store.items(room))
        if not total and room not in self._rooms.joined():
            raise NotFound(f"nothing of a room {room!r} is on this machine; see: buddies-cli rooms")
        done = 0
        lower: Item | Bound = BEGIN
        while True:
            found = await self._store.records(room, lower, RECORDS_AT_ONCE)
            if not found:
                return
            lines: list[bytes] = []
            damaged: list[str] = []
            for item, record in found:
                done += 1
                if isinstance(record, str):
                    damaged.append(record)
                elif isinstance(record, bytes):
                    lines.append(proof_line(record))
                elif not self._hidden.hides(record):
                    lines.append(line_of(record))
                lower = Item(item.at_ms, item.id + b"\0")
                if sum(map(len, lines)) > BATCH_BYTES:
                    yield Exported(tuple(lines), tuple(damaged), done, max(done, total))
                    lines, damaged = [], []
            yield Exported(tuple(lines), tuple(damaged), done, max(done, total))

    async def import_lines(
        self, room: RoomName, lines: Sequence[bytes], *, agent: str, user: str
    ) -> Imported:
        """Import lines into a room that this node is in; give a reason for each refused line.

        Raises:
            NotFound: this node is not in the room.
            InvalidInput: there are too many.
            StoreError: the disk refused; earlier lines may have been imported.
        """
        if room not in self._rooms.joined():
            raise NotFound(f"this machine is not in room {room!r}; join it first")
        if len(lines) > LINES_MAX:
            raise InvalidInput(f"{len(lines)} lines at once; {LINES_MAX} are the limit")
        counts: Counter[bool] = Counter()
        refused: list[Refused] = []
        parsed: list[tuple[int, Line]] = []
        for number, line in enumerate(lines):
            try:
                parsed.append((number, parse_line(room, line)))
            except InvalidInput as error:
                refused.append(Refused(number, str(error)))

        async def take(number: int, line: Line) -> None:
            try:
                counts[await self._take(room, line, agent, user)] += 1
            except StoreError:
                raise
            except BuddiesError as error:
                refused.append(Refused(number, str(error)))

        try:
            async with asyncio.TaskGroup() as group:  # One sync of the disk serves many.
                for number, known in parsed:
                    group.create_task(take(number, known))
        except* StoreError as failed:
            raise failed.exceptions[0] from None
        refused.sort(key=lambda it: it.line)
        return Imported(imported=counts[True], known=counts[False], refused=tuple(refused))

    async def _take(self, room: RoomName, line: Line, agent: str, user: str) -> bool:
        """Import a line; return whether it was new."""
        match line:
            case Plain():
                return await self._take_plain(room, line, agent, user)
            case Proven():
                return await self._take_proven(room, line)

    async def _take_plain(self, room: RoomName, line: Plain, agent: str, user: str) -> bool:
        if self._store.get_head(verified_key(self._rooms.endpoint, line.id)) is not None:
            return False
        await self._memories.store(
            room,
            line.title,
            line.content,
            line.kind,
            line.tags,
            line.references,
            agent=agent,
            user=user,
            is_told=False,
            id=line.id,
            created_at_s=line.created_at_s,
        )
        return True

    async def _take_proven(self, room: RoomName, line: Proven) -> bool:
        items, id = self._store.items(room), hashlib.sha256(line.proof).digest()
        if id in items:
            return False
        admitted = await self._rooms.admit(room, line.proof)
        content = None if line.content is None else line.content.encode()
        match admitted.message.body:
            case MemoryCreated() | MemorySuperseded() | MemoryDeleted():
                await self._memories.receive(admitted, content=content)
            case SkillPublished():
                await self._skills.receive(admitted, content=content)
            case SkillVoteCast():
                await self._skills.receive_vote(admitted)
            case other:
                raise InvalidInput(f"a {type(other).__name__} is nothing that a room keeps")
        return id in items
