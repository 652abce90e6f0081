"""Which person's key vouches for which endpoint. One event loop owns this."""

import logging
from collections import Counter
from dataclasses import replace
from typing import Protocol

from buddies_core.identity.binding import NAMESPACE, binding_payload
from buddies_core.identity.labels import canonical
from buddies_core.identity.verifying import Verdict
from buddies_core.model.identity import Binding, SignerIdentity, Verified
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.room import Member
from buddies_core.rooms.admission import Verify
from buddies_core.store.records import BindingRecord

BINDINGS_MAX = 10_000
"""On this machine; those of further endpoints are not kept. Bounds what strangers can make us."""

log = logging.getLogger(__name__)


class StorePort(Protocol):
    """What is kept on disk; see `store.rocks.RocksStore`."""

    async def put_binding(self, record: BindingRecord) -> None:
        """Keep who vouches for an endpoint, in place of who did."""

    def bindings(self) -> tuple[BindingRecord, ...]:
        """Return who vouches for each endpoint."""


class Bindings:
    """The signers of endpoints, each verified when its binding first came."""

    def __init__(
        self,
        store: StorePort,
        verify: Verify,
        counters: Counter[str],
        endpoint: EndpointId,
        own: Binding | None = None,
    ) -> None:
        self._store = store
        self._verify = verify
        self._counters = counters
        self._known = {record.endpoint: record for record in store.bindings()}
        self._endpoint = endpoint
        self.own = own
        """Our signer's word for us."""
        self._own_signer = canonical(own.signer) if own else None

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return who vouches for what this endpoint says, if anybody does."""
        if endpoint == self._endpoint:
            return self._own_signer
        record = self._known.get(endpoint)
        return record.signer if record else None

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
        if known is not None and binding.signed_at_ms <= known.signed_at_ms:
            return
        if known is None and len(self._known) >= BINDINGS_MAX:
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
                )
                self._known[endpoint] = record
                await self._store.put_binding(record)
            case Verdict.WRONG:
                self._counters["bindings_rejected"] += 1
                log.info("binding_rejected peer=%s: %s", short(endpoint), found.reason)
            case Verdict.UNKNOWN:
                self._counters["bindings_unknown"] += 1
                log.info("binding_unknown peer=%s: %s", short(endpoint), found.reason)
