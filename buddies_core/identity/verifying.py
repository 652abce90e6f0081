"""Whether a person's key vouches: each signature is checked once, off the event loop."""

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import InvalidInput
from buddies_core.identity.gpg import CannotCheck, Gpg, GpgBusy
from buddies_core.identity.ssh_keys import ED25519, SK_ED25519, parse_ssh_key
from buddies_core.identity.sshsig import WrongSignature, verify_sshsig
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity
from buddies_core.model.ids import EndpointId

CACHED_MAX = 8192
"""The cached results take about 1.5 MB."""
GPG_LASTS_S = 600.0
"""A key may expire or be revoked meanwhile."""
UNKNOWN_LASTS_S = 60.0
"""The key may have been imported meanwhile."""
GPG_PER_NEIGHBOR_MAX = 4
"""The most signatures from one neighbor that may wait for gpg, of 32 in all."""


class Verdict(StrEnum):
    """The result for a signature."""

    GOOD = "good"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It can't be checked here: its key is not in the keyring, or there is no gpg."""
    BUSY = "busy"
    """gpg has too much to do. This is not remembered: the next call checks again."""


@dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of a check."""

    verdict: Verdict
    reason: str = ""
    """Why the signature is not good."""
    signer: SignerIdentity | None = None
    """The key of a good signature, without comment, and in full if only a part was claimed."""

    @property
    def good(self) -> bool:
        """Whether the signature is by the claimed identity."""
        return self.verdict is Verdict.GOOD


class Verify(Protocol):
    """Checks a signature; see `Verifier.verify`."""

    async def __call__(
        self,
        identity: SignerIdentity,
        payload: bytes,
        signature: bytes,
        namespace: str,
        told_by: EndpointId | None = None,
        /,
    ) -> Verification:
        """Return whether this identity signed this payload in this namespace."""


class Verifier:
    """Checks signatures, and remembers the results. One event loop owns this."""

    def __init__(self, environ: Mapping[str, str], clock: Clock) -> None:
        self._gpg = Gpg(environ)
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[float, Verification]] = OrderedDict()
        self._at_gpg: Counter[EndpointId] = Counter()

    async def verify(
        self,
        identity: SignerIdentity,
        payload: bytes,
        signature: bytes,
        namespace: str,
        told_by: EndpointId | None = None,
    ) -> Verification:
        """Return whether this identity signed this payload in this namespace. Never raises.

        OpenPGP has no namespaces; there the payload must say what it is for. `told_by` is the
        neighbor that brought the signature in: gpg checks only so many at once for each.
        """
        digest = _digest(identity, payload, signature, namespace)
        until_s, known = self._cache.get(digest, (0.0, None))
        if known is not None and self._clock.now_s() < until_s:
            self._cache.move_to_end(digest)
            return known
        lasts_s = float("inf") if isinstance(identity, SshIdentity) else GPG_LASTS_S
        verification = await self._check(identity, payload, signature, namespace, told_by)
        if verification.verdict is Verdict.BUSY:
            return verification
        if verification.verdict is Verdict.UNKNOWN:
            lasts_s = UNKNOWN_LASTS_S
        self._cache[digest] = (self._clock.now_s() + lasts_s, verification)
        while len(self._cache) > CACHED_MAX:
            self._cache.popitem(last=False)
        return verification

    def forget_gpg(self) -> None:
        """Ask gpg again about each signature, as its keyring may have changed."""
        forever = float("inf")
        kept = {it: known for it, known in self._cache.items() if known[0] == forever}
        self._cache = OrderedDict(kept)

    async def is_good(
        self, identity: SignerIdentity, payload: bytes, signature: bytes, namespace: str
    ) -> bool:
        """Return whether `verify` finds the signature good."""
        return (await self.verify(identity, payload, signature, namespace)).good

    async def _check(
        self,
        identity: SignerIdentity,
        payload: bytes,
        signature: bytes,
        namespace: str,
        told_by: EndpointId | None,
    ) -> Verification:
        match identity:
            case SshIdentity(public_key):
                return await _verify_ssh(public_key, payload, signature, namespace)
            case GpgIdentity(key_id):
                return await self._verify_gpg(key_id, payload, signature, told_by)

    async def _verify_gpg(
        self, key_id: str, payload: bytes, signature: bytes, told_by: EndpointId | None
    ) -> Verification:
        if told_by is not None:
            if self._at_gpg[told_by] >= GPG_PER_NEIGHBOR_MAX:
                return Verification(Verdict.BUSY, "too many signatures of one neighbor wait")
            self._at_gpg[told_by] += 1
        try:
            by = await self._gpg.verify(key_id, payload, signature)
        except WrongSignature as error:
            return Verification(Verdict.WRONG, str(error))
        except GpgBusy as error:
            return Verification(Verdict.BUSY, str(error))
        except CannotCheck as error:
            return Verification(Verdict.UNKNOWN, str(error))
        finally:
            if told_by is not None:
                self._at_gpg[told_by] -= 1
                if not self._at_gpg[told_by]:
                    del self._at_gpg[told_by]
        return Verification(Verdict.GOOD, signer=GpgIdentity(by.primary))


async def _verify_ssh(
    public_key: str, payload: bytes, signature: bytes, namespace: str
) -> Verification:
    try:
        key = parse_ssh_key(public_key)
        if key.kind in (ED25519, SK_ED25519):
            verify_sshsig(key, payload, signature, namespace)  # as fast as a switch of threads
        else:
            await asyncio.to_thread(verify_sshsig, key, payload, signature, namespace)
    except (InvalidInput, WrongSignature) as error:
        return Verification(Verdict.WRONG, str(error))
    return Verification(Verdict.GOOD, signer=SshIdentity(key.line))


def _digest(identity: SignerIdentity, payload: bytes, signature: bytes, namespace: str) -> bytes:
    digest = hashlib.sha256()
    for part in (identity.label.encode(), payload, signature, namespace.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()
