"""0.1.4 peers in our rooms: which are present, and whether messages must be signed for them.

They know no presence and no binding: a peer announces itself once, by name, and counts as present
while it is a neighbor, and for a while after each of its messages. One event loop owns this.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.model.bodies import AgentPresence, Body, Join, SearchResponse
from buddies_core.model.ids import EndpointId, RoomId
from buddies_core.model.provenance import Provenance, Source
from buddies_core.model.room import Member
from buddies_core.rooms.presence import NAME_CHARS_MAX

WANT_SIGNATURES_MS = 24 * 3600 * 1000
"""How long to sign messages after a 0.1.4 peer was last heard in the room."""
LASTS_S = 15 * 60.0
MEMBERS_MAX = 512
"""The most 0.1.4 peers remembered in a room. Names cost nothing, so the oldest peer that is known
only through other peers is forgotten first."""
MEMBERS_PER_NEIGHBOR_MAX = 128


class Marks(Protocol):
    """Marks that survive a restart and only ever rise."""

    def watermark(self, name: bytes) -> int:
        """Return the mark; 0 if there is none."""

    async def raise_watermark(self, name: bytes, value: int) -> None:
        """Raise the mark to `value`, if it is lower."""


@dataclass(frozen=True, slots=True)
class _Known:
    member: Member
    until_s: float


class RoomOfLegacy:
    """The 0.1.4 peers of one room."""

    def __init__(self, room_id: RoomId, marks: Marks, clock: Clock) -> None:
        self._mark = b"legacy" + room_id
        self._marks = marks
        self._clock = clock
        self._heard_at_ms = marks.watermark(self._mark)
        self._known: dict[str, _Known] = {}
        self._places: Provenance[str] = Provenance(MEMBERS_MAX, MEMBERS_PER_NEIGHBOR_MAX)

    def heard(self, body: Body, neighbor: EndpointId, *, is_author: bool) -> bool:
        """Learn from a message without a trailer, and return whether its author is new.

        `is_author` says that the neighbor that delivered it also wrote it.
        """
        endpoint = neighbor if is_author else None
        self._heard_at_ms = self._clock.wall_ms()
        match body:
            case Join(name, agent):
                return self._joined(name, agent, endpoint, neighbor)
            case SearchResponse(peer_name=name):
                self._alive(name)
            case _:
                if endpoint is not None:
                    self._alive(endpoint)
        return False

    def left(self, name: str) -> bool:
        """Process the Leave of a peer, and return whether a peer of that name was present."""
        self._places.forget(name)
        return self._known.pop(name, None) is not None

    def forget(self, name: str) -> None:
        """Remove the peers that are shown by this name."""
        for known in [it for it, heard in self._known.items() if heard.member.name == name]:
            self.left(known)

    def cut_off(self, endpoint: EndpointId) -> None:
        """Remove the peers at this endpoint, whose connection has ended."""
        gone = [name for name, known in self._known.items() if known.member.endpoint == endpoint]
        for name in gone:
            self.left(name)

    def members(self, neighbors: Collection[EndpointId]) -> tuple[Member, ...]:
        """Return the peers that are present; a neighbor counts even if it has been silent."""
        now_s = self._clock.now_s()
        for name, known in tuple(self._known.items()):
            if known.until_s <= now_s and known.member.endpoint not in neighbors:
                self.left(name)
        return tuple(known.member for known in self._known.values())

    def want_signatures(self) -> bool:
        """Return whether a 0.1.4 peer was heard recently enough, even before a restart."""
        since_ms = self._clock.wall_ms() - self._heard_at_ms
        return bool(self._heard_at_ms) and since_ms < WANT_SIGNATURES_MS

    async def keep(self) -> None:
        """Write to disk when a 0.1.4 peer was last heard.

        Raises:
            StoreError: the disk refused.
        """
        if self._heard_at_ms > self._marks.watermark(self._mark):
            await self._marks.raise_watermark(self._mark, self._heard_at_ms)

    def _joined(
        self, name: str, agent: str | None, endpoint: EndpointId | None, neighbor: EndpointId
    ) -> bool:
        known = self._known.get(name)
        rank = Source.HEARD if endpoint is None else Source.SIGNED
        gone = self._places.admit(name, rank, neighbor)
        for it in gone:
            self._known.pop(it, None)
        if name in gone:
            return False
        agents = known.member.agents if known else ()
        if agent is not None and agent not in (shown.name for shown in agents):
            agents = (AgentPresence(name=agent),)
        if endpoint is None:
            endpoint = known.member.endpoint if known else EndpointId(b"")
        member = Member(
            endpoint=endpoint,
            name=name[:NAME_CHARS_MAX],
            agents=agents,
            speaks_direct=False,
            heard_at_ms=self._clock.wall_ms(),
        )
        self._known[name] = _Known(member, self._clock.now_s() + LASTS_S)
        return known is None

    def _alive(self, who: EndpointId | str) -> None:
        """Note that a present peer, named by its endpoint or its name, has sent a message."""
        until_s, wall_ms = self._clock.now_s() + LASTS_S, self._clock.wall_ms()
        for name, known in self._known.items():
            if who in (name, known.member.endpoint):
                self._known[name] = _Known(replace(known.member, heard_at_ms=wall_ms), until_s)


class LegacyMembers:
    """The 0.1.4 peers of all rooms, as `rooms` sees them."""

    def __init__(self, marks: Marks, clock: Clock) -> None:
        self._marks = marks
        self._clock = clock
        self._rooms: dict[RoomId, RoomOfLegacy] = {}

    def enter(self, room_id: RoomId) -> RoomOfLegacy:
        """Add a room that this node is entering, and return it, with no peers yet."""
        room = self._rooms[room_id] = RoomOfLegacy(room_id, self._marks, self._clock)
        return room

    def of(self, room_id: RoomId) -> RoomOfLegacy:
        """Return a room that this node has entered."""
        return self._rooms[room_id]

    def cut_off(self, room_id: RoomId, endpoint: EndpointId) -> None:
        """Remove the peers whose connection has ended, if the room has been entered."""
        room = self._rooms.get(room_id)
        if room is not None:
            room.cut_off(endpoint)

    def want_signatures(self, room_id: RoomId) -> bool:
        """Return whether each message in this room must be signed for 0.1.4 peers."""
        room = self._rooms.get(room_id)
        return room is not None and room.want_signatures()

    async def keep(self) -> None:
        """Write to disk when 0.1.4 peers were last heard in each room.

        Raises:
            StoreError: the disk refused.
        """
        for room in tuple(self._rooms.values()):
            await room.keep()
