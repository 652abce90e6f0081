"""SSHSIG, the signatures that `ssh-keygen -Y sign` makes. Pure.

    armored     := BEGIN line · base64 of blob in lines of 70 columns · END line
    blob        := "SSHSIG" · version:u32be = 1 · string(public key) · string(namespace)
                   · string(reserved) · string(hash's name) · string(signature)
    signed data := "SSHSIG" · string(namespace) · string(reserved) · string(hash's name)
                   · string(hash of the payload)
    signature   := string(algorithm) · string(raw); a security key's: · flags:u8 · counter:u32be

From OpenSSH's PROTOCOL.sshsig and PROTOCOL.u2f. We always hash by SHA-512, as ssh-keygen does.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from buddies_core.errors import WireError
from buddies_core.identity.ssh_keys import (
    ECDSA,
    ED25519,
    RSA,
    SK_ECDSA,
    SK_ED25519,
    SshKey,
    string,
    strings,
)

SIGNATURE_BYTES_MAX = 16 * 1024
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
_COLUMNS = 70
_PREAMBLE = b"SSHSIG"
_VERSION = (1).to_bytes(4, "big")
_HASHES = (b"sha512", b"sha256")
_RSA_HASHES = {b"rsa-sha2-512": hashes.SHA512(), b"rsa-sha2-256": hashes.SHA256()}
_ECDSA_HASHES = dict(zip(ECDSA, (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()), strict=True))


class WrongSignature(WireError):
    """A signature is not by this key for this payload; the text says why."""


@dataclass(frozen=True, slots=True)
class _Signature:
    """The contents of an armored signature."""

    public_key: bytes
    namespace: bytes
    hash_name: bytes
    signature: bytes


def sign_ed25519(key: SigningKey, payload: bytes, namespace: str) -> bytes:
    """Return the armored signature, byte for byte as ssh-keygen makes it."""
    public_key = string(ED25519.encode()) + string(bytes(key.verify_key))
    raw = key.sign(_signed_data(namespace.encode(), b"sha512", payload)).signature
    return _armor(public_key, namespace, string(ED25519.encode()) + string(raw))


def _armor(public_key: bytes, namespace: str, signature: bytes) -> bytes:
    fields = (public_key, namespace.encode(), b"", b"sha512", signature)
    blob = _PREAMBLE + _VERSION + b"".join(map(string, fields))
    text = base64.b64encode(blob)
    lines = (text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS))
    return b"\n".join((_BEGIN, *lines, _END, b""))


def verify_sshsig(key: SshKey, payload: bytes, armored: bytes, namespace: str) -> None:
    """Check that this key signed this payload in this namespace.

    Takes up to a millisecond for a large RSA key, a tenth of it for others.

    Raises:
        WrongSignature: it did not, or the input is not a signature.
    """
    try:
        parsed = _parse(armored)
    except ValueError as error:
        raise WrongSignature(f"no SSH signature: {error}") from error
    if parsed.public_key != key.blob:
        raise WrongSignature("the signature is by another key than the one that it is said to be")
    if parsed.namespace != namespace.encode():
        raise WrongSignature(f"signed for {parsed.namespace[:40]!r}, not for {namespace!r}")
    data = _signed_data(parsed.namespace, parsed.hash_name, payload)
    try:
        _verify(key, data, parsed.signature)
    except (InvalidSignature, CryptoError, UnsupportedAlgorithm, ValueError) as error:
        raise WrongSignature("the signature does not fit what was signed") from error


def _parse(armored: bytes) -> _Signature:
    """Return the contents; refuse everything that ssh-keygen would not have written."""
    if len(armored) > SIGNATURE_BYTES_MAX:
        raise ValueError("it is too long")
    first, *encoded, last = armored.strip().splitlines() or [b""]
    if first != _BEGIN or last != _END:
        raise ValueError("it does not begin and end as one does")
    try:
        blob = base64.b64decode(b"".join(encoded), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    head = _PREAMBLE + _VERSION
    if not blob.startswith(head):
        raise ValueError("an unknown version")
    (public_key, namespace, reserved, hash_name, signature), rest = strings(blob[len(head) :], 5)
    if rest or reserved or hash_name not in _HASHES:
        raise ValueError("fields that are not known")
    return _Signature(public_key, namespace, hash_name, signature)


def _signed_data(namespace: bytes, hash_name: bytes, payload: bytes) -> bytes:
    digest = hashlib.new(hash_name.decode(), payload).digest()
    return _PREAMBLE + b"".join(map(string, (namespace, b"", hash_name, digest)))


def _verify(key: SshKey, data: bytes, signature: bytes) -> None:
    (algorithm, raw), rest = strings(signature, 2)
    if key.kind in (SK_ED25519, SK_ECDSA):
        data = _shown_to_security_key(key, data, rest)
    elif rest:
        raise ValueError("bytes behind the signature")
    if key.kind == RSA:
        rsa_key = load_ssh_public_key(key.line.encode())
        if not isinstance(rsa_key, rsa.RSAPublicKey) or algorithm not in _RSA_HASHES:
            raise ValueError("not a signature of RSA with SHA-2")
        rsa_key.verify(raw, data, padding.PKCS1v15(), _RSA_HASHES[algorithm])
        return
    if algorithm != key.kind.encode():
        raise ValueError("a signature of another kind of key")
    (_, *public), _ = strings(key.blob, 2 if key.kind in (ED25519, SK_ED25519) else 3)
    if key.kind in (ED25519, SK_ED25519):
        VerifyKey(public[0]).verify(data, raw)
        return
    curve = {b"nistp256": ec.SECP256R1(), b"nistp384": ec.SECP384R1(), b"nistp521": ec.SECP521R1()}
    point = ec.EllipticCurvePublicKey.from_encoded_point(curve[public[0]], public[1])
    (r, s), rest = strings(raw, 2)
    if rest:
        raise ValueError("bytes behind the signature")
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    point.verify(der, data, ec.ECDSA(_ECDSA_HASHES.get(key.kind, hashes.SHA256())))


def _shown_to_security_key(key: SshKey, data: bytes, flags_and_counter: bytes) -> bytes:
    """Return the bytes that a security key signs in place of the data; see PROTOCOL.u2f."""
    if len(flags_and_counter) != 5:
        raise ValueError("not the flags and the counter of a security key")
    fields, _ = strings(key.blob, 3 if key.kind == SK_ED25519 else 4)
    application = hashlib.sha256(fields[-1]).digest()
    return application + flags_and_counter + hashlib.sha256(data).digest()
