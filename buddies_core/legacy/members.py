"""0.1.4 peers in our rooms: who of them is here, and whether they want each message signed.

They know no presence and no binding: they announce themselves once, by name, and are here while
they are a neighbor, and for a while after anything they said. One event loop owns this.
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
"""After one was last heard in the room."""
LASTS_S = 15 * 60.0
MEMBERS_MAX = 512
"""0.1.4 peers that are known of one room. Names cost nothing: the one that only others have told
of goes first, the oldest of those."""
MEMBERS_PER_NEIGHBOR_MAX = 128


class Marks(Protocol):
    """Marks that survive a restart and only ever rise."""

    def watermark(self, name: bytes) -> int:
        """Return the mark, 0 if there is none."""

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
        """Take in what a message without a trailer tells, and return whether its author is new.

        `is_author` says that the neighbor that delivered it has written it, too.
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
        """Take in the Leave of a peer, and return whether there was one of that name."""
        self._places.forget(name)
        return self._known.pop(name, None) is not None

    def forget(self, name: str) -> None:
        """Have the peer that is shown by this name here no more."""
        for known in [it for it, heard in self._known.items() if heard.member.name == name]:
            self.left(known)

    def cut_off(self, endpoint: EndpointId) -> None:
        """Forget the peer whose connection ended."""
        gone = [name for name, known in self._known.items() if known.member.endpoint == endpoint]
        for name in gone:
            self.left(name)

    def members(self, neighbors: Collection[EndpointId]) -> tuple[Member, ...]:
        """Return those that are here; one that is a neighbor has no reason to say anything."""
        now_s = self._clock.now_s()
        for name, known in tuple(self._known.items()):
            if known.until_s <= now_s and known.member.endpoint not in neighbors:
                self.left(name)
        return tuple(known.member for known in self._known.values())

    def want_signatures(self) -> bool:
        """Return whether one was heard lately enough, before a restart too."""
        since_ms = self._clock.wall_ms() - self._heard_at_ms
        return bool(self._heard_at_ms) and since_ms < WANT_SIGNATURES_MS

    async def keep(self) -> None:
        """Have it known after a restart that one was heard.

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
        """Take in that a present peer, by its endpoint or its name, has said something."""
        until_s, wall_ms = self._clock.now_s() + LASTS_S, self._clock.wall_ms()
        for name, known in self._known.items():
            if who in (name, known.member.endpoint):
                self._known[name] = _Known(replace(known.member, heard_at_ms=wall_ms), until_s)


class LegacyMembers:
    """The 0.1.4 peers of all rooms; what `rooms` knows of them."""

    def __init__(self, marks: Marks, clock: Clock) -> None:
        self._marks = marks
        self._clock = clock
        self._rooms: dict[RoomId, RoomOfLegacy] = {}

    def enter(self, room_id: RoomId) -> RoomOfLegacy:
        """Return a room that this node enters, with nobody in it yet."""
        room = self._rooms[room_id] = RoomOfLegacy(room_id, self._marks, self._clock)
        return room

    def of(self, room_id: RoomId) -> RoomOfLegacy:
        """Return a room that was entered."""
        return self._rooms[room_id]

    def cut_off(self, room_id: RoomId, endpoint: EndpointId) -> None:
        """Forget the peer whose connection ended, if the room is one where there are any."""
        room = self._rooms.get(room_id)
        if room is not None:
            room.cut_off(endpoint)

    def want_signatures(self, room_id: RoomId) -> bool:
        """Return whether messages in this room are to be signed singly."""
        room = self._rooms.get(room_id)
        return room is not None and room.want_signatures()

    async def keep(self) -> None:
        """Have what counts of it known after a restart.

        Raises:
            StoreError: the disk refused.
        """
        for room in tuple(self._rooms.values()):
            await room.keep()
