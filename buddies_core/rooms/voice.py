"""What this node says in one room."""

from buddies_core.model.bodies import Body, Presence
from buddies_core.model.bodies import Join as JoinBody
from buddies_core.model.ids import RoomId
from buddies_core.model.memory import Whole
from buddies_core.rooms.channel import Channel
from buddies_core.rooms.legacy import LegacyPeers
from buddies_core.rooms.ports import Host


class Voice:
    """Composes messages for a room and broadcasts them."""

    def __init__(self, room_id: RoomId, channel: Channel, legacy: LegacyPeers, host: Host) -> None:
        self._room_id = room_id
        self._channel = channel
        self._legacy = legacy
        self._host = host

    async def say(
        self, body: Body, *, agent: str = "", user: str = "", whole: Whole | None = None
    ) -> bytes:
        """Broadcast a message, and return the bytes that prove it to be ours."""
        proof = await self.compose(body, agent=agent, user=user, whole=whole)
        await self.send(proof)
        return proof

    async def send(self, proof: bytes) -> None:
        """Broadcast what `compose` returned."""
        await self._host.network.broadcast(self._channel.topic, self._channel.seal(proof))

    async def compose(
        self, body: Body, *, agent: str = "", user: str = "", whole: Whole | None = None
    ) -> bytes:
        """Return a message of ours as it would be broadcast."""
        says_where = isinstance(body, Presence | JoinBody)
        address = self._host.network.address().info if says_where else None
        return await self._host.composer.compose(
            self._room_id,
            body,
            agent=agent,
            user=user or self._host.user,
            address=address,
            whole=whole,
            for_legacy=self._for_legacy,
        )

    @property
    def message_bytes_max(self) -> int:
        """How large a message may be with its trailer, and without 0.1.4's signature on it."""
        legacy = self._host.composer.legacy_signature if self._for_legacy else None
        return self._channel.message_bytes_max - (legacy.size if legacy else 0)

    @property
    def _for_legacy(self) -> bool:
        return self._legacy.want_signatures(self._host.clock.wall_ms())
