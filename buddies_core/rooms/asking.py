"""Asking a member directly in the name of one room, whichever epoch each of the two is in."""

import logging
from collections.abc import Sequence

from buddies_core.errors import BuddiesError, NotAllowed, Rotated, StoreError
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.pb import peer_pb2
from buddies_core.rooms.channel import Channel
from buddies_core.rooms.epochs import Epochs
from buddies_core.rooms.ports import Host

log = logging.getLogger(__name__)


class Asking:
    """Puts the room's topic and our proof on each request."""

    def __init__(self, room: RoomName, channel: Channel, epochs: Epochs | None, host: Host) -> None:
        self._room = room
        self._channel = channel
        self._epochs = epochs
        self._host = host

    async def ask(
        self, peer: EndpointId, request: peer_pb2.PeerRequest, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        """Return a member's whole answer; raises as `Network.ask` does.

        If the member knows a newer secret, this node goes on to that first.
        """
        if self._epochs and not self._epochs.is_member(peer):
            raise NotAllowed(f"peer {short(peer)} is not a member of this room")
        try:
            return await self._ask(peer, request, timeout_s)
        except Rotated:
            if not await self.caught_up(peer):
                raise
            return await self._ask(peer, request, timeout_s)

    async def caught_up(self, peer: EndpointId) -> bool:
        """Return whether a member has handed us a newer secret; it is to blame if it has not.

        Raises:
            StoreError: the disk refused.
        """
        if self._epochs is None:
            return False
        try:
            return await self._epochs.catch_up(peer)
        except StoreError:
            raise
        except BuddiesError as error:
            log.info("not_caught_up room=%s peer=%s: %s", self._room, short(peer), error)
            return False

    async def _ask(
        self, peer: EndpointId, request: peer_pb2.PeerRequest, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        asked = peer_pb2.PeerRequest()
        asked.CopyFrom(request)
        asked.topic = self._channel.topic
        asked.proof = self._channel.prove(self._host.endpoint, peer)
        return await self._host.network.ask(peer, asked, timeout_s)
