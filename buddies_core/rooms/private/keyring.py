"""The keys of one private room, and what this node knows about its members. Pure.

`membership` decides on the members and on the epoch that counts.
"""

from collections.abc import Callable

from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.ids import EndpointId, RoomId
from buddies_core.model.private import Epoch, PrivateState
from buddies_core.rooms.private.doubts import Doubts
from buddies_core.rooms.private.membership import Seat
from buddies_core.wire.private import epoch_keys
from buddies_core.wire.room_messages import Trailer


class Keyring:
    """The only copy in memory of a room's private state. One event loop owns this."""

    def __init__(
        self,
        room_id: RoomId,
        me: EndpointId,
        state: PrivateState,
        sign: Callable[[bytes], bytes],
    ) -> None:
        self.seat = Seat(room_id=room_id, me=me, sign=sign, verify=verify_endpoint)
        self.state = state
        self.members = frozenset(state.members)
        self.doubts = Doubts()
        self.newest = epoch_keys(room_id, state.epoch)
        """The keys of the newest epoch."""

    def take(self, state: PrivateState) -> None:
        """Go on to this state, which is on disk."""
        if state.roster.id != self.newest.id:
            self.newest = epoch_keys(self.seat.room_id, state.epoch)
            self.doubts = Doubts()
        self.state = state
        self.members = frozenset(state.members)

    @property
    def room_id(self) -> RoomId:
        """The room, by the id that never changes."""
        return self.seat.room_id

    @property
    def epoch(self) -> Epoch:
        """The newest epoch."""
        return self.state.epoch

    def is_member(self, endpoint: EndpointId) -> bool:
        """Whether this endpoint is on the roster, or was let in since then."""
        return endpoint in self.members

    def is_said_now(self, trailer: Trailer) -> bool:
        """Whether a message was sent in this epoch, or by a member just before it began."""
        if trailer.epoch == self.newest.id:
            return True
        return trailer.epoch in self.state.past[-1:] and self.is_member(trailer.sender)

    @property
    def is_out(self) -> bool:
        """Whether this node is known to have been left out of the room."""
        return self.doubts.is_out(self.state, self.seat.me)
