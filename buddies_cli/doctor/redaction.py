"""Takes secrets out of texts that a person may hand to others. Pure.

What is known to be secret here goes by its value, in every form in which a program may print it.
The rest goes by its look: invites and tickets, keys, tokens, long numbers.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

GONE = "[secret]"

_PATTERNS = (
    # A private key in PEM or OpenPGP armour, whole or cut off by the end of the text.
    (re.compile(r"-----BEGIN [^-]*-----.*?(-----END [^-]*-----|\Z)", re.DOTALL), "[key]"),
    # `token = "…"`, `Authorization: Bearer …`, `password=…`
    (
        re.compile(
            r"(?i)\b([\w-]*(?:token|secret|password|passphrase|authorization|api[_-]?key)[\w-]*"
            r"[\"']?\s*[:=]\s*)(?:bearer\s+|basic\s+)?(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,;}]+)"
        ),
        rf"\1{GONE}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {GONE}"),
    # https://user:password@host
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{GONE}@"),
    # What brings others into rooms is base32 of JSON; both begin alike.
    (re.compile(r"\b[A-Za-z2-7]{60,}=*"), "[ticket]"),
    # Ids and fingerprints stay recognizable, a key of as many digits does not.
    (re.compile(r"\b([0-9a-fA-F]{10})[0-9a-fA-F]{22,}\b"), r"\1…"),
    (re.compile(r"(?<![\w/+-])[\w/+-]{40,}={0,2}(?![\w/+-])"), "[long]"),
)


@dataclass(frozen=True, slots=True)
class Redaction:
    """Secrets that are removed from every text."""

    secrets: Sequence[bytes]
    """The secrets as they are on disk; empty ones are ignored."""
    homes: Sequence[str]
    """All paths of the home directory."""

    def of(self, text: str) -> str:
        """Return the text without secrets, and with ~ in place of the home directory."""
        for secret in self.secrets:
            for form in _forms(secret):
                text = re.sub(rf"{re.escape(form)}=*", GONE, text, flags=re.IGNORECASE)
        for home in sorted(filter(None, self.homes), key=len, reverse=True):
            text = re.sub(rf"{re.escape(home.rstrip('/'))}(?=/|\b)", "~", text)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text


def _forms(secret: bytes) -> list[str]:
    """Return a secret as a program may print it."""
    if not secret.strip():
        return []
    texts = [
        secret.hex(),
        base64.b64encode(secret).decode(),
        base64.urlsafe_b64encode(secret).decode(),
        base64.b32encode(secret).decode(),
        repr(secret)[2:-1],
    ]
    with suppress(UnicodeDecodeError):
        texts.append(secret.decode().strip())
    return [text.rstrip("=") for text in texts]
