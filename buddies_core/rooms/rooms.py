"""The rooms this node is in: joining, leaving, saying something, and who else is there.

Membership belongs to the node; the agents attached to it share it. What peers say comes in through
`inbound`, which calls the `on_…` methods of the room that it came by. One event loop owns all this.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from buddies_core.errors import BuddiesError, InvalidInput, StoreError
from buddies_core.model.bodies import AgentPresence, Body, Leave, StatusUpdate
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName, TopicId, open_room_id, short
from buddies_core.model.memory import Whole
from buddies_core.model.private import Invite
from buddies_core.model.room import (
    DialAttempt,
    JoinReport,
    LeaveReport,
    Member,
    NotifyReport,
    RoomStatus,
)
from buddies_core.pb.peer_pb2 import PeerRequest
from buddies_core.rooms.attached import CLI_AGENT, AttachedAgents
from buddies_core.rooms.claims import claim
from buddies_core.rooms.entering import WayIn, check_same, record_of
from buddies_core.rooms.joining import JOIN_DEADLINE_S, dial_more, find_neighbor, missed, others_on
from buddies_core.rooms.ports import Host
from buddies_core.rooms.private.invites import redeem
from buddies_core.rooms.private_rooms import PrivateRooms
from buddies_core.rooms.registry import Registry
from buddies_core.rooms.room import Room
from buddies_core.store.records import RoomRecord
from buddies_core.trust.admission import Admitted, spoke_key
from buddies_core.trust.names import room_name, status_text, way_into
from buddies_core.wire.tickets import encode_ticket

GOODBYE_WITHIN_S = 3.0
"""To all rooms together, when the node stops; who does not hear it notices soon enough."""

log = logging.getLogger(__name__)


class Rooms:
    """The rooms of this node. Use `open`, which brings it back into those it was in."""

    def __init__(self, host: Host, group: asyncio.TaskGroup) -> None:
        self._host = host
        self._rooms = Registry(host, group)
        self.agents = AttachedAgents(self._rooms)
        # One joins or leaves a room at a time: else a join could succeed in a room being left.
        self._changing: defaultdict[RoomName, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.private = PrivateRooms(host, self._rooms, self._changing, self.name_of)

    @classmethod
    @asynccontextmanager
    async def open(cls, host: Host) -> AsyncIterator["Rooms"]:
        """Be in the rooms that were joined before; leave the swarm, not the rooms, at the end."""
        # We sign, too: nobody speaks for us without a signature.
        await host.store.raise_watermark(spoke_key(host.endpoint), 1)
        async with asyncio.TaskGroup() as group:
            rooms = cls(host, group)
            for record in host.store.rooms():
                room = rooms._rooms.add(Room(record, host))
                await room.line.join()
                rooms._rooms.enter(room)
            try:
                yield rooms
            finally:
                rooms._rooms.stop()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_WITHIN_S):
                        await rooms._say_goodbye()

    async def _say_goodbye(self) -> None:
        for room in self._rooms:
            with contextlib.suppress(BuddiesError):
                await room.line.say(Leave(self._host.user))

    # Coming and going

    async def join(
        self, room: str, ticket: str | None, agent: UUID | None, *, private: bool = False
    ) -> JoinReport:
        """Be in the room, and stay in it over restarts. Joining again adds the ticket's peers.

        A private room is made by `private` and entered by an invite in place of a ticket.

        Raises:
            InvalidInput: the name or the ticket can't be taken, or something of another, private
                room of that name is kept here.
            NotAllowed: the invite lets nobody in any more.
            Unreachable: nobody on the ticket could be joined within 10 s; nothing is kept.
        """
        name = room_name(room)
        way_in = way_into(name, ticket, private=private) if ticket else None
        # From here on, as another agent may be joining the same room just now.
        until_s = asyncio.get_running_loop().time() + JOIN_DEADLINE_S
        async with self._changing[name]:
            known = self._rooms.get(name)
            if known is None:
                record = await record_of(name, way_in, self._host, until_s, private=private)
                await claim(name, record.room_id, self._host.store)
                tried = await self._enter(record, until_s)
            else:
                check_same(known, way_in, private=private)
                tried = await self._come_again(known, way_in, until_s)
        joined = self.room(name)
        if agent is not None:
            joined.joined_by.add(agent)
            joined.left_by.discard(agent)
        joined.announce(self.agents.shown_in(joined))
        return JoinReport(
            room=name,
            ticket=await self._ticket(joined),
            endpoint=self._host.endpoint,
            members=joined.members(),
            already_joined=known is not None,
            tried=tried,
            private=joined.epochs is not None,
            warnings=(*self._host.warnings, *joined.warnings(), *missed(tried)),
        )

    async def leave(self, room: str, agent: UUID | None, *, for_all: bool) -> LeaveReport:
        """Take an agent out of the room, and the node with it if no other agent has joined it.

        Raises:
            NotFound: the node is not in the room.
            StoreError: the disk refused; the node has not left.
        """
        name = self.room(room).name
        async with self._changing[name]:
            left = self.room(name)
            if agent is not None:
                left.joined_by.discard(agent)
                left.left_by.add(agent)
            still = self.agents.names_in(left)
            node_leaves = for_all or not still
            if node_leaves:
                await self._leave(left)
            else:
                left.announce(self.agents.shown_in(left))
            return LeaveReport(name, node_left=node_leaves, still_joined_by=still)

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in, sorted."""
        return self._rooms.joined()

    async def ticket(
        self, room: str, uses: int | None = None, expires_s: float | None = None
    ) -> str:
        """Return what brings others into the room: a ticket, or a new invite to a private one.

        Raises:
            NotFound: this node is not in the room.
            InvalidInput: an open room's ticket neither expires nor is used up.
            Busy: too many invites are out.
        """
        asked = self.room(room)
        if asked.epochs is not None:
            return await self.private.invite(asked, uses, expires_s)
        if uses is not None or expires_s is not None:
            raise InvalidInput(
                f"room {asked.name!r} is open: its ticket does not expire and is not used "
                "up, as whoever knows the name may come in; leave out uses and expiry"
            )
        return await self._ticket(asked)

    async def _ticket(self, room: Room) -> str:
        if room.epochs is None:
            return encode_ticket(room.ticket())
        return await self.private.shown_invite(room)

    def status(self, room: str) -> RoomStatus:
        """Return who is in the room now.

        Raises:
            NotFound: this node is not in the room.
        """
        asked = self.room(room)
        return RoomStatus(
            room=asked.name,
            topic=asked.line.topic,
            private=asked.epochs is not None,
            warnings=asked.warnings(),
            members=asked.members(),
            neighbors=len(asked.line.neighbors()),
            joined_at_ms=asked.joined_at_ms,
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
        speaker = self.agents.get(agent)
        name = speaker.name if speaker else CLI_AGENT
        user = speaker.user if speaker else ""
        told.statuses[name] = AgentPresence(
            name=name, user=user, status=said, status_at_ms=self._host.clock.wall_ms()
        )
        told.announce(self.agents.shown_in(told))
        await told.line.say(StatusUpdate(self._host.endpoint.hex(), said), agent=name, user=user)
        return NotifyReport(told.name, said, len(told.members()) - 1)

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
        return await self.room(room).line.say(body, agent=agent, user=user, whole=whole)

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
        return await self.room(room).line.compose(body, agent=agent, user=user, whole=whole)

    async def send(self, room: RoomName, proof: bytes) -> None:
        """Say what `compose` returned.

        Raises:
            NotFound: this node is not in the room.
        """
        await self.room(room).line.send(proof)

    # Knowing things

    def room(self, name: str) -> Room:
        """Return a room this node is in.

        Raises:
            NotFound: it is not in that room.
        """
        return self._rooms.room(name)

    def by_topic(self, topic: TopicId) -> Room | None:
        """Return the room of this topic, also while it is being entered."""
        return self._rooms.by_topic(topic)

    def asked(self, caller: EndpointId, request: PeerRequest) -> Room:
        """Return the room that a peer's request is about, if it may ask in that.

        Raises:
            NotFound: this node is not in that room, or the caller is not.
            Rotated: the caller asks by a topic that the room once had.
        """
        return self._rooms.asked(caller, request)

    def members(self, room: RoomName) -> tuple[Member, ...]:
        """Return who is present, this node first.

        Raises:
            NotFound: this node is not in the room.
        """
        return self.room(room).members()

    async def admit(
        self, room: RoomName, proof: bytes, source: EndpointId | None = None
    ) -> Admitted:
        """Return the message that a copy holds, by the same rules as for a broadcast.

        `source` has handed it on, and is asked for what a policy has to know of its author.

        Raises:
            NotFound: this node is not in the room.
            Rejected: the copy is not what its author said in this room.
        """
        return await self._host.gate.admit_copy(self.room(room), proof, source)

    def message_bytes_max(self, room: RoomName) -> int:
        """Return how large a message of ours, with its trailer, may be in this room now.

        Raises:
            NotFound: this node is not in the room.
        """
        return self.room(room).line.message_bytes_max

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return whose key vouches for what this endpoint says, if anybody's does."""
        return self._host.bindings.signer_of(endpoint)

    def hears(self, room: RoomName, endpoint: EndpointId) -> bool:
        """Return whether the room's policy lets in what this endpoint says; also of a room left."""
        known = self._rooms.get(room)
        room_id = known.room_id if known else open_room_id(room)
        return self._host.gate.hears(room_id, endpoint)

    def name_of(self, endpoint: EndpointId) -> str:
        """Return the display name last heard of a peer, or the start of its id."""
        if endpoint == self._host.endpoint:
            return self._host.user
        names = (room.name_of(endpoint) for room in self._rooms)
        return next((name for name in names if name), short(endpoint))

    # Entering and leaving

    async def _enter(self, record: RoomRecord, until_s: float) -> tuple[DialAttempt, ...]:
        room = self._rooms.add(Room(record, self._host))
        try:
            await room.line.join()
            tried = await find_neighbor(room, room.bootstrap, until_s)
            kept = None
            while kept != room.line.record():  # Somebody may be let in while it is written.
                kept = room.line.record()
                await self._host.store.put_room(kept)
        except BaseException:
            await self._rooms.remove(room)
            # Peers may have told of members, and the caller may have gone while this was written.
            with contextlib.suppress(StoreError):
                await self._host.store.delete_room(record.name)
                await self._host.store.delete_presences(record.room_id)
            raise
        room.agents = self.agents.shown_in(room)
        self._rooms.enter(room)
        return tried

    async def _come_again(
        self, room: Room, way_in: WayIn, until_s: float
    ) -> tuple[DialAttempt, ...]:
        others = others_on(way_in, self._host.endpoint)
        tried = await dial_more(room, others, until_s)
        if room.epochs and room.epochs.keyring.left_out_by and isinstance(way_in, Invite):
            again = await redeem(way_in, self._host, until_s)
            await room.epochs.take_invited(again.epoch, again.roster, again.inviter)
            tried = await dial_more(room, others, until_s)
        return tried

    async def _leave(self, room: Room) -> None:
        room.line.entered = False  # Nothing that is on its way here keeps it on disk again.
        try:
            await self._host.store.delete_room(room.name)
        except StoreError:
            room.line.entered = True
            raise
        try:
            await room.line.say(Leave(self._host.user))
        except BuddiesError as error:
            log.warning("leave_not_told room=%s: %s", room.name, error)
        finally:
            await self._rooms.remove(room)
        await self._host.store.delete_presences(room.room_id)
        await self.private.void_invites(room)
