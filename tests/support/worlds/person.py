"""A person with keys of their own: a temporary home for git, ssh-keygen, its agent and gpg."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from buddies_core.identity.git_calls import GpgCall
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.signers import Ed25519Signer, GpgSigner
from buddies_core.identity.ssh_keys import ED25519, SshKey, string
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity


@dataclass(frozen=True)
class Person:
    """Someone's home directory."""

    home: Path

    @property
    def environ(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "GNUPGHOME": str(self.home / "gnupg"),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C",
        }

    def run(self, *command: str, given: bytes = b"", **environ: str) -> bytes:
        """Run a program to its end and return its output."""
        done = subprocess.run(
            command,
            input=given,
            env=self.environ | environ,
            cwd=self.home,
            capture_output=True,
            timeout=15,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{command}: {done.stderr.decode()}")
        return done.stdout

    # SSH

    def ssh_key(self, kind: str = "ed25519", phrase: str = "", name: str = "") -> Path:
        """Make an SSH key and return where the private half is."""
        path = self.home / (name or f"id_{kind}")
        bits = ("-b", "2048") if kind == "rsa" else ()  # A larger one takes a second to make.
        command = ("ssh-keygen", "-q", "-t", kind, *bits, "-N", phrase, "-C", "me@here")
        self.run(*command, "-f", str(path))
        return path

    def public_line(self, key: Path) -> str:
        """Return the public half that lies beside an SSH key."""
        return Path(f"{key}.pub").read_text().strip()

    def ssh_verifies(
        self, identity: SignerIdentity, payload: bytes, signature: bytes, namespace: str
    ) -> bool:
        """Whether ssh-keygen takes the signature."""
        assert isinstance(identity, SshIdentity)
        (self.home / "allowed").write_text(f"buddies {identity.public_key}\n")
        (self.home / "signature").write_bytes(signature)
        command = ("ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "buddies")
        with contextlib.suppress(AssertionError):
            self.run(*command, "-n", namespace, "-s", "signature", given=payload)
            return True
        return False

    @contextmanager
    def agent_with(self, key: Path, phrase: str) -> Iterator[str]:
        """Have an SSH agent hold the key, and give its socket."""
        ask = self.home / "askpass"
        ask.write_text(f"#!/bin/sh\necho {phrase}\n")
        ask.chmod(0o700)
        socket = str(self.home / "agent")
        with subprocess.Popen(
            ["ssh-agent", "-D", "-a", socket],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as agent:
            assert agent.stdout is not None
            agent.stdout.readline()  # it listens before it says where
            try:
                self.run(
                    "ssh-add",
                    "-q",
                    str(key),
                    SSH_AUTH_SOCK=socket,
                    SSH_ASKPASS=str(ask),
                    SSH_ASKPASS_REQUIRE="force",
                )
                yield socket
            finally:
                agent.kill()

    # OpenPGP

    def gpg_key(self, kind: str = "ed25519", user: str = "Me <me@here>", expires: str = "0") -> str:
        """Make an OpenPGP key without passphrase and return its fingerprint."""
        command = ("gpg", "--batch", "--passphrase", "", "--quick-gen-key")
        self.run(*command, user, kind, "sign", expires)
        return self.fingerprints()[-1]

    def gpg_signer(self, fingerprint: str) -> GpgSigner:
        """Return the signer of one of this person's OpenPGP keys."""
        call = GpgCall(fingerprint, self.environ)
        return GpgSigner(GpgIdentity(fingerprint), call, Gpg(self.environ))

    def fingerprints(self) -> list[str]:
        """Return the fingerprints of the public keys, in the order they were made."""
        listing = self.run("gpg", "--batch", "--with-colons", "--list-keys").decode()
        rows = [line.split(":") for line in listing.splitlines()]
        return [after[9] for row, after in pairwise(rows) if row[0] == "pub"]

    def trusts(self, other: "Person") -> None:
        """Import the other's public OpenPGP keys."""
        exported = other.run("gpg", "--batch", "--export")
        self.run("gpg", "--batch", "--import", given=exported)


def an_ed25519_signer(seed: bytes, comment: str = "") -> Ed25519Signer:
    """Return the signer whose key is made of this one byte."""
    key = SigningKey(seed * 32)
    line = SshKey(ED25519, string(ED25519.encode()) + string(bytes(key.verify_key))).line
    return Ed25519Signer(SshIdentity(f"{line} {comment}".strip()), key)


@contextmanager
def some_person() -> Iterator[Person]:
    """Make a person; end their agents and remove their home after."""
    # Short: gpg's agent listens on a socket in it, whose path has a hundred bytes at most.
    home = Path(tempfile.mkdtemp(prefix="key-", dir="/tmp"))
    person = Person(home)
    try:
        (home / "gnupg").mkdir(mode=0o700)
        yield person
    finally:
        if shutil.which("gpgconf"):
            with contextlib.suppress(AssertionError):
                person.run("gpgconf", "--kill", "all")
        shutil.rmtree(home, ignore_errors=True)


def needs(program: str) -> pytest.MarkDecorator:
    """Skip the test, and say so, where the program is missing."""
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")
