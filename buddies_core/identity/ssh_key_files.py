"""Read SSH keys from a person's files, and find out which signer each needs."""

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)
from nacl.signing import SigningKey

from buddies_core.errors import InvalidInput, NotFound
from buddies_core.identity.git_calls import SshCall
from buddies_core.identity.programs import PROGRAM_DEADLINE_S, run_program
from buddies_core.identity.signers import Ed25519Signer, Signer, SshProgramSigner
from buddies_core.identity.ssh_keys import KINDS, SshKey, parse_ssh_key, strings
from buddies_core.model.identity import SshIdentity
from buddies_core.paths import home_directory

FILE_BYTES_MAX = 64 * 1024
_PRIVATE = re.compile(
    rb"-----BEGIN OPENSSH PRIVATE KEY-----\s+(.*?)-----END OPENSSH PRIVATE KEY-----", re.DOTALL
)
_MAGIC = b"openssh-key-v1\0"


async def open_ssh(
    private: str, public: str, environ: Mapping[str, str], program: str = ""
) -> Signer:
    """Return the signer of an SSH key.

    `private` is the path of either half, and `public` the text or the path of the public half;
    one of the two may be empty. An Ed25519 key without passphrase signs in this process unless
    the user has a program for it; ssh-keygen signs with all others.

    Raises:
        NotFound: there is no such file.
        InvalidInput: the file has no key, or a key that can't be used.
    """
    named = public if public.startswith(KINDS) or not public else _read(user_path(public, environ))
    if not private:
        return open_ssh_line(named, environ, program)
    path = user_path(private, environ)
    text = _read(path)
    is_public = text.startswith(KINDS)
    line = named or (text if is_public else await _line_of_private(path, text, environ))
    key = parse_ssh_key(line)
    half = path.with_suffix("") if is_public and path.suffix == ".pub" else path
    secret = read_ed25519(half) if half.is_file() else None
    # Ignore a different private key beside the named one: the agent may have the right one.
    if secret is not None and _public_half(secret) == key and not program:
        return Ed25519Signer(SshIdentity(line), SigningKey(secret.private_bytes_raw()))
    return SshProgramSigner(SshIdentity(line), SshCall(path, environ, program or "ssh-keygen"))


def open_ssh_line(line: str, environ: Mapping[str, str], program: str = "") -> Signer:
    """Return the signer of a public key whose private half the agent or the program has.

    Raises:
        InvalidInput: the line is not a public key, or the key can't be used.
    """
    parse_ssh_key(line)
    return SshProgramSigner(SshIdentity(line), SshCall(line, environ, program or "ssh-keygen"))


def user_path(text: str, environ: Mapping[str, str]) -> Path:
    """Return the path that a person means, with `~` for their home."""
    home = home_directory(environ)
    if home and (text == "~" or text.startswith("~/")):
        return home / text[2:]
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # ~somebody, or no home at all
        raise InvalidInput(f"{text} leads nowhere: {error}; give an absolute path") from error


def read_ed25519(path: Path) -> Ed25519PrivateKey | None:
    """Return the key, if it is an Ed25519 one without passphrase: the only kind kept in memory."""
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise NotFound(f"the private key {path} can't be read: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None  # ssh-keygen or the agent may still be able to use it.
    return key if isinstance(key, Ed25519PrivateKey) else None


async def _line_of_private(path: Path, text: str, environ: Mapping[str, str]) -> str:
    """Return the public half of a private key, where ssh-keygen would look for it, too."""
    beside = path.with_name(f"{path.name}.pub")
    if beside.is_file():
        return _read(beside)
    command = ["ssh-keygen", "-y", "-P", "", "-f", str(path)]
    finished = await run_program(command, environ, PROGRAM_DEADLINE_S)
    if finished.code == 0:
        return finished.output.decode(errors="replace").strip()
    if (within := _within(text)) is not None:
        return within.line  # The passphrase hides only the comment.
    raise InvalidInput(
        f"{beside} is missing, and {path} can't be read without it "
        f"({finished.complaint or 'it has a passphrase'}); make it with: "
        f"ssh-keygen -y -f {path} > {beside}"
    )


def _within(text: str) -> SshKey | None:
    """Return the public key that OpenSSH's own format holds in the clear (PROTOCOL.key).

    file := BEGIN · base64 of blob · END
    blob := "openssh-key-v1" · NUL · string(cipher) · string(kdf) · string(kdf's options)
            · number of keys:u32be · string(public key) · …
    """
    found = _PRIVATE.search(text.encode())
    if found is None:
        return None
    try:
        blob = base64.b64decode(b"".join(found[1].split()), validate=True)
        _, rest = strings(blob.removeprefix(_MAGIC), 3)
        (public,), _ = strings(rest[4:], 1)
        (kind,), _ = strings(public, 1)
        return parse_ssh_key(f"{kind.decode()} {base64.b64encode(public).decode()}")
    except (binascii.Error, ValueError, InvalidInput):
        return None


def _public_half(key: Ed25519PrivateKey) -> SshKey:
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return parse_ssh_key(line.decode())


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise InvalidInput(f"{path} is too large to be an SSH key")
        return path.read_text().strip()
    except FileNotFoundError as error:
        raise NotFound(
            f"there is no SSH key {path}; make one with ssh-keygen, or name another"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"the SSH key {path} can't be read: {error}") from error
