"""The rooms this node is in, by name and by topic, each with the task that keeps it alive."""

import asyncio
from collections.abc import Iterator

from buddies_core.errors import NotFound, Rotated
from buddies_core.model.ids import EndpointId, RoomId, RoomName, TopicId
from buddies_core.pb.peer_pb2 import PeerRequest
from buddies_core.rooms.ports import Host
from buddies_core.rooms.room import Room

_BY_FORMER_TOPIC = ("take_epoch", "catch_up")


class Registry:
    """Rooms that were entered, and those about to be. One event loop owns this."""

    def __init__(self, host: Host, group: asyncio.TaskGroup) -> None:
        self._host = host
        self._group = group
        self._rooms: dict[RoomName, Room] = {}
        self._lives: dict[RoomName, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[Room]:
        return iter(self._rooms.values())

    def get(self, name: RoomName) -> Room | None:
        """Return the room of this name, also while it is being entered."""
        return self._rooms.get(name)

    def joined(self) -> tuple[RoomName, ...]:
        """Return the names of the rooms that were entered, sorted."""
        return tuple(sorted(name for name, room in self._rooms.items() if room.line.entered))

    def room(self, name: str) -> Room:
        """Return a room that was entered.

        Raises:
            NotFound: this node is not in that room.
        """
        room = self._rooms.get(RoomName(name))
        if room is None or not room.line.entered:
            joined = ", ".join(self.joined()) or "none yet"
            raise NotFound(
                f"this machine is not in room {name!r} (it is in: {joined}); "
                "join it first: join_room, or buddies-cli join ROOM"
            )
        return room

    def by_topic(self, topic: TopicId) -> Room | None:
        """Return the room that is told of by this topic, also while it is being entered."""
        return next((room for room in self if room.line.topic == topic), None)

    def by_id(self, room_id: RoomId) -> Room | None:
        """Return the entered room that this is the id of."""
        return next((it for it in self if it.line.entered and it.room_id == room_id), None)

    def asked(self, caller: EndpointId, request: PeerRequest) -> Room:
        """Return the room that a peer's request is about, if it may ask in that.

        Raises:
            NotFound: this node is not in that room, or the caller is not: it is told no more.
            Rotated: the caller asks by a topic that the room once had.
        """
        topic = TopicId(request.topic)
        for room in self:
            if not room.line.entered or not room.line.is_proven(topic, caller, request.proof):
                continue
            if topic != room.line.topic and request.WhichOneof("ask") not in _BY_FORMER_TOPIC:
                raise Rotated("this room's keys were changed; catch up first")
            return room
        self._host.counters["requests_for_no_room"] += 1
        raise NotFound("this node is not in that room")

    def add(self, room: Room) -> Room:
        """Have the room found from now on, though it is not shown yet."""
        self._rooms[room.name] = room
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

    def stop(self) -> None:
        """End what keeps the rooms alive."""
        for life in self._lives.values():
            life.cancel()
