"""Asking the members of a room directly, each request in the room's name."""

from collections.abc import Sequence

from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.pb import peer_pb2
from buddies_core.rooms.rooms import Rooms


class Requests:
    """The direct protocol, as memories, skills and tasks use it."""

    def __init__(self, rooms: Rooms, endpoint: EndpointId) -> None:
        self._rooms = rooms
        self.endpoint = endpoint

    async def ask(
        self, peer: EndpointId, room: RoomName, request: peer_pb2.PeerRequest, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        """Return a member's whole answer.

        Raises:
            NotFound: this node is not in the room, or the peer has not got what was asked for.
            BuddiesError: as `net.network.Network.ask` does.
        """
        return await self._rooms.room(room).ask(peer, request, timeout_s)
