"""Which person's key vouches for which endpoint. One event loop owns this."""

import logging
from collections import Counter, OrderedDict
from dataclasses import replace
from typing import Protocol

from buddies_core.errors import InvalidInput
from buddies_core.identity.binding import NAMESPACE, binding_payload
from buddies_core.identity.labels import canonical
from buddies_core.identity.verifying import Verdict
from buddies_core.model.identity import Binding, GpgIdentity, SignerIdentity, Verified
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.room import Member
from buddies_core.store.records import BindingRecord
from buddies_core.trust.admission import Verify

BINDINGS_MAX = 10_000
"""On this machine; those of further strangers are not kept. Bounds what they can make us."""
UNCHECKED_MAX = 1000
"""Endpoints whose signer's key is not in the keyring, remembered so that a person can be told."""

log = logging.getLogger(__name__)


class StorePort(Protocol):
    """What is kept on disk; see `store.rocks.RocksStore`."""

    async def put_binding(self, record: BindingRecord) -> None:
        """Keep who vouches for an endpoint, in place of who did."""

    async def delete_binding(self, endpoint: EndpointId) -> None:
        """Forget who vouches for an endpoint."""

    def bindings(self) -> tuple[BindingRecord, ...]:
        """Return who vouches for each endpoint."""


class KnownSigners(Protocol):
    """Who is no stranger; see `trust.policies.Policies`."""

    def names(self, signer: SignerIdentity) -> bool:
        """Return whether a room's policy names this signer."""


class Bindings:
    """The signers of endpoints, each verified when its binding first came."""

    def __init__(
        self,
        store: StorePort,
        verify: Verify,
        counters: Counter[str],
        endpoint: EndpointId,
        own: Binding | None = None,
        known: KnownSigners | None = None,
    ) -> None:
        self._store = store
        self._verify = verify
        self._counters = counters
        self._known = {record.endpoint: record for record in store.bindings()}
        self._endpoint = endpoint
        self.own = own
        """Our signer's word for us."""
        self._own_signer = canonical(own.signer) if own else None
        self._signers = known
        self._unchecked: OrderedDict[EndpointId, SignerIdentity] = OrderedDict()

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return who vouches for what this endpoint says, if anybody does."""
        if endpoint == self._endpoint:
            return self._own_signer
        record = self._known.get(endpoint)
        return record.signer if record else None

    async def signer_in_force(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return who vouches for what this endpoint says, as a policy asks it.

        An OpenPGP key is looked at again every ten minutes: it may have expired, or be revoked.
        Then its bindings are forgotten.

        Raises:
            StoreError: the disk refused.
        """
        record = self._known.get(endpoint)
        if record is None or not isinstance(record.signer, GpgIdentity) or not record.signature:
            return self.signer_of(endpoint)
        payload = binding_payload(endpoint, record.signed_at_ms)
        found = await self._verify(record.signer, payload, record.signature, NAMESPACE)
        if found.verdict is Verdict.WRONG and self._known.get(endpoint) == record:
            self._counters["bindings_lapsed"] += 1
            log.warning("binding_lapsed peer=%s: %s", short(endpoint), found.reason)
            del self._known[endpoint]
            await self._store.delete_binding(endpoint)
        return self.signer_of(endpoint)

    def unchecked_signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return who is said to vouch for this endpoint, by a key that is not in the keyring."""
        return self._unchecked.get(endpoint)

    def shown(self, member: Member) -> Member:
        """Return the member with whose key vouches for it."""
        if not member.speaks_direct:
            return member
        signer = self.signer_of(member.endpoint)
        if signer is None:
            return replace(member, verified=Verified.PEER)
        return replace(member, verified=Verified.SIGNER, signed_by=signer.label)

    async def take(self, endpoint: EndpointId, binding: Binding) -> None:
        """Take in a binding that the endpoint itself has told; what is wrong is counted.

        One that can't be checked now is looked at again when it comes again.

        Raises:
            StoreError: the disk refused.
        """
        known = self._known.get(endpoint)
        if known is not None and not _is_news(binding, known):
            return
        if known is None and len(self._known) >= BINDINGS_MAX and self._is_stranger(binding):
            self._counters["bindings_too_many"] += 1
            return
        payload = binding_payload(endpoint, binding.signed_at_ms)
        found = await self._verify(binding.signer, payload, binding.signature, NAMESPACE)
        match found.verdict:
            case Verdict.GOOD:
                record = BindingRecord(
                    endpoint=endpoint,
                    signer=found.signer or binding.signer,
                    signed_at_ms=binding.signed_at_ms,
                    signature=binding.signature,
                )
                self._known[endpoint] = record
                self._unchecked.pop(endpoint, None)
                await self._store.put_binding(record)
            case Verdict.WRONG:
                self._counters["bindings_rejected"] += 1
                log.info("binding_rejected peer=%s: %s", short(endpoint), found.reason)
            case Verdict.UNKNOWN:
                self._counters["bindings_unknown"] += 1
                self._unchecked[endpoint] = binding.signer
                if len(self._unchecked) > UNCHECKED_MAX:
                    self._unchecked.popitem(last=False)
                log.info("binding_unknown peer=%s: %s", short(endpoint), found.reason)

    def _is_stranger(self, binding: Binding) -> bool:
        try:
            return self._signers is None or not self._signers.names(canonical(binding.signer))
        except InvalidInput:
            return True


def _is_news(binding: Binding, known: BindingRecord) -> bool:
    if binding.signed_at_ms == known.signed_at_ms:
        return not known.signature  # Kept by an older buddies, which did not keep that.
    return binding.signed_at_ms > known.signed_at_ms
