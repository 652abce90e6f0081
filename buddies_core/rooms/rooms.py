"""The rooms this node is in: joining, leaving, saying something, and who else is there.

Membership belongs to the node; the agents attached to it share it. What peers say comes in through
`inbound`, which calls the `on_…` methods of the room that it came by. One event loop owns all this.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from buddies_core.errors import BuddiesError, NotFound, StoreError
from buddies_core.model.bodies import AgentPresence, Body, Leave, StatusUpdate
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName, TopicId, short, topic_of
from buddies_core.model.memory import Whole
from buddies_core.model.room import (
    DialAttempt,
    JoinReport,
    LeaveReport,
    Member,
    NotifyReport,
    RoomStatus,
    Ticket,
)
from buddies_core.rooms.admission import Admitted, spoke_key
from buddies_core.rooms.joining import JOIN_DEADLINE_S, dial_more, find_neighbor, missed, others_on
from buddies_core.rooms.names import room_name, status_text, ticket_for
from buddies_core.rooms.ports import Host
from buddies_core.rooms.room import Room
from buddies_core.store.records import RoomRecord
from buddies_core.wire.shortening import LegacySignature
from buddies_core.wire.tickets import encode_ticket

CLI_AGENT = "buddies-cli"
"""Who speaks when no agent is attached: a person at a terminal."""

GOODBYE_WITHIN_S = 3.0
"""To all rooms together, when the node stops; who does not hear it notices soon enough."""

log = logging.getLogger(__name__)


class Rooms:
    """The rooms of this node. Use `open`, which brings it back into those it was in."""

    def __init__(self, host: Host, group: asyncio.TaskGroup) -> None:
        self._host = host
        self._group = group
        self._rooms: dict[RoomName, Room] = {}
        self._by_topic: dict[TopicId, Room] = {}
        self._lives: dict[RoomName, asyncio.Task[None]] = {}
        # One joins or leaves a room at a time: else a join could succeed in a room being left.
        self._changing: defaultdict[RoomName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._agents: dict[UUID, AgentPresence] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, host: Host) -> AsyncIterator["Rooms"]:
        """Be in the rooms that were joined before; leave the swarm, not the rooms, at the end."""
        # We sign, too: nobody speaks for us without a signature.
        await host.store.raise_watermark(spoke_key(host.endpoint), 1)
        async with asyncio.TaskGroup() as group:
            rooms = cls(host, group)
            for record in host.store.rooms():
                room = rooms._add(Room(record, host))
                await host.network.join(record.topic, ())
                rooms._enter(room)
            try:
                yield rooms
            finally:
                for life in rooms._lives.values():
                    life.cancel()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_WITHIN_S):
                        await rooms._say_goodbye()

    async def _say_goodbye(self) -> None:
        for name in self.joined():
            with contextlib.suppress(BuddiesError):
                await self._rooms[name].say(Leave(self._host.user))

    # Coming and going

    async def join(self, room: str, ticket: str | None, agent: UUID | None) -> JoinReport:
        """Be in the room, and stay in it over restarts. Joining again adds the ticket's peers.

        Raises:
            InvalidInput: the name or the ticket can't be taken.
            Unreachable: nobody on the ticket could be joined within 10 s; nothing is kept.
        """
        name = room_name(room)
        parsed = ticket_for(name, ticket) if ticket else None
        # From here on, as another agent may be joining the same room just now.
        until_s = asyncio.get_running_loop().time() + JOIN_DEADLINE_S
        async with self._changing[name]:
            known = self._rooms.get(name)
            if known is None:
                tried = await self._join_anew(name, parsed, until_s)
            else:
                tried = await dial_more(known, others_on(parsed, self._host.endpoint), until_s)
        joined = self.room(name)
        if agent is not None:
            joined.joined_by.add(agent)
            joined.left_by.discard(agent)
        joined.announce(self._agents_in(joined))
        return JoinReport(
            room=name,
            ticket=encode_ticket(joined.ticket()),
            endpoint=self._host.endpoint,
            members=joined.members(),
            already_joined=known is not None,
            tried=tried,
            warnings=(*self._host.warnings, *missed(tried)),
        )

    async def leave(self, room: str, agent: UUID | None, *, for_all: bool) -> LeaveReport:
        """Take an agent out of the room, and the node with it if no other agent has joined it.

        Raises:
            NotFound: the node is not in the room.
            StoreError: the disk refused; the node has not left.
        """
        name = self.room(room).record.name
        async with self._changing[name]:
            left = self.room(name)
            if agent is not None:
                left.joined_by.discard(agent)
                left.left_by.add(agent)
            still = tuple(
                self._agents[other].name for other in left.joined_by if other in self._agents
            )
            node_leaves = for_all or not still
            if node_leaves:
                await self._leave(left)
            else:
                left.announce(self._agents_in(left))
            return LeaveReport(name, node_left=node_leaves, still_joined_by=still)

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in, sorted."""
        return tuple(sorted(name for name, room in self._rooms.items() if room.entered))

    def ticket(self, room: str) -> str:
        """Return what brings somebody else into the room.

        Raises:
            NotFound: this node is not in the room.
        """
        return encode_ticket(self.room(room).ticket())

    def status(self, room: str) -> RoomStatus:
        """Return who is in the room now.

        Raises:
            NotFound: this node is not in the room.
        """
        asked = self.room(room)
        return RoomStatus(
            room=asked.record.name,
            topic=asked.record.topic,
            members=asked.members(),
            neighbors=len(self._host.network.neighbors(asked.record.topic)),
            joined_at_ms=asked.record.joined_at_ms,
        )

    # Saying something

    async def notify(self, room: str, text: str, agent: UUID | None) -> NotifyReport:
        """Tell the members what an agent is doing.

        Raises:
            InvalidInput: the text is empty or too long.
            NotFound: this node is not in the room.
        """
        told = self.room(room)
        said = status_text(text)
        speaker = self._agents.get(agent) if agent else None
        name = speaker.name if speaker else CLI_AGENT
        user = speaker.user if speaker else ""
        told.statuses[name] = AgentPresence(
            name=name, user=user, status=said, status_at_ms=self._host.clock.wall_ms()
        )
        told.announce(self._agents_in(told))
        await told.say(StatusUpdate(self._host.endpoint.hex(), said), agent=name, user=user)
        return NotifyReport(told.record.name, said, len(told.members()) - 1)

    async def publish(
        self,
        room: RoomName,
        body: Body,
        *,
        agent: str = "",
        user: str = "",
        whole: Whole | None = None,
    ) -> bytes:
        """Say it to the room, and return the bytes that prove it to be ours.

        Raises:
            NotFound: this node is not in the room.
        """
        return await self.room(room).say(body, agent=agent, user=user, whole=whole)

    async def compose(
        self,
        room: RoomName,
        body: Body,
        *,
        agent: str = "",
        user: str = "",
        whole: Whole | None = None,
    ) -> bytes:
        """Return what `publish` would say, without saying it.

        Raises:
            NotFound: this node is not in the room.
        """
        return await self.room(room).compose(body, agent=agent, user=user, whole=whole)

    async def send(self, room: RoomName, proof: bytes) -> None:
        """Say what `compose` returned.

        Raises:
            NotFound: this node is not in the room.
        """
        await self._host.network.broadcast(self.room(room).record.topic, proof)

    # Knowing things

    def room(self, name: str) -> Room:
        """Return a room this node is in.

        Raises:
            NotFound: it is not in that room.
        """
        room = self._rooms.get(RoomName(name))
        if room is None or not room.entered:
            joined = ", ".join(self.joined()) or "none yet"
            raise NotFound(
                f"this machine is not in room {name!r} (it is in: {joined}); "
                "join it first: join_room, or buddies-cli join ROOM"
            )
        return room

    def by_topic(self, topic: TopicId) -> Room | None:
        """Return the room of this topic, also while it is being entered."""
        return self._by_topic.get(topic)

    def topic(self, room: RoomName) -> TopicId:
        """Return the topic of a room this node is in.

        Raises:
            NotFound: it is not in that room.
        """
        return self.room(room).record.topic

    def room_of(self, topic: TopicId) -> RoomName | None:
        """Return the name of the room with this topic, if this node is in it."""
        room = self._by_topic.get(topic)
        return room.record.name if room and room.entered else None

    def members(self, room: RoomName) -> tuple[Member, ...]:
        """Return who is present, this node first.

        Raises:
            NotFound: this node is not in the room.
        """
        return self.room(room).members()

    async def admit(self, room: RoomName, proof: bytes) -> Admitted:
        """Return the message that a copy holds, by the same rules as for a broadcast.

        Raises:
            NotFound: this node is not in the room.
            Rejected: the copy is not what its author said in this room.
        """
        return await self.room(room).admit(proof)

    def legacy_signature(self, room: RoomName) -> LegacySignature | None:
        """Return what is added to each message of ours in this room, for 0.1.4 peers in it."""
        return self.room(room).legacy_signature

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return whose key vouches for what this endpoint says, if anybody's does."""
        return self._host.bindings.signer_of(endpoint)

    def name_of(self, endpoint: EndpointId) -> str:
        """Return the display name last heard of a peer, or the start of its id."""
        if endpoint == self._host.endpoint:
            return self._host.user
        names = (room.presences.name_of(endpoint) for room in self._rooms.values())
        return next((name for name in names if name), short(endpoint))

    # Agents

    def agent_attached(
        self, agent: UUID, presence: AgentPresence, rooms: Sequence[RoomName] = ()
    ) -> None:
        """Show the agent in every room of this node; it had joined these before a restart."""
        self._agents[agent] = presence
        for name in rooms:
            if name in self._rooms:
                self._rooms[name].joined_by.add(agent)
        self._announce_agents()

    def agent_detached(self, agent: UUID) -> None:
        """Stop showing the agent. The node stays in the rooms the agent has joined."""
        self._agents.pop(agent, None)
        for room in self._rooms.values():
            room.joined_by.discard(agent)
            room.left_by.discard(agent)
        self._announce_agents()

    def rooms_of(self, agent: UUID) -> tuple[RoomName, ...]:
        """Return the rooms that this agent has joined itself."""
        return tuple(sorted(name for name, room in self._rooms.items() if agent in room.joined_by))

    def _announce_agents(self) -> None:
        for room in self._rooms.values():
            room.announce(self._agents_in(room))

    def _agents_in(self, room: Room) -> tuple[AgentPresence, ...]:
        shown = {
            presence.name: presence
            for agent, presence in self._agents.items()
            if agent not in room.left_by
        }
        for name, said in room.statuses.items():
            if name in shown:
                shown[name] = replace(
                    shown[name], status=said.status, status_at_ms=said.status_at_ms
                )
            elif name == CLI_AGENT:
                shown[name] = said
        return tuple(shown.values())

    # Entering and leaving

    async def _join_anew(
        self, name: RoomName, ticket: Ticket | None, until_s: float
    ) -> tuple[DialAttempt, ...]:
        topic = topic_of(name)
        record = RoomRecord(
            name=name,
            topic=topic,
            joined_at_ms=self._host.clock.wall_ms(),
            bootstrap=others_on(ticket, self._host.endpoint),
        )
        room = self._add(Room(record, self._host))
        try:
            await self._host.network.join(topic, ())
            tried = await find_neighbor(room, room.record.bootstrap, until_s)
            await self._host.store.put_room(record)
        except BaseException:
            await self._remove(room)
            # Peers may have told of members, and the caller may have gone while this was written.
            with contextlib.suppress(StoreError):
                await self._host.store.delete_room(name)
                await self._host.store.delete_presences(topic)
            raise
        self._enter(room)
        return tried

    async def _leave(self, room: Room) -> None:
        await self._host.store.delete_room(room.record.name)
        try:
            await room.say(Leave(self._host.user))
        except BuddiesError as error:
            log.warning("leave_not_told room=%s: %s", room.record.name, error)
        finally:
            await self._remove(room)
        await self._host.store.delete_presences(room.record.topic)

    def _add(self, room: Room) -> Room:
        self._rooms[room.record.name] = room
        self._by_topic[room.record.topic] = room
        return room

    def _enter(self, room: Room) -> None:
        room.entered = True
        room.agents = self._agents_in(room)
        self._lives[room.record.name] = self._group.create_task(room.live())

    async def _remove(self, room: Room) -> None:
        name, topic = room.record.name, room.record.topic
        life = self._lives.pop(name, None)
        if life is not None:
            life.cancel()
        self._rooms.pop(name, None)
        self._by_topic.pop(topic, None)
        await self._host.network.quit(topic)
