"""Fetching the bindings of endpoints when a policy needs them. One event loop owns this.

The answer is the endpoint's own signed presence, which contains the binding. So any peer may give
it; a binding alone would not do, because any signer can make one for any endpoint.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, InvalidInput, WireError
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.bodies import Presence
from buddies_core.model.identity import Binding
from buddies_core.model.ids import EndpointId, RoomId, short
from buddies_core.pb import peer_pb2
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.policies import Policies
from buddies_core.wire.room_messages import open_envelope

ASK_TIMEOUT_S = 2.0
"""Timeout for one peer; at most two are asked, within the 5 s that a message is held."""
NOT_AGAIN_FOR_S = 60.0
BUSY_TRIES = 8
BUSY_PAUSE_S = 0.25
"""gpg checks a signature in some 10 ms; if it is too busy for a binding, try again."""
NOT_AGAIN_WHEN_BUSY_FOR_S = 5.0
"""For an endpoint whose binding gpg was still too busy to check."""
REMEMBERED_MAX = 4096
"""The most endpoints without a binding, requests made, and peers without an answer."""
ENDPOINTS_MAX = 32
"""The most endpoints in one request: their presences fit into one frame."""

log = logging.getLogger(__name__)


class RoomPort(Protocol):
    """A room that this node is in; see `rooms.room.Room`."""

    room_id: RoomId

    async def ask(
        self, peer: EndpointId, request: peer_pb2.PeerRequest, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        """Return a member's whole answer."""

    async def presence_of(self, endpoint: EndpointId) -> bytes | None:
        """Return the latest signed presence of a member, or of this node."""


class BindingFetcher:
    """Fetches bindings, from the endpoint itself or from the peer that forwarded its messages."""

    def __init__(self, bindings: Bindings, policies: Policies, clock: Clock) -> None:
        self._bindings = bindings
        self._policies = policies
        self._given_up = _Lately(clock)
        self._asked = _Lately(clock)
        """The requests made lately: peer · endpoint."""
        self._mute = _Lately(clock)
        self._busy = _Lately(clock)
        """Endpoints whose bindings gpg was too busy to check."""
        self._asking: dict[EndpointId, asyncio.Event] = {}

    def is_worth_asking(self, endpoint: EndpointId) -> bool:
        """Return whether a missing binding may be fetched, and was not given up lately."""
        return self._bindings.signer_of(endpoint) is None and endpoint not in self._given_up

    def give_up(self, endpoint: EndpointId) -> None:
        """Treat the endpoint as one without a binding, unless one arrives by itself.

        For a minute, or for some seconds if gpg was too busy to check its binding.
        """
        was_busy = endpoint in self._busy
        self._given_up.add(endpoint, NOT_AGAIN_WHEN_BUSY_FOR_S if was_busy else NOT_AGAIN_FOR_S)

    async def fetch(
        self, endpoint: EndpointId, room: RoomPort, peers: Sequence[EndpointId]
    ) -> bool:
        """Ask these peers one after the other, each once a minute; never raises.

        Return whether the endpoint's binding is here. Later callers for the same endpoint wait
        for the result of the first.
        """
        while self._bindings.signer_of(endpoint) is None:
            peer = next((it for it in peers if self._may_know(it, endpoint)), None)
            if peer is None or endpoint in self._busy:
                return False
            asking = self._asking.get(endpoint)
            if asking is not None:
                await asking.wait()
                continue
            self._asking[endpoint] = done = asyncio.Event()
            try:
                await self._ask(endpoint, room, peer)
            finally:
                del self._asking[endpoint]
                done.set()
        return True

    def _may_know(self, peer: EndpointId, endpoint: EndpointId) -> bool:
        return peer not in self._mute and peer + endpoint not in self._asked

    async def _ask(self, endpoint: EndpointId, room: RoomPort, peer: EndpointId) -> None:
        request = peer_pb2.PeerRequest(fetch_bindings=peer_pb2.FetchBindings(endpoints=[endpoint]))
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                replies = await room.ask(peer, request, ASK_TIMEOUT_S)
            for proof in (proof for reply in replies for proof in reply.bindings.presences):
                await self._take(endpoint, room.room_id, proof, peer)
        except (BuddiesError, TimeoutError) as error:
            log.info("bindings_not_fetched peer=%s of=%s: %s", short(peer), short(endpoint), error)
            self._mute.add(peer)
        if endpoint not in self._busy:
            self._asked.add(peer + endpoint)

    async def _take(
        self, endpoint: EndpointId, room_id: RoomId, proof: bytes, peer: EndpointId
    ) -> None:
        """Process the binding in a presence of this endpoint in this room.

        Raises:
            WireError: it is not such a presence.
        """
        envelope = open_envelope(proof)
        body, trailer = envelope.message.body, envelope.trailer
        if trailer is None or trailer.sender != endpoint or not isinstance(body, Presence):
            raise WireError("it gave something else than the presence that it was asked for")
        signed = envelope.signing_input(room_id)
        if not verify_endpoint(endpoint, signed, envelope.signature):
            raise WireError("it gave a presence that is not signed for this room")
        if body.binding is None:
            return
        for _ in range(BUSY_TRIES):
            if await self.take(room_id, endpoint, body.binding, peer):
                return
            await asyncio.sleep(BUSY_PAUSE_S)
        self._busy.add(endpoint, NOT_AGAIN_WHEN_BUSY_FOR_S)

    async def take(
        self,
        room_id: RoomId,
        endpoint: EndpointId,
        binding: Binding,
        told_by: EndpointId | None,
    ) -> bool:
        """Process a binding from the endpoint itself, unless it can't matter in the room.

        `told_by` is the peer that brought it. Return False if gpg was too busy to check it.

        Raises:
            StoreError: the disk refused.
        """
        if self._bindings.signer_of(endpoint) or self._policies.may_allow(room_id, binding.signer):
            return await self._bindings.take(endpoint, binding, told_by)
        return True

    async def answer(
        self, room: RoomPort, request: peer_pb2.FetchBindings
    ) -> list[peer_pb2.PeerReply]:
        """Return the presences of the requested endpoints that are known here.

        Raises:
            InvalidInput: the request asks for too many.
            StoreError: a record is damaged.
        """
        if len(request.endpoints) > ENDPOINTS_MAX:
            raise InvalidInput(f"at most {ENDPOINTS_MAX} endpoints can be asked for at once")
        wanted = dict.fromkeys(map(EndpointId, request.endpoints))
        presences = [await room.presence_of(endpoint) for endpoint in wanted]
        known = [presence for presence in presences if presence is not None]
        return [peer_pb2.PeerReply(bindings=peer_pb2.BindingsReply(presences=known))]


class _Lately:
    """A set whose members expire, after a minute unless told otherwise."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s: OrderedDict[bytes, float] = OrderedDict()

    def __contains__(self, member: bytes) -> bool:
        return self._clock.now_s() < self._until_s.get(member, 0.0)

    def add(self, member: bytes, lasts_s: float = NOT_AGAIN_FOR_S) -> None:
        self._until_s.pop(member, None)
        self._until_s[member] = self._clock.now_s() + lasts_s
        if len(self._until_s) > REMEMBERED_MAX:
            self._until_s.popitem(last=False)
