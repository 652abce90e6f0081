"""Turns a person's label for a key into the one form that policies use."""

from dataclasses import dataclass

from buddies_core.errors import InvalidInput, NotFound
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.labels import canonical, parse_label
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity

_LONG_ID_DIGITS = 16
_SHORT_ID_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Resolved:
    """The key that a label names."""

    identity: SignerIdentity
    """Canonical; an OpenPGP key by the full fingerprint of its primary key."""
    in_keyring: bool
    """Whether this machine can check its signatures; those of an SSH key always."""


class Resolver:
    """Finds the keys that labels name, OpenPGP keys in the user's keyring."""

    def __init__(self, gpg: Gpg) -> None:
        self._gpg = gpg

    async def resolve(self, label: str) -> Resolved:
        """Return the key that a label names, in any spelling.

        A full fingerprint needs no keyring. A long id must match exactly one key there. An id
        of 8 digits is not accepted, because keys that share one can be made in seconds.

        Raises:
            InvalidInput: it names no key, or several; the text says what to do.
        """
        identity = canonical(parse_label(_tidy(label)))
        match identity:
            case SshIdentity():
                return Resolved(identity, in_keyring=True)
            case GpgIdentity(digits):
                return await self._resolve_gpg(digits)

    async def _resolve_gpg(self, digits: str) -> Resolved:
        try:
            known = await self._gpg.public_keys(digits)
        except NotFound as error:
            if len(digits) == _LONG_ID_DIGITS:
                raise InvalidInput(
                    f"the key id {digits} can't be looked up: {error}; or give the key's full "
                    "fingerprint, gpg: and 40 hex digits"
                ) from error
            known = ()
        match known:
            case (primary,):
                return Resolved(GpgIdentity(primary), in_keyring=True)
            case () if len(digits) > _LONG_ID_DIGITS:
                return Resolved(GpgIdentity(digits), in_keyring=False)
            case ():
                raise InvalidInput(
                    f"no key in this machine's keyring has the id {digits}; import the key (gpg "
                    "--import), or give its full fingerprint: gpg: and 40 hex digits"
                )
            case _:
                raise InvalidInput(
                    f"{digits} fits several keys in this machine's keyring; name one by its "
                    f"fingerprint: {', '.join(known)}"
                )


def _tidy(label: str) -> str:
    """Return the label with a fingerprint's spaces taken out, as gpg prints them.

    Raises:
        InvalidInput: it is an id of 8 digits.
    """
    scheme, _, value = label.strip().partition(":")
    if scheme.lower() != "gpg":
        return label
    digits = "".join(value.split()).upper().removeprefix("0X")
    if len(digits) == _SHORT_ID_DIGITS:
        raise InvalidInput(
            f"the key id {digits} is too short to tell keys apart; give the key's full "
            "fingerprint, gpg: and 40 hex digits (gpg --fingerprint)"
        )
    return f"gpg:{digits}"
