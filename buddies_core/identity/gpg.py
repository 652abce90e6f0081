"""The user's OpenPGP keyring: verify signatures and look up keys with the standard gpg."""

import asyncio
import logging
import re
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import gnupg

from buddies_core.errors import InvalidInput, NotFound, TimedOut
from buddies_core.identity.sshsig import WrongSignature

VERIFY_DEADLINE_S = 5.0
AT_ONCE = 2
WAITING_MAX = 32
"""Further signatures are left unchecked, as a flood must not start a process for each."""
_OPTIONS = ["--no-auto-key-retrieve"]
"""A stranger's signature must not make us ask a key server."""
_KILLED = -9
_UNUSABLE = {"r": "revoked", "e": "expired", "d": "disabled", "i": "invalid", "n": "not valid"}
_FINGERPRINT = re.compile(r"[0-9A-F]{40}(?:[0-9A-F]{24})?")
_LONG_ID = re.compile(r"[0-9A-F]{16}")

T = TypeVar("T")

# It warns about each bad signature; we report that ourselves, with the signer.
logging.getLogger("gnupg").setLevel(logging.CRITICAL)


class CannotCheck(Exception):
    """A signature can't be checked on this machine; the text says why."""


class GpgBusy(CannotCheck):
    """gpg has too much to do, or did not finish in time; a later check may succeed."""


@dataclass(frozen=True, slots=True)
class SignedBy:
    """The key of a good signature, and the primary key to which it belongs."""

    key: str
    primary: str


class _Gpg(gnupg.GPG):  # type: ignore[misc] # has no types
    """python-gnupg with a deadline, which it has no option for."""

    def __init__(self, deadline_s: float, **options: Any) -> None:
        self._deadline_s = deadline_s
        super().__init__(**options)

    def _collect_output(self, process: Any, *arguments: Any, **options: Any) -> Any:
        timer = threading.Timer(self._deadline_s, process.kill)
        timer.daemon = True
        timer.start()
        try:
            return super()._collect_output(process, *arguments, **options)
        finally:
            timer.cancel()


class Gpg:
    """gpg as this environment sees it. No call blocks the event loop."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._made: _Gpg | None = None

    async def verify(self, claimed: str, payload: bytes, signature: bytes) -> SignedBy:
        """Return the key of a signature, if it is the claimed key and that key is in force.

        The claim is a fingerprint or, if only one key here has it, a long id.

        Raises:
            WrongSignature: it is not, or the key has expired or was revoked.
            GpgBusy: gpg is busy or stuck.
            CannotCheck: the key is not in this user's keyring, or gpg is missing.
        """
        wanted = claimed.upper().removeprefix("0X")
        if not _FINGERPRINT.fullmatch(wanted) and not _LONG_ID.fullmatch(wanted):
            raise WrongSignature(f"{claimed[:40]!r} is neither a fingerprint nor a long key id")
        by = await self.signed_by(payload, signature, wanted)
        if wanted in (by.key, by.primary):
            return by
        if not by.key.endswith(wanted) and not by.primary.endswith(wanted):
            raise WrongSignature(f"signed by gpg key {by.primary}, not by {wanted}")
        try:
            known = await self.public_keys(wanted)
        except NotFound as error:
            raise CannotCheck(str(error)) from error
        except TimedOut as error:
            raise GpgBusy(str(error)) from error
        if known != (by.primary,):
            raise WrongSignature(f"{wanted} fits several keys: {', '.join(known)}")
        return by

    async def signed_by(self, payload: bytes, signature: bytes, claimed: str = "") -> SignedBy:
        """Return the key that made this signature, if it is good and the key is in force.

        Raises:
            WrongSignature: it is not good, or the key has expired or was revoked.
            GpgBusy: gpg is busy or stuck.
            CannotCheck: the key is not in this user's keyring, or gpg is missing.
        """
        if self._waiting >= WAITING_MAX:
            raise GpgBusy("too many signatures wait for gpg")
        self._waiting += 1
        try:
            return await self._signed_by(payload, signature, claimed)
        except NotFound as error:
            raise CannotCheck(str(error)) from error
        finally:
            self._waiting -= 1

    async def public_keys(self, id: str) -> tuple[str, ...]:
        """Return the fingerprints of the keys here that match this id, name or address.

        Raises:
            NotFound: there is no gpg.
            TimedOut: gpg did not finish by the deadline.
        """
        found = await self._list(id, secret=False)
        return tuple(str(key["fingerprint"]) for key in found)

    async def secret_key(self, id: str) -> str:
        """Return the fingerprint of the one usable key that matches this id, name or address.

        Raises:
            NotFound: there is no gpg, or no such key in its keyring.
            InvalidInput: several keys match, or the key has expired or was revoked.
        """
        found = await self._list(id, secret=True)
        usable = [str(key["fingerprint"]) for key in found if key["trust"] not in _UNUSABLE]
        if not found:
            raise NotFound(
                f"gpg has no secret key {id!r}; see gpg --list-secret-keys for those it has"
            )
        if not usable:
            why = _UNUSABLE[found[0]["trust"]]
            raise InvalidInput(f"the gpg key {id!r} is {why}; renew it, or name another")
        if len(usable) > 1:
            raise InvalidInput(f"{id!r} fits several gpg keys; name one: {', '.join(usable)}")
        return usable[0]

    async def _signed_by(self, payload: bytes, signature: bytes, claimed: str) -> SignedBy:
        def verify(gpg: _Gpg) -> Any:
            with tempfile.NamedTemporaryFile(prefix="buddies-") as file:  # mode 0600
                file.write(signature)
                file.flush()
                return gpg.verify_data(file.name, payload)

        result = await self._run(verify)
        if result.returncode == _KILLED:
            raise GpgBusy(f"gpg was not done within {VERIFY_DEADLINE_S:g} s")
        statuses = {problem["status"] for problem in result.problems}
        if statuses and statuses <= {"no public key", "signature error"}:
            key = claimed or result.key_id
            raise CannotCheck(
                f"key {key} is not in this machine's keyring; get it from its owner "
                "(gpg --import), or ask for an SSH key"
            )
        # Exactly one signature, as python-gnupg would confuse several.
        if not result.valid or result.problems or len(result.sig_info) != 1:
            said = [str(problem["status"]) for problem in result.problems]
            raise WrongSignature(f"gpg says: {', '.join(said) or result.status or 'nothing'}")
        return SignedBy(
            str(result.fingerprint), str(result.pubkey_fingerprint or result.fingerprint)
        )

    async def _list(self, id: str, *, secret: bool) -> list[dict[str, Any]]:
        if not id or id.startswith("-") or not id.isprintable():
            raise InvalidInput(f"{id!r} names no gpg key; give its fingerprint")

        def list_keys(gpg: _Gpg) -> Any:
            return gpg.list_keys(secret, keys=[id])

        found = await self._run(list_keys)
        if found.returncode == _KILLED:
            raise TimedOut(
                f"gpg had not listed its keys after {VERIFY_DEADLINE_S:g} s; see whether "
                "gpg --list-keys works, and try again"
            )
        return list(found)

    async def _run(self, call: Callable[[_Gpg], T]) -> T:
        def run() -> T:
            if self._made is None:  # Making one runs gpg, to see that it is there.
                self._made = _Gpg(VERIFY_DEADLINE_S, env=dict(self._environ), options=_OPTIONS)
            return call(self._made)

        async with self._slots:
            try:
                return await asyncio.to_thread(run)
            except (OSError, ValueError) as error:
                raise NotFound(f"gpg can't be run: {error}; install GnuPG") from error
