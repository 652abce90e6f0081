"""SSH public keys as people write them: compared by key, never by line."""

import base64
import binascii
import struct
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)
from sshpubkeys import InvalidKeyError, SSHKey

from buddies_core.errors import InvalidInput

ED25519 = "ssh-ed25519"
RSA = "ssh-rsa"
ECDSA = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
SK_ED25519 = "sk-ssh-ed25519@openssh.com"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
KINDS = (ED25519, RSA, *ECDSA, SK_ED25519, SK_ECDSA)
LINE_CHARS_MAX = 8192
"""A key with RSA's largest modulus has 2.8 thousand."""


@dataclass(frozen=True, slots=True)
class SshKey:
    """A public key without its comment."""

    kind: str
    blob: bytes
    """As in RFC 4253, 6.6: string kind, then the data for that kind."""

    @property
    def line(self) -> str:
        """The key as a line of an authorized_keys file, with no comment."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"


def parse_ssh_key(line: str) -> SshKey:
    """Return the key in a public key line, `kind base64 comment`.

    Raises:
        InvalidInput: it is not such a line, or could be read as two lines or in two ways.
    """
    if len(line) > LINE_CHARS_MAX or len(line.splitlines()) != 1 or "\0" in line:
        raise InvalidInput("an SSH public key is one line, `ssh-ed25519 AAAA… comment`")
    kind, _, rest = line.strip().partition(" ")
    encoded = rest.strip().partition(" ")[0]
    if kind not in KINDS:
        raise InvalidInput(
            f"{kind[:40]!r} is no kind of SSH key that can be used; take one of ssh-ed25519, "
            "ssh-rsa, ecdsa-sha2-nistp256, or a security key of these"
        )
    try:
        key = SshKey(kind, base64.b64decode(encoded, validate=True))
        SSHKey(strict=True).parse(f"{kind} {encoded}")
    except (binascii.Error, InvalidKeyError, NotImplementedError, ValueError) as error:
        raise InvalidInput(f"the SSH public key is damaged: {error}") from error
    if kind not in (SK_ED25519, SK_ECDSA) and key.line != _as_openssh_writes_it(key):
        # A second form of the same key would be a second identity.
        raise InvalidInput("the SSH public key is not written the way that OpenSSH writes it")
    return key


def strings(blob: bytes, count: int) -> tuple[list[bytes], bytes]:
    """Return the first `count` strings of `length:u32be · bytes`, and the remaining bytes.

    Raises:
        ValueError: there are fewer strings.
    """
    found = []
    for _ in range(count):
        if len(blob) < 4:
            raise ValueError("it ends too early")
        (length,) = struct.unpack(">I", blob[:4])
        if len(blob) < 4 + length:
            raise ValueError("it ends too early")
        found.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return found, blob


def string(data: bytes) -> bytes:
    """Return `length:u32be · data`."""
    return struct.pack(">I", len(data)) + data


def _as_openssh_writes_it(key: SshKey) -> str:
    try:
        loaded = load_ssh_public_key(key.line.encode())
    # cryptography raises the last one for a compressed point.
    except (ValueError, UnsupportedAlgorithm, NotImplementedError) as error:
        raise InvalidInput(f"the SSH public key is damaged: {error}") from error
    return loaded.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
