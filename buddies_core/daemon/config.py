"""What the environment says, read once and checked."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from buddies_core.errors import InvalidInput
from buddies_core.net.endpoint import NetworkMode
from buddies_core.paths import Paths

USER_BYTES_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How this daemon runs."""

    paths: Paths
    user: str
    network: NetworkMode
    relay_url: str | None
    legacy: bool
    """Whether this node talks with peers of buddies 0.1.4."""
    environ: Mapping[str, str] = field(repr=False)
    """For the signer, and the programs that it runs."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Return what the variables say.

        Raises:
            InvalidInput: one of them holds what it can't; the text names it.
        """
        return cls(
            paths=Paths.from_environment(environ),
            user=_user(environ),
            network=_network(environ.get("BUDDIES_NETWORK", "")),
            relay_url=_relay_url(environ.get("BUDDIES_RELAY_URL", "")),
            legacy=_legacy(environ.get("BUDDIES_LEGACY", "")),
            environ=dict(environ),
        )


def _user(environ: Mapping[str, str]) -> str:
    user = environ.get("BUDDIES_USER", "").strip() or _login_name()
    if len(user.encode()) > USER_BYTES_MAX or not user.isprintable():
        raise InvalidInput(
            f"BUDDIES_USER must be a printable name of at most {USER_BYTES_MAX} bytes; set another"
        )
    return user


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the first until Python 3.12
        raise InvalidInput(
            "this system has no name for the user that buddies runs as; set BUDDIES_USER"
        ) from None


def _network(text: str) -> NetworkMode:
    if not text:
        return NetworkMode.PUBLIC
    try:
        return NetworkMode(text)
    except ValueError:
        known = ", ".join(NetworkMode)
        raise InvalidInput(
            f"BUDDIES_NETWORK is {text!r}; it must be one of {known}, or not set"
        ) from None


def _legacy(text: str) -> bool:
    if text not in ("", "on", "off"):
        raise InvalidInput(f"BUDDIES_LEGACY is {text!r}; it must be on or off, or not set")
    return text != "off"


def _relay_url(text: str) -> str | None:
    if not text:
        return None
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_url = False
    if not is_url:
        raise InvalidInput(
            f"BUDDIES_RELAY_URL is {text!r}; it must be a URL such as https://relay.example"
        )
    return text
