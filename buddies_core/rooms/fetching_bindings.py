"""Asking who vouches for an endpoint, where a policy has to know. One event loop owns this."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError, InvalidInput
from buddies_core.model.ids import EndpointId, short
from buddies_core.pb import peer_pb2
from buddies_core.rooms.bindings import Bindings
from buddies_core.wire.bodies import binding_from_protobuf, binding_to_protobuf

ASK_TIMEOUT_S = 2.0
"""For one peer; two are asked at most, within the 5 s that a message is held."""
NOT_AGAIN_FOR_S = 60.0
REMEMBERED_MAX = 4096
"""Endpoints without a binding, who was asked for it, and peers that gave no answer."""
ENDPOINTS_MAX = 64
"""In one request: their bindings fit into one frame."""

Ask: TypeAlias = Callable[
    [EndpointId, peer_pb2.PeerRequest, float], Awaitable[Sequence[peer_pb2.PeerReply]]
]
"""Asks a member of a room; see `rooms.room.Room.ask`."""

log = logging.getLogger(__name__)


class BindingFetcher:
    """Fetches bindings, from the endpoint itself or from who has handed its words on."""

    def __init__(self, bindings: Bindings, clock: Clock) -> None:
        self._bindings = bindings
        self._given_up = _Lately(clock)
        self._asked = _Lately(clock)
        """Who about whom: peer · endpoint."""
        self._mute = _Lately(clock)
        self._asking: dict[EndpointId, asyncio.Event] = {}

    def is_worth_asking(self, endpoint: EndpointId) -> bool:
        """Return whether a binding may be had that is not here, and was not given up just now."""
        return self._bindings.signer_of(endpoint) is None and endpoint not in self._given_up

    def give_up(self, endpoint: EndpointId) -> None:
        """Take the endpoint for one without a binding for a minute, unless it comes by itself."""
        self._given_up.add(endpoint)

    async def fetch(self, endpoint: EndpointId, ask: Ask, peers: Sequence[EndpointId]) -> bool:
        """Ask these peers one after the other, each once a minute; never raises.

        Returns whether the endpoint's binding is here. Who wants the same one meanwhile waits for
        what the first gets.
        """
        while self._bindings.signer_of(endpoint) is None:
            peer = next((it for it in peers if self._may_know(it, endpoint)), None)
            if peer is None:
                return False
            asking = self._asking.get(endpoint)
            if asking is not None:
                await asking.wait()
                continue
            self._asking[endpoint] = done = asyncio.Event()
            try:
                await self._ask(endpoint, ask, peer)
            finally:
                del self._asking[endpoint]
                done.set()
        return True

    def _may_know(self, peer: EndpointId, endpoint: EndpointId) -> bool:
        return peer not in self._mute and peer + endpoint not in self._asked

    async def _ask(self, endpoint: EndpointId, ask: Ask, peer: EndpointId) -> None:
        request = peer_pb2.PeerRequest(fetch_bindings=peer_pb2.FetchBindings(endpoints=[endpoint]))
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                replies = await ask(peer, request, ASK_TIMEOUT_S)
            for told in (told for reply in replies for told in reply.bindings.bindings):
                binding = binding_from_protobuf(told.binding)
                if told.endpoint == endpoint and binding is not None:
                    await self._bindings.take(endpoint, binding)
        except (BuddiesError, TimeoutError) as error:
            log.info("bindings_not_fetched peer=%s of=%s: %s", short(peer), short(endpoint), error)
            self._mute.add(peer)
        self._asked.add(peer + endpoint)

    def answer(self, request: peer_pb2.FetchBindings) -> list[peer_pb2.PeerReply]:
        """Return those of the bindings that are known here.

        Raises:
            InvalidInput: it asks for too many.
        """
        if len(request.endpoints) > ENDPOINTS_MAX:
            raise InvalidInput(f"at most {ENDPOINTS_MAX} endpoints can be asked for at once")
        known = (
            (endpoint, self._bindings.to_hand_on(EndpointId(endpoint)))
            for endpoint in dict.fromkeys(request.endpoints)
        )
        bindings = [
            peer_pb2.EndpointBinding(endpoint=endpoint, binding=binding_to_protobuf(binding))
            for endpoint, binding in known
            if binding is not None
        ]
        return [peer_pb2.PeerReply(bindings=peer_pb2.BindingsReply(bindings=bindings))]


class _Lately:
    """A set whose members leave it after a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s: OrderedDict[bytes, float] = OrderedDict()

    def __contains__(self, member: bytes) -> bool:
        return self._clock.now_s() < self._until_s.get(member, 0.0)

    def add(self, member: bytes) -> None:
        self._until_s.pop(member, None)
        self._until_s[member] = self._clock.now_s() + NOT_AGAIN_FOR_S
        if len(self._until_s) > REMEMBERED_MAX:
            self._until_s.popitem(last=False)
