"""The way between `P2PMessage ‖ trailer` and one room: in the open, or sealed for its members."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace

from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.model.bodies import Body, Presence
from buddies_core.model.bodies import Join as JoinBody
from buddies_core.model.ids import EndpointId, RoomId, TopicId
from buddies_core.model.memory import Whole
from buddies_core.model.private import PrivateState
from buddies_core.model.room import KeptHistory
from buddies_core.pb import peer_pb2
from buddies_core.rooms.ports import Host
from buddies_core.rooms.private.keyring import Keyring
from buddies_core.store.records import RoomRecord
from buddies_core.wire.private import (
    NONCE_BYTES,
    SEALED_OVERHEAD_BYTES,
    check_proof,
    open_content,
    prove,
    seal_content,
)
from buddies_core.wire.room_messages import EPOCH_FIELD_BYTES


def keyring_of(record: RoomRecord, host: Host) -> Keyring | None:
    """Return the keyring of a private room; None for an open one."""
    if record.private is None:
        return None
    return Keyring(record.room_id, host.endpoint, record.private, host.composer.sign)


class RoomLine:
    """This node's line into one room. One event loop owns this."""

    def __init__(self, record: RoomRecord, keyring: Keyring | None, host: Host) -> None:
        self.entered = False
        """Set once a join has succeeded; until then the room is not shown, nor kept on disk."""
        self.say_again = asyncio.Event()
        """Set when our presence should be sent to the members at once."""
        self._record = replace(record, private=None)
        self._keyring = keyring
        """None for an open room: its name gives its topic, and nothing is sealed."""
        self._host = host
        self._has_neighbor = asyncio.Event()
        self._closed = False

    def record(self) -> RoomRecord:
        """Return the record of the room to store on disk."""
        return replace(self._record, private=self._keyring.state if self._keyring else None)

    async def keep(self, state: PrivateState) -> None:
        """Keep this private state, on disk first; before the join succeeds, only in memory.

        Raises:
            StoreError: the disk refused; nothing has changed.
        """
        assert self._keyring is not None, "only a private room has such a state"
        if self.entered:
            await self._host.store.put_room(replace(self._record, private=state))
        self._keyring.take(state)

    @property
    def history(self) -> KeptHistory:
        """How much of the room's earlier history is fetched."""
        return self._record.history

    async def keep_history(self, history: KeptHistory) -> None:
        """Change how much history is fetched from now on.

        Raises:
            StoreError: the disk refused; nothing has changed.
        """
        await self._host.store.put_room(replace(self.record(), history=history))
        self._record = replace(self._record, history=history)

    # Where the room is

    @property
    def topic(self) -> TopicId:
        """The topic on which the room's messages are broadcast now."""
        return self._keyring.newest.topic if self._keyring else TopicId(self._record.room_id)

    async def join(self, via: Sequence[EndpointId] = ()) -> None:
        """Join the room's swarm through these peers."""
        await self._host.network.join(self.topic, via)

    async def move(self, former: TopicId, via: Sequence[EndpointId]) -> None:
        """Leave the swarm of a former topic for that of the present topic, unless closed."""
        self._has_neighbor.clear()
        if not self._closed:
            await self.join(via)
        await self._host.network.quit(former)
        self.say_again.set()

    async def close(self) -> None:
        """Leave the swarm for good."""
        self._closed = True
        await self._host.network.quit(self.topic)

    def neighbors(self) -> tuple[EndpointId, ...]:
        """Return the peers in the room that are connected to this node."""
        return self._host.network.neighbors(self.topic)

    def neighbor_up(self) -> None:
        """Note that a neighbor is connected; send our presence to the first one at once."""
        if not self._has_neighbor.is_set():
            self._has_neighbor.set()
            self.say_again.set()

    def neighbor_down(self) -> bool:
        """Note that a neighbor is gone, and return whether it was the last one."""
        if self.neighbors():
            return False
        self._has_neighbor.clear()
        return True

    @property
    def has_neighbor(self) -> bool:
        """Whether anybody in the room is connected to this node."""
        return self._has_neighbor.is_set()

    async def wait_neighbor(self) -> None:
        """Return once this node has a neighbor in the room."""
        await self._has_neighbor.wait()

    # Broadcasts

    def seal(self, message: bytes) -> bytes:
        """Return a message as it is broadcast; in a private room, only members can read it."""
        if self._keyring is None:
            return message
        return seal_content(self._keyring.newest, message, secrets.token_bytes(NONCE_BYTES))

    def open(self, content: bytes) -> bytes:
        """Return the message in a broadcast; raise WireError if it is not from this room now."""
        return open_content(self._keyring.newest, content) if self._keyring else content

    async def say(
        self, body: Body, *, agent: str = "", user: str = "", whole: Whole | None = None
    ) -> bytes:
        """Broadcast a message, and return the bytes that prove it to be ours."""
        proof = await self.compose(body, agent=agent, user=user, whole=whole)
        await self.send(proof)
        return proof

    async def send(self, proof: bytes) -> None:
        """Broadcast what `compose` returned."""
        await self._host.network.broadcast(self.topic, self.seal(proof))

    async def compose(
        self, body: Body, *, agent: str = "", user: str = "", whole: Whole | None = None
    ) -> bytes:
        """Return a message of ours as it would be broadcast."""
        says_where = isinstance(body, Presence | JoinBody)
        address = self._host.network.address().info if says_where else None
        return await self._host.composer.compose(
            self._record.room_id,
            body,
            agent=agent,
            user=user or self._host.user,
            address=address,
            whole=whole,
            epoch=self._keyring.newest.id if self._keyring else None,
        )

    @property
    def message_bytes_max(self) -> int:
        """How large a message may be with its trailer, and without a person's signature on it."""
        sealing = SEALED_OVERHEAD_BYTES + EPOCH_FIELD_BYTES if self._keyring else 0
        return CONTENT_BYTES_MAX - sealing - self._host.composer.cosigned_bytes(self.room_id)

    @property
    def room_id(self) -> RoomId:
        """The room, by the id that never changes."""
        return self._record.room_id

    # Direct requests

    async def ask(
        self,
        peer: EndpointId,
        request: peer_pb2.PeerRequest,
        timeout_s: float,
    ) -> Sequence[peer_pb2.PeerReply]:
        """Ask a peer by topic and with our proof; returns and raises as `Network.ask` does."""
        key = self.key_for(peer)
        asked = peer_pb2.PeerRequest()
        asked.CopyFrom(request)
        asked.topic, asked.proof = key.topic, key.proof
        return await self._host.network.ask(peer, asked, timeout_s)

    def key_for(self, peer: EndpointId) -> peer_pb2.RoomKey:
        """Return the key that shows a peer which room a request concerns, and that we are in it."""
        keys = self._keyring.newest if self._keyring else None
        proof = prove(keys, self._host.endpoint, peer) if keys else b""
        return peer_pb2.RoomKey(topic=self.topic, proof=proof)

    def is_proven(self, topic: TopicId, caller: EndpointId, proof: bytes) -> bool:
        """Whether a caller may ask by this topic: in a private room it has to know the secret."""
        if topic != self.topic or self._keyring is None:
            return topic == self.topic
        return check_proof(self._keyring.newest, caller, self._host.endpoint, proof)
