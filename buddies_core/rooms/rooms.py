"""The rooms this node is in: sending messages and requests there, and listing the members.

Membership belongs to the node; the agents attached to it share it. Messages of peers arrive
through `inbound`, which calls the `on_…` methods of their room. One event loop owns all this.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from buddies_core.errors import BuddiesError, NotFound, Rotated
from buddies_core.model.bodies import AgentPresence, Body, Leave, StatusUpdate
from buddies_core.model.contact import Contact
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName, TopicId, short
from buddies_core.model.memory import Whole
from buddies_core.model.provenance import Trust
from buddies_core.model.room import KeptHistory, Member, NotifyReport, RoomStatus, typed_room
from buddies_core.pb.peer_pb2 import EpochReply, PeerReply, PeerRequest, RoomKey
from buddies_core.rooms.attached import CLI_AGENT, AttachedAgents
from buddies_core.rooms.claims import stands_for
from buddies_core.rooms.near_names import looks_like
from buddies_core.rooms.ports import Host
from buddies_core.rooms.private.invites import Invites
from buddies_core.rooms.room import Room
from buddies_core.rooms.standing import CHOSEN
from buddies_core.store.records import RoomRecord
from buddies_core.trust.admitted import Admitted
from buddies_core.trust.names import status_text

GOODBYE_WITHIN_S = 3.0
"""Time to say goodbye to all rooms when the node stops; members that miss it notice soon enough."""

log = logging.getLogger(__name__)

_BY_ROOM_ID = ("take_epoch", "catch_up")
"""Requests about epochs. Members may make them whichever epoch they are in."""


class Rooms:
    """The rooms of this node. Use `open`, which rejoins the rooms that it was in."""

    def __init__(self, host: Host, group: asyncio.TaskGroup) -> None:
        self.endpoint = host.endpoint
        self.invites = Invites(host)
        self._host = host
        self._group = group
        self._rooms: dict[RoomName, Room] = {}
        """The rooms this node is in, and those that are being joined."""
        self._lives: dict[RoomName, asyncio.Task[None]] = {}
        self.outdated: set[RoomName] = set()
        """Private rooms of an earlier version, which this one does not enter."""
        self.agents = AttachedAgents(self._rooms)
        self.moves = 0
        """How often the network of this machine has changed, or the machine has slept."""

    @classmethod
    @asynccontextmanager
    async def open(cls, host: Host) -> AsyncIterator["Rooms"]:
        """Rejoin the rooms that were joined before; at the end leave the swarms, not the rooms."""
        # We sign as well: reject unsigned messages in our name.
        await host.admission.speakers.note(host.endpoint, CHOSEN)
        async with asyncio.TaskGroup() as group:
            rooms = cls(host, group)
            for record in host.store.rooms():
                if record.outdated:
                    log.warning("room_of_earlier_version room=%s", record.name)
                    rooms.outdated.add(record.name)
                    continue
                room = rooms.add(record)
                await room.line.join()
                rooms.enter(room)
            moves = group.create_task(rooms._follow_moves())
            try:
                yield rooms
            finally:
                moves.cancel()
                for life in rooms._lives.values():
                    life.cancel()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_WITHIN_S):
                        await rooms._say_goodbye()

    async def _follow_moves(self) -> None:
        while True:
            await self._host.network.next_move()
            self.moves += 1
            for room in self._rooms.values():
                room.on_move()

    async def _say_goodbye(self) -> None:
        for room in self._rooms.values():
            with contextlib.suppress(BuddiesError):
                await room.line.say(Leave(self._host.user))

    def add(self, record: RoomRecord) -> Room:
        """Add a room that can be found from now on, but is not shown yet, and return it."""
        room = self._rooms[record.name] = Room(record, self._host)
        return room

    def enter(self, room: Room) -> None:
        """Show the room, and keep it alive."""
        room.line.entered = True
        self._lives[room.name] = self._group.create_task(room.live())

    async def remove(self, room: Room) -> None:
        """Forget the room and leave its swarm."""
        life = self._lives.pop(room.name, None)
        if life is not None:
            life.cancel()
        self._rooms.pop(room.name, None)
        await room.line.close()

    # Sending messages and requests

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
        """Send a message to the room, and return the bytes that prove it to be ours.

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
        """Return the message that `publish` would send, without sending it.

        Raises:
            NotFound: this node is not in the room.
        """
        return await self.room(room).line.compose(body, agent=agent, user=user, whole=whole)

    async def send(self, room: RoomName, proof: bytes) -> None:
        """Send what `compose` returned.

        Raises:
            NotFound: this node is not in the room.
        """
        await self.room(room).line.send(proof)

    def contact(self, peer: EndpointId) -> Contact | None:
        """Return what our connections tell about a peer; None if it has none and has lost none."""
        return self._host.network.contact(peer)

    async def ask(
        self, peer: EndpointId, room: RoomName, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        """Ask a member directly in this room, and return its whole answer.

        Raises:
            NotFound: this node is not in the room, or the peer does not have what was asked for.
            BuddiesError: as `net.network.Network.ask` does.
        """
        return await self.room(room).ask(peer, request, timeout_s)

    def key_for(self, peer: EndpointId, room: RoomName) -> RoomKey | None:
        """Return how to name another room in a request; None if the peer is not a member of it."""
        known = self._rooms.get(room)
        if known is None or (known.epochs and not known.epochs.keyring.is_member(peer)):
            return None
        return known.line.key_for(peer)

    # Answering requests

    def asked(self, caller: EndpointId, request: PeerRequest) -> Room:
        """Return the room that a peer's request is about, if the peer may ask there.

        Raises:
            NotFound: this node or the caller is not in that room; the caller is not told which.
            Rotated: the caller is a member of a private room, but uses a topic unknown here.
        """
        topic, by_id = TopicId(request.topic), request.WhichOneof("ask") in _BY_ROOM_ID
        entered = [room for room in self._rooms.values() if room.line.entered]
        known = [it for it in entered if it.epochs and it.epochs.keyring.is_member(caller)]
        if by_id:
            room = next((it for it in known if it.room_id == request.topic), None)
        else:
            proven = (it for it in entered if it.line.is_proven(topic, caller, request.proof))
            room = next(proven, None)
        if room is not None:
            return room
        if known and request.proof:
            raise Rotated("a room that both are in may have new keys; catch up first")
        self._host.counters["requests_for_no_room"] += 1
        raise NotFound("this node is not in that room")

    async def answer_redeem(self, caller: EndpointId, request: PeerRequest) -> EpochReply:
        """Return a private room's secret to a peer with a good invite; see `Invites.answer`."""
        named = (it for it in self._rooms.values() if it.room_id == request.topic)
        room = next((it for it in named if it.line.entered), None)
        return await self.invites.answer(room, caller, request.redeem)

    # Looking things up

    def joined(self) -> tuple[RoomName, ...]:
        """Return the rooms this node is in, sorted."""
        return tuple(sorted(name for name, room in self._rooms.items() if room.line.entered))

    def room(self, name: str) -> Room:
        """Return a room this node is in.

        Raises:
            NotFound: this node is not in that room.
        """
        room = self._rooms.get(RoomName(name))
        if RoomName(name) in self.outdated:
            raise NotFound(outdated(name))
        if room is None or not room.line.entered:
            joined = ", ".join(self.joined()) or "none yet"
            raise NotFound(
                f"this machine is not in room {name!r} (it is in: {joined}); "
                "join it first: join_room, or buddies-cli join ROOM"
            )
        return room

    def named(self, text: str) -> RoomName:
        """Return the name of the room that a caller means; this node may not be in that room.

        A room from before names were in NFC keeps its old spelling, however the caller types it.
        """
        typed = typed_room(text)
        for name in (RoomName(text), typed):
            if name in self._rooms:
                return name
        return next((name for name in self._rooms if typed_room(name) == typed), typed)

    def get(self, name: RoomName) -> Room | None:
        """Return the room of this name, including one that is still being joined."""
        return self._rooms.get(name)

    def by_topic(self, topic: TopicId) -> Room | None:
        """Return the room that uses this topic, including one that is still being joined."""
        return next((room for room in self._rooms.values() if room.line.topic == topic), None)

    def status(self, room: str) -> RoomStatus:
        """Return who is in the room now.

        Raises:
            NotFound: this node is not in the room.
        """
        asked = self.room(room)
        return RoomStatus(
            room=asked.name,
            topic=TopicId(b"") if asked.epochs else asked.line.topic,
            private=asked.epochs is not None,
            warnings=(
                *self._host.composer.twin.warnings(),
                *asked.warnings(),
                *self.perhaps_meant(asked),
            ),
            members=asked.members_in_touch(),
            away=asked.away(),
            neighbors=len(asked.line.neighbors()),
            joined_at_ms=asked.joined_at_ms,
            history=asked.line.history,
        )

    def history_of(self, room: RoomName) -> tuple[KeptHistory, int]:
        """Return how much of the room's history is fetched, and when this node joined it, in ms.

        Raises:
            NotFound: this node is not in the room.
        """
        asked = self.room(room)
        return asked.line.history, asked.joined_at_ms

    def perhaps_meant(self, room: Room) -> tuple[str, ...]:
        """Return hints of rooms with similar names, if nobody else is or ever was in this one."""
        if len(room.members()) > 1 or room.away():
            return ()
        alike = [
            f"{name!r} (others there: {len(self._rooms[name].members()) - 1})"
            for name in self.joined()
            if looks_like(room.name, name)
        ]
        if not alike:
            return ()
        return (
            f"nobody else is in room {room.name!r}, but this machine is also in"
            f" {' and '.join(alike)}. If you mean that one, use its name, and leave {room.name!r}",
        )

    def members(self, room: RoomName) -> tuple[Member, ...]:
        """Return who is present, this node first.

        Raises:
            NotFound: this node is not in the room.
        """
        return self.room(room).members()

    async def admit(
        self, room: RoomName, proof: bytes, source: EndpointId | None = None
    ) -> Admitted:
        """Return the message in a copy, under the same rules as for a broadcast.

        `source` has forwarded it, and is asked for what a policy needs to know about its author.

        Raises:
            NotFound: this node is not in the room.
            Rejected: the copy is not a message that its author sent in this room.
        """
        return await self._host.gate.admit_copy(self.room(room), proof, source)

    def message_bytes_max(self, room: RoomName) -> int:
        """Return the maximum size of our messages, with the trailer, in this room now.

        Raises:
            NotFound: this node is not in the room.
        """
        return self.room(room).line.message_bytes_max

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return the identity whose key vouches for this endpoint, if there is one."""
        return self._host.bindings.signer_of(endpoint)

    async def learn_signer(self, room: RoomName, endpoint: EndpointId, source: EndpointId) -> None:
        """Ask `source` which key vouches for an endpoint, unless it is known; wait 2 s at most."""
        fetcher = self._host.gate.fetcher
        if fetcher.is_worth_asking(endpoint):
            await fetcher.fetch(endpoint, self.room(room), (source,))

    def trust(self, room: RoomName, endpoint: EndpointId) -> Trust:
        """Return how far an endpoint is trusted in the room."""
        if endpoint == self._host.endpoint:
            return Trust.NAMED
        signer, known = self.signer_of(endpoint), self._rooms.get(room)
        if signer is not None:
            named = self._host.gate.policies.names(signer)
            return Trust.NAMED if named else Trust.VOUCHED
        return Trust.MEMBER if known and known.knows(endpoint) else Trust.STRANGER

    def hears(self, room: RoomName, endpoint: EndpointId) -> bool:
        """Return whether a room's policy admits an endpoint's messages; also in a left room."""
        known = self._rooms.get(room)
        policies, store = self._host.gate.policies, self._host.store
        room_id = known.room_id if known else stands_for(room, policies.rooms(), store)
        return room_id is None or self._host.gate.hears(room_id, endpoint)

    def policy_revision(self) -> int:
        """Return a number that changes when this machine's policies change or a key expires."""
        return self._host.gate.policies.revision + self._host.bindings.lapsed

    def name_of(self, endpoint: EndpointId) -> str:
        """Return the display name last heard of a peer, or the start of its id."""
        if endpoint == self._host.endpoint:
            return self._host.user
        names = (room.name_of(endpoint) for room in self._rooms.values())
        return next((name for name in names if name), short(endpoint))


def outdated(name: str) -> str:
    """Return the error text for a private room of an earlier version."""
    return (
        f"private room {name!r} was made by an earlier version of buddies, whose keys this version "
        "does not take: a removed member could come back in it. What was stored in it stays here. "
        "To go on, make a new room under another name (buddies-cli join NEW-ROOM --private) and "
        f"invite the members; then drop this one: buddies-cli leave {name}"
    )
