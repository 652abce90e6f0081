"""Which person's key vouches for which endpoint. One event loop owns this."""

import logging
from collections import Counter
from dataclasses import replace
from typing import Protocol

from buddies_core.identity.binding import NAMESPACE, binding_payload
from buddies_core.identity.labels import canonical
from buddies_core.identity.verifying import Verdict, Verify
from buddies_core.model.identity import Binding, GpgIdentity, SignerIdentity, Verified
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.provenance import Provenance, Source
from buddies_core.model.room import Member
from buddies_core.store.records import BindingRecord

BINDINGS_MAX = 10_000
"""The most bindings on this machine, besides those of signers that a policy names. Another one
replaces the one that was not received for longest."""
BINDINGS_PER_NEIGHBOR_MAX = 1000
"""The most bindings that one neighbor may bring in. Another one replaces one of them."""
UNCHECKED_MAX = 1000
"""Endpoints whose signer's key is not in the keyring, remembered so that a person can be told."""
UNCHECKED_PER_NEIGHBOR_MAX = 100

log = logging.getLogger(__name__)


class StorePort(Protocol):
    """What is kept on disk; see `store.rocks.RocksStore`."""

    async def put_binding(self, record: BindingRecord) -> None:
        """Store an endpoint's signer, replacing the earlier one."""

    async def delete_binding(self, endpoint: EndpointId) -> None:
        """Forget the signer of an endpoint."""

    def bindings(self) -> tuple[BindingRecord, ...]:
        """Return the binding of each endpoint."""


class KnownSigners(Protocol):
    """The signers that are not strangers; see `trust.policies.Policies`."""

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
        self._signers = known
        self._known: dict[EndpointId, BindingRecord] = {}
        # Bindings of signers that a policy names need no place.
        self._places: Provenance[EndpointId] = Provenance(BINDINGS_MAX, BINDINGS_PER_NEIGHBOR_MAX)
        for record in store.bindings():
            self._place(record, None)
        self.lapsed = 0
        """The number that have lapsed since the start; earlier counts are out of date."""
        self._endpoint = endpoint
        self.own = own
        """Our signer's binding for this node."""
        self._own_signer = canonical(own.signer) if own else None
        self._unchecked: dict[EndpointId, SignerIdentity] = {}
        self._unchecked_places: Provenance[EndpointId] = Provenance(
            UNCHECKED_MAX, UNCHECKED_PER_NEIGHBOR_MAX
        )

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return the signer that vouches for this endpoint, if there is one."""
        if endpoint == self._endpoint:
            return self._own_signer
        record = self._known.get(endpoint)
        return record.signer if record else None

    async def signer_in_force(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return the signer that vouches for this endpoint, for use by a policy.

        An OpenPGP key is checked again every ten minutes. If it has expired or was revoked, its
        bindings are forgotten.

        Raises:
            StoreError: the disk refused.
        """
        record = self._known.get(endpoint)
        if record is None or not isinstance(record.signer, GpgIdentity) or not record.signature:
            return self.signer_of(endpoint)
        payload = binding_payload(endpoint, record.signed_at_ms)
        found = await self._verify(record.signer, payload, record.signature, NAMESPACE)
        if found.verdict is Verdict.WRONG and self._known.get(endpoint) == record:
            self.lapsed += 1
            self._counters["bindings_lapsed"] += 1
            log.warning("binding_lapsed peer=%s: %s", short(endpoint), found.reason)
            del self._known[endpoint]
            self._places.forget(endpoint)
            await self._store.delete_binding(endpoint)
        return self.signer_of(endpoint)

    async def recheck(self) -> None:
        """Forget the bindings by OpenPGP keys that are not in force any more.

        Raises:
            StoreError: the disk refused.
        """
        for endpoint in tuple(self._known):
            await self.signer_in_force(endpoint)

    def unchecked_signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return the claimed signer of this endpoint, if its key is not in the keyring."""
        return self._unchecked.get(endpoint)

    def shown(self, member: Member) -> Member:
        """Return the member with the signer that vouches for it."""
        if not member.speaks_direct:
            return member
        signer = self.signer_of(member.endpoint)
        if signer is None:
            return replace(member, verified=Verified.PEER)
        return replace(member, verified=Verified.SIGNER, signed_by=signer.label)

    def is_named(self, endpoint: EndpointId) -> bool:
        """Return whether a policy names the signer that vouches for this endpoint."""
        record = self._known.get(endpoint)
        return record is not None and self._names(record.signer)

    async def take(
        self, endpoint: EndpointId, binding: Binding, told_by: EndpointId | None = None
    ) -> bool:
        """Process a binding from the endpoint itself; count it if it is wrong.

        `told_by` is the peer that brought it. Return False if gpg was too busy to check it; then
        nothing is remembered, and it can be given again.

        Raises:
            StoreError: the disk refused.
        """
        if not self._is_news(endpoint, binding):
            self._place(self._known[endpoint], told_by)
            return True
        payload = binding_payload(endpoint, binding.signed_at_ms)
        found = await self._verify(binding.signer, payload, binding.signature, NAMESPACE, told_by)
        match found.verdict:
            case Verdict.GOOD:
                if self._is_news(endpoint, binding):  # A newer one may have arrived meanwhile.
                    signer = found.signer or binding.signer
                    await self._keep(endpoint, replace(binding, signer=signer), told_by)
            case Verdict.WRONG:
                self._counters["bindings_rejected"] += 1
                log.info("binding_rejected peer=%s: %s", short(endpoint), found.reason)
            case Verdict.UNKNOWN:
                self._counters["bindings_unknown"] += 1
                self._unchecked[endpoint] = binding.signer
                for gone in self._unchecked_places.admit(endpoint, Source.HEARD, told_by):
                    del self._unchecked[gone]
                log.info("binding_unknown peer=%s: %s", short(endpoint), found.reason)
            case Verdict.BUSY:
                self._counters["bindings_not_checked"] += 1
                log.info("binding_not_checked peer=%s: %s", short(endpoint), found.reason)
        return found.verdict is not Verdict.BUSY

    def _is_news(self, endpoint: EndpointId, binding: Binding) -> bool:
        known = self._known.get(endpoint)
        if known is None:
            return True
        if binding.signed_at_ms == known.signed_at_ms:
            return not known.signature  # Stored by an older buddies, without the signature.
        return binding.signed_at_ms > known.signed_at_ms

    async def _keep(
        self, endpoint: EndpointId, binding: Binding, told_by: EndpointId | None
    ) -> None:
        record = BindingRecord(
            endpoint=endpoint,
            signer=binding.signer,
            signed_at_ms=binding.signed_at_ms,
            signature=binding.signature,
        )
        gone = self._place(record, told_by)
        self._unchecked.pop(endpoint, None)
        self._unchecked_places.forget(endpoint)
        await self._store.put_binding(record)
        for lost in gone:
            if lost not in self._known:  # It may have arrived again meanwhile.
                await self._store.delete_binding(lost)

    def _place(self, record: BindingRecord, told_by: EndpointId | None) -> list[EndpointId]:
        """Keep a record in memory, or renew it; return the endpoints that lose their places."""
        self._known[record.endpoint] = record
        if self._names(record.signer):
            self._places.forget(record.endpoint)
            return []
        rank = Source.SIGNED if told_by == record.endpoint else Source.HEARD
        gone = self._places.admit(record.endpoint, rank, told_by)
        # A policy may have named the signer since.
        lost = [it for it in gone if not self._names(self._known[it].signer)]
        for endpoint in lost:
            del self._known[endpoint]
            self._counters["bindings_replaced"] += 1
        return lost

    def _names(self, signer: SignerIdentity) -> bool:
        return self._signers is not None and self._signers.names(signer)
