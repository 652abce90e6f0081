"""Which messages and requests pass a room's policy. One event loop owns this."""

import contextlib
from collections import Counter, OrderedDict
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import InvalidInput, NotAllowed, WireError
from buddies_core.identity.labels import canonical
from buddies_core.model.bodies import Presence
from buddies_core.model.identity import GpgIdentity, SignerIdentity
from buddies_core.model.ids import EndpointId, RoomId, short
from buddies_core.pb.peer_pb2 import PeerRequest
from buddies_core.trust import fetching_bindings
from buddies_core.trust.admitted import Admitted, Rejected
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.fetching_bindings import BindingFetcher
from buddies_core.trust.policies import Policies

MISSING_KEYS_MAX = 16
MISSING_KEY_SHOWN_FOR_S = 600.0
"""Counted from when the key was last missed."""


class SignerUnknown(WireError):
    """Whether to accept the message depends on a binding that is not fetched yet."""

    def __init__(self, sender: EndpointId) -> None:
        super().__init__(f"it is not known yet who vouches for {short(sender)}")
        self.sender = sender


class RoomPort(fetching_bindings.RoomPort, Protocol):
    """A room that this node is in; see `rooms.room.Room`."""

    async def admit(self, proof: bytes, told_by: EndpointId | None = None) -> Admitted:
        """Return a message sent in the room, which this peer has forwarded."""


class Gate:
    """Applies the policies of rooms. This node itself always passes."""

    def __init__(
        self,
        policies: Policies,
        bindings: Bindings,
        endpoint: EndpointId,
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        self.policies = policies
        self.fetcher = BindingFetcher(bindings, policies, clock)
        self._bindings = bindings
        self._endpoint = endpoint
        self._clock = clock
        self._counters = counters
        self._missing_keys: OrderedDict[str, float] = OrderedDict()

    async def check_message(self, room_id: RoomId, admitted: Admitted) -> None:
        """Check that the room's policy admits the message; its signatures have been checked.

        Raises:
            Rejected: the policy does not admit it.
            SignerUnknown: that depends on the sender's signer, and no peer was asked yet.
            StoreError: the disk refused to keep the binding that came with a presence.
        """
        if self.policies.is_open(room_id):
            return
        body, trailer = admitted.message.body, admitted.trailer
        if trailer is None:
            claimed = None if admitted.signer else admitted.message.signed_by
            self._check(room_id, admitted.signer, claimed, "a 0.1.4 peer")
            return
        sender = trailer.sender
        if sender == self._endpoint:
            return
        if isinstance(body, Presence):
            if body.binding is not None:
                await self.fetcher.take(room_id, sender, body.binding, admitted.told_by)
        elif self.fetcher.is_worth_asking(sender):
            raise SignerUnknown(sender)
        await self._check_endpoint(room_id, sender)

    async def admit_copy(self, room: RoomPort, proof: bytes, source: EndpointId | None) -> Admitted:
        """Return the message in a copy; `source`, which forwarded it, is asked for bindings.

        Without a source the author is asked.

        Raises:
            Rejected: it is not authentic, or the policy does not admit it.
            StoreError: the disk refused.
        """
        try:
            return await room.admit(proof, source)
        except SignerUnknown as unknown:
            sender = unknown.sender
            if not await self.fetcher.fetch(sender, room, (source or sender,)):
                self._counters["rejected_policy"] += 1
                raise Rejected(
                    "policy", f"nobody says who vouches for {short(sender)}"
                ) from unknown
            return await room.admit(proof, source)

    async def check_caller(self, room: RoomPort, caller: EndpointId, request: PeerRequest) -> None:
        """Check that the room's policy admits the peer that makes a direct request.

        Requests for bindings are open to anybody: otherwise two nodes that don't know each other's
        signers yet would never learn them.

        Raises:
            NotAllowed: the policy does not admit it.
            StoreError: the disk refused.
        """
        if self.policies.is_open(room.room_id) or request.HasField("fetch_bindings"):
            return
        if request.hello.presence:  # It may bring a newer binding than the one that is known.
            with contextlib.suppress(WireError):
                await room.admit(request.hello.presence, caller)
        if self.fetcher.is_worth_asking(caller) and not await self.fetcher.fetch(
            caller, room, (caller,)
        ):
            self.fetcher.give_up(caller)
        try:
            await self._check_endpoint(room.room_id, caller)
        except Rejected as rejected:
            self._counters["requests_refused_policy"] += 1
            raise NotAllowed(
                "the policy of this room, here, does not let you in; ask to be whitelisted "
                f"(buddies-cli whoami shows your identity): {rejected}"
            ) from rejected

    async def _check_endpoint(self, room_id: RoomId, endpoint: EndpointId) -> None:
        signer = await self._bindings.signer_in_force(endpoint)
        claimed = None if signer else self._bindings.unchecked_signer_of(endpoint)
        self._check(room_id, signer, claimed, f"peer {short(endpoint)}")

    def _check(
        self,
        room_id: RoomId,
        signer: SignerIdentity | None,
        claimed: SignerIdentity | None,
        who: str,
    ) -> None:
        """Check that the signer is admitted; `claimed` is one that can't be checked here."""
        if self.policies.allows(room_id, signer):
            return
        if signer is not None:
            raise Rejected(
                "policy", f"{who} is vouched for by {signer.label[:60]}, who is not let in"
            )
        if isinstance(claimed, GpgIdentity) and self._is_missed(room_id, claimed):
            raise Rejected(
                "policy",
                f"{who} is said to be vouched for by {claimed.label[:60]}, whose key is not in the "
                "keyring",
            )
        raise Rejected("policy", f"no key that is let in vouches for {who}")

    def _is_missed(self, room_id: RoomId, claimed: GpgIdentity) -> bool:
        """Record a key that would pass the policy if it were in the keyring."""
        try:
            identity = canonical(claimed)
        except InvalidInput:
            return False
        if not self.policies.allows(room_id, identity):
            return False
        self._missing_keys.pop(identity.label, None)
        self._missing_keys[identity.label] = self._clock.now_s()
        if len(self._missing_keys) > MISSING_KEYS_MAX:
            self._missing_keys.popitem(last=False)
        return True

    def hears(self, room_id: RoomId, endpoint: EndpointId) -> bool:
        """Return whether this endpoint's messages are admitted, as far as its signer is known."""
        return self.policies.allows(room_id, self._bindings.signer_of(endpoint))

    def warnings_of(self, room_id: RoomId) -> tuple[str, ...]:
        """Return warnings about this node itself in the room."""
        if self.hears(room_id, self._endpoint):
            return ()
        signer = self._bindings.signer_of(self._endpoint)
        own = f"identity ({signer.label[:60]})" if signer else "messages: no key vouches for them"
        return (
            f"the policy of this room does not let in this machine's own {own}; members who keep "
            "the same policy don't hear it, and its votes don't count",
        )

    def warnings(self) -> tuple[str, ...]:
        """Return what a person can do about peers that should be heard but are not."""
        oldest_s = self._clock.now_s() - MISSING_KEY_SHOWN_FOR_S
        return tuple(
            f"messages of {label} are dropped: its key is not in this machine's keyring; get it "
            "from its owner, then: gpg --import FILE"
            for label, missed_s in self._missing_keys.items()
            if missed_s >= oldest_s
        )
