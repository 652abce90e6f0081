"""Asking a member's daemon about a task: over the network, or here where it is our own."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from buddies_core.errors import BuddiesError
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.pb.peer_pb2 import Lease, PeerReply, PeerRequest
from buddies_core.tasks.ports import RoomsPort

ASK_TIMEOUT_S = 5.0
"""Short, as a peer that died leaves a connection that only silence tells from a good one."""
FETCH_TIMEOUT_S = 20.0
"""For 1 MiB over a slow line."""

Answer: TypeAlias = Callable[[EndpointId, RoomName, PeerRequest], Awaitable[Sequence[PeerReply]]]


class Asking:
    """Asks members, including this node: tasks between its own agents follow the same path."""

    def __init__(self, rooms: RoomsPort, answer: Answer) -> None:
        """Ask other members through `rooms`; `answer` gives this node's own replies."""
        self._rooms = rooms
        self._answer = answer

    @property
    def endpoint(self) -> EndpointId:
        """This node."""
        return self._rooms.endpoint

    async def ask(
        self,
        peer: EndpointId,
        room: RoomName,
        request: PeerRequest,
        timeout_s: float = ASK_TIMEOUT_S,
    ) -> PeerReply:
        """Return the first reply of a member, which is usually its whole answer.

        Raises:
            BuddiesError: it refuses, can't be reached, or this node has left the room.
        """
        return (await self.ask_all(peer, room, request, timeout_s))[0]

    async def ask_for_lease(
        self,
        peer: EndpointId,
        room: RoomName,
        request: PeerRequest,
        timeout_s: float = ASK_TIMEOUT_S,
    ) -> Lease:
        """Return the lease that a member answers with; its end is a time.

        Raises:
            BuddiesError: as `ask`, or its end is not a time.
        """
        lease = (await self.ask(peer, room, request, timeout_s)).lease
        # NaN fails both comparisons.
        if not 0 <= lease.finish_left_s < float("inf"):
            raise BuddiesError("the requester's lease does not say when it ends")
        return lease

    async def ask_all(
        self, peer: EndpointId, room: RoomName, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        """Return the whole answer of a member; raises as `ask` does."""
        if peer == self.endpoint:
            return await self._answer(peer, room, request) or (PeerReply(),)
        replies = await self._rooms.ask(peer, room, request, timeout_s)
        if not replies:
            raise BuddiesError("the answer of a peer holds nothing")
        return replies
