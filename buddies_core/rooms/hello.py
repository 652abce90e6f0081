"""Telling each other who is in a room: what a newcomer asks its first neighbor."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from buddies_core.errors import BuddiesError, NotAllowed, NotFound, WireError
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import EndpointId, short
from buddies_core.pb import peer_pb2
from buddies_core.trust.admission import Admitted

HELLO_TIMEOUT_S = 3.0
COPIES_PER_FRAME = 32
"""Presences of at most 4057 bytes each, in a frame of at most 256 KiB."""
COPIES_MAX = 1024
"""In one answer, so that it stays below what an asker takes, 8 MiB. The others make themselves
heard within half a minute."""

log = logging.getLogger(__name__)


class Hello:
    """Asks peers for the members of one room, and answers those who ask."""

    def __init__(
        self,
        room: str,
        ask: Callable[
            [EndpointId, peer_pb2.PeerRequest, float], Awaitable[Sequence[peer_pb2.PeerReply]]
        ],
        own_presence: Callable[[], Awaitable[bytes]],
        admit: Callable[[bytes], Awaitable[Admitted]],
        on_presence: Callable[[Admitted, float], Awaitable[None]],
    ) -> None:
        self._room = room
        self._ask = ask
        self._own_presence = own_presence
        self._admit = admit
        self._on_presence = on_presence

    async def greet(self, peer: EndpointId) -> None:
        """Ask a peer for the members. One that does not speak the direct protocol is let be.

        Raises:
            NotFound: it is not in the room.
            NotAllowed: it does not want us there.
        """
        hello = peer_pb2.Hello(presence=await self._own_presence())
        try:
            replies = await self._ask(peer, peer_pb2.PeerRequest(hello=hello), HELLO_TIMEOUT_S)
        except (NotFound, NotAllowed):
            raise
        except BuddiesError as error:
            log.info("hello_failed room=%s peer=%s: %s", self._room, short(peer), error)
            return
        for copy in (copy for reply in replies for copy in reply.hello.presences):
            await self.take(copy.proof, age_s=copy.age_ms / 1000)

    async def answer(self, others: Sequence[tuple[bytes, float]]) -> list[peer_pb2.HelloReply]:
        """Return the members' latest presences, ours first; the others' come with their ages."""
        copies = [
            peer_pb2.PresenceCopy(proof=await self._own_presence()),
            *(
                peer_pb2.PresenceCopy(proof=proof, age_ms=int(age_s * 1000))
                for proof, age_s in others[: COPIES_MAX - 1]
            ),
        ]
        return [
            peer_pb2.HelloReply(presences=copies[start : start + COPIES_PER_FRAME])
            for start in range(0, len(copies), COPIES_PER_FRAME)
        ]

    async def take(self, proof: bytes, *, age_s: float = 0.0) -> None:
        """Take in a copy of a presence of that age; what is not to be believed is let be."""
        try:
            admitted = await self._admit(proof)
        except WireError as error:
            log.info("presence_rejected room=%s: %s", self._room, error)
            return
        if isinstance(admitted.message.body, Presence):
            await self._on_presence(admitted, age_s)
