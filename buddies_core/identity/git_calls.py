"""Sign with exactly the calls that git makes.

A program that signs for git, such as a wrapper round a security key or a password manager, need not
know any other call. So no other call is ever made. From git's gpg-interface.c:

    PROGRAM --status-fd=2 -bsau KEY           the payload on stdin, an armored signature on stdout
    PROGRAM -Y sign -n NAMESPACE -f KEY FILE  the payload in FILE, the signature in FILE.sig
"""

import base64
import binascii
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from buddies_core.errors import InvalidInput, TimedOut
from buddies_core.identity.programs import run_program

SIGN_DEADLINE_S = 10.0
"""Includes the touch of a security key, or typing a passphrase; the agent remembers that."""
_BEGIN, _END = b"-----BEGIN PGP SIGNATURE-----", b"-----END PGP SIGNATURE-----"
_SIGNED = "[GNUPG:] SIG_CREATED "


@dataclass(frozen=True, slots=True)
class GpgCall:
    """gpg, or a program that replaces it, and the name of the key as passed to it."""

    key: str
    environ: Mapping[str, str] = field(repr=False)
    program: str = "gpg"

    async def sign(self, payload: bytes) -> bytes:
        """Return the detached signature, binary; takes some 12 ms, and a process.

        Raises:
            InvalidInput: the program did not sign; the text repeats its reason.
            TimedOut: it had not signed by the deadline; it may be asking for a passphrase.
            NotFound: it is not installed.
        """
        command = [self.program, "--status-fd=2", "-bsau", self.key]
        try:
            finished = await run_program(command, self.environ, SIGN_DEADLINE_S, payload)
        except TimedOut as error:
            raise TimedOut(
                f"{error}; if it asks for a passphrase, have its agent remember it first: "
                f"echo | gpg --local-user '{self.key}' --sign"
            ) from error
        signed = any(line.startswith(_SIGNED) for line in finished.errors.splitlines())
        if "No secret key" in finished.errors:
            raise InvalidInput(
                f"gpg has no secret key {self.key!r}; see gpg --list-secret-keys for those it has"
            )
        if finished.code != 0 or not signed or not finished.output:
            raise InvalidInput(
                f"{self.program} can't sign with key {self.key!r}: "
                f"{finished.complaint or 'it does not say why'}"
            )
        return _without_armor(finished.output)


@dataclass(frozen=True, slots=True)
class SshCall:
    """ssh-keygen, or a program that replaces it, and the key to sign with."""

    key: Path | str
    """The path of either half, or the public key's line."""
    environ: Mapping[str, str] = field(repr=False)
    program: str = "ssh-keygen"

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        """Return the armored signature; takes some 10 ms, and a process.

        Raises:
            InvalidInput: the program did not sign; the text repeats its reason.
            TimedOut: it had not signed by the deadline.
            NotFound: it is not installed.
        """
        with tempfile.TemporaryDirectory(prefix="buddies-") as directory:  # mode 0700
            key_file, file = self._lay_out(Path(directory), payload)
            command = [self.program, "-Y", "sign", "-n", namespace, "-f", str(key_file), str(file)]
            finished = await run_program(command, self.environ, SIGN_DEADLINE_S)
            signature = _read_if_there(file.with_name(f"{file.name}.sig"))
        if finished.code != 0 or not signature:
            key = self.key if isinstance(self.key, Path) else f"key {self.key[:60]!r}"
            raise InvalidInput(
                f"{self.program} can't sign with {key}: "
                f"{finished.complaint or 'it does not say why'}; if the key has a passphrase, or "
                "only its public half is here, the SSH agent must hold it (ssh-add), with "
                "SSH_AUTH_SOCK set where the daemon starts"
            )
        return signature.replace(b"\r\n", b"\n")

    def _lay_out(self, directory: Path, payload: bytes) -> tuple[Path, Path]:
        """Write the payload, and the key if it is not a file yet; return their paths."""
        key_file, file = directory / "key", directory / "payload"
        file.write_bytes(payload)
        if isinstance(self.key, Path):
            return self.key, file
        key_file.write_text(f"{self.key}\n")
        return key_file, file


def _read_if_there(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _without_armor(text: bytes) -> bytes:
    """Return the bytes in the armor (RFC 9580, 6.2); return text without armor unchanged."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if lines[0] != _BEGIN or lines[-1] != _END or b"" not in lines:
        return text
    # Headers end at the empty line; the last line of all is a checksum, `=` and four characters.
    body = [line for line in lines[lines.index(b"") + 1 : -1] if not line.startswith(b"=")]
    try:
        return base64.b64decode(b"".join(body), validate=True)
    except binascii.Error as error:
        raise InvalidInput(f"the gpg signature is damaged: {error}") from error
