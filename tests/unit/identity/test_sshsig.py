"""SSHSIG and public keys: what is refused, and keys that no test can have in hardware."""

import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from buddies_core.errors import InvalidInput
from buddies_core.identity.labels import canonical, parse_label
from buddies_core.identity.ssh_keys import (
    ED25519,
    SK_ECDSA,
    SK_ED25519,
    SshKey,
    parse_ssh_key,
    string,
)
from buddies_core.identity.sshsig import (
    WrongSignature,
    _armor,
    _signed_data,
    sign_ed25519,
    verify_sshsig,
)
from buddies_core.model.identity import GpgIdentity, SshIdentity
from tests.support.worlds.person import Person, needs

SECRET = SigningKey(b"a" * 32)
KEY = SshKey(ED25519, string(ED25519.encode()) + string(bytes(SECRET.verify_key)))
SIGNATURE = sign_ed25519(SECRET, b"payload", "buddies")
APPLICATION = b"ssh:"
TOUCHED, UNTOUCHED = b"\x01\x00\x00\x00\x07", b"\x00\x00\x00\x00\x07"


def by_sk_ed25519(flags_and_counter: bytes) -> tuple[SshKey, bytes]:
    kind = string(SK_ED25519.encode())
    key = SshKey(SK_ED25519, kind + string(bytes(SECRET.verify_key)) + string(APPLICATION))
    raw = SECRET.sign(shown(flags_and_counter)).signature
    return key, _armor(key.blob, "buddies", kind + string(raw) + flags_and_counter)


def by_sk_ecdsa(flags_and_counter: bytes) -> tuple[SshKey, bytes]:
    secret = ec.derive_private_key(7, ec.SECP256R1())
    point = secret.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    kind = string(SK_ECDSA.encode())
    key = SshKey(SK_ECDSA, kind + string(b"nistp256") + string(point) + string(APPLICATION))
    der = secret.sign(shown(flags_and_counter), ec.ECDSA(hashes.SHA256()))
    numbers = (number.to_bytes(33, "big").lstrip(b"\0") for number in decode_dss_signature(der))
    raw = b"".join(string(b"\0" + n if n[0] > 127 else n) for n in numbers)
    return key, _armor(key.blob, "buddies", kind + string(raw) + flags_and_counter)


def shown(flags_and_counter: bytes) -> bytes:
    data = hashlib.sha256(_signed_data(b"buddies", b"sha512", b"payload")).digest()
    return hashlib.sha256(APPLICATION).digest() + flags_and_counter + data


@needs("ssh-keygen")
@pytest.mark.parametrize("sign", [by_sk_ed25519, by_sk_ecdsa])
@pytest.mark.parametrize("flags_and_counter", [TOUCHED, UNTOUCHED])
def test_we_and_ssh_keygen_take_the_signature_of_a_security_key(
    ann: Person, sign: Callable[[bytes], tuple[SshKey, bytes]], flags_and_counter: bytes
) -> None:
    key, signature = sign(flags_and_counter)
    assert parse_ssh_key(f"{key.line} comment") == key
    verify_sshsig(key, b"payload", signature, "buddies")
    assert ann.ssh_verifies(SshIdentity(key.line), b"payload", signature, "buddies")


@given(st.binary(max_size=400))
def test_nonsense_is_no_signature(data: bytes) -> None:
    for armored in (data, _armor(KEY.blob, "buddies", data), _armor(data, "buddies", data)):
        with pytest.raises(WrongSignature):
            verify_sshsig(KEY, b"payload", armored, "buddies")


def test_no_character_of_a_signature_can_be_changed() -> None:
    verify_sshsig(KEY, b"payload", SIGNATURE, "buddies")
    for position in range(len(SIGNATURE.rstrip())):
        changed = bytearray(SIGNATURE)
        changed[position] ^= 1
        with pytest.raises(WrongSignature):
            verify_sshsig(KEY, b"payload", bytes(changed), "buddies")


@given(st.text(max_size=120))
def test_nonsense_is_no_public_key(text: str) -> None:
    for line in (text, f"ssh-ed25519 {text}", f"ssh-rsa AAAAB3NzaC1yc2E{text}"):
        with pytest.raises(InvalidInput):
            parse_ssh_key(line)


@pytest.mark.parametrize("between", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028", "\0"])
def test_no_line_can_be_read_as_two(between: str) -> None:
    with pytest.raises(InvalidInput, match="one line"):
        parse_ssh_key(f"{KEY.line} comment{between}{KEY.line}")


@pytest.mark.parametrize(
    "line",
    [
        f'no-pty,command="x" {KEY.line}',
        "ssh-dss AAAAB3NzaC1kc3MAAAABAQ==",
        KEY.line.replace("ssh-ed25519", "ssh-rsa"),
        KEY.line + "AAAA",
        KEY.line[:-1] + "=",
    ],
)
def test_a_line_that_ssh_would_not_take_as_this_key_is_refused(line: str) -> None:
    with pytest.raises(InvalidInput):
        parse_ssh_key(line)


@pytest.mark.parametrize(
    ("label", "same"),
    [
        (f"ssh:{KEY.line}", SshIdentity(KEY.line)),
        (f"SSH:{KEY.line} ann@home", SshIdentity(KEY.line)),
        ("gpg:" + "ab" * 20, GpgIdentity("AB" * 20)),
        ("GPG:0x" + "ab" * 8, GpgIdentity("AB" * 8)),
    ],
)
def test_two_labels_of_one_key_are_the_same_identity(
    label: str, same: SshIdentity | GpgIdentity
) -> None:
    assert canonical(parse_label(label)) == same


@pytest.mark.parametrize(
    "label", ["", "ann", "gpg:", "gpg:ann@home", "gpg:ABCD1234", "x:y", "ssh:"]
)
def test_what_names_no_key_is_no_label(label: str) -> None:
    with pytest.raises(InvalidInput):
        parse_label(label)


def test_a_key_whose_point_is_compressed_is_refused() -> None:
    """cryptography raises NotImplementedError for it; a peer may send any key."""
    point = ec.derive_private_key(7, ec.SECP256R1()).public_key()
    compressed = point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    kind = "ecdsa-sha2-nistp256"
    # sshpubkeys wants 65 bytes.
    padded = compressed + bytes(65 - len(compressed))
    blob = string(kind.encode()) + string(b"nistp256") + string(padded)
    with pytest.raises(InvalidInput, match="damaged"):
        parse_ssh_key(SshKey(kind, blob).line)
