"""Identities as text: `gpg:<key id>` and `ssh:<public key>`, and when two are the same."""

from buddies_core.errors import InvalidInput
from buddies_core.identity.ssh_keys import parse_ssh_key
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity


def parse_label(label: str) -> SignerIdentity:
    """Return the identity that a label names; as in 0.1.4 the scheme's case does not matter.

    Raises:
        InvalidInput: it does not name an identity.
    """
    scheme, colon, value = label.partition(":")
    identity: SignerIdentity
    match scheme.lower():
        case "gpg" if colon:
            identity = GpgIdentity(value)
        case "ssh" if colon:
            identity = SshIdentity(value)
        case _:
            raise InvalidInput(
                f"{label[:60]!r} is no identity; write gpg:FINGERPRINT or ssh:PUBLIC-KEY-LINE"
            )
    canonical(identity)
    return identity


def canonical(identity: SignerIdentity) -> SignerIdentity:
    """Return the one form in which equal keys are equal: no comment, capital hex digits.

    Raises:
        InvalidInput: it does not name a key.
    """
    match identity:
        case SshIdentity(public_key):
            return SshIdentity(parse_ssh_key(public_key).line)
        case GpgIdentity(key_id):
            digits = key_id.upper().removeprefix("0X")
            if len(digits) not in (16, 40, 64) or not set(digits) <= set("0123456789ABCDEF"):
                raise InvalidInput(
                    f"{key_id[:60]!r} is no gpg key; give its fingerprint of 40 hex digits "
                    "(gpg --fingerprint)"
                )
            return GpgIdentity(digits)
