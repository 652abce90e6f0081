"""The rooms that callers name, for every method that takes a room."""

from typing import Protocol

from buddies_core.model.ids import RoomName


class RoomNames(Protocol):
    """What the services ask about a name that was typed; see `rooms.rooms.Rooms`."""

    def named(self, text: str) -> RoomName:
        """Return the name of the room that a caller means."""
