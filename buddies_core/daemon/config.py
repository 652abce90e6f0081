"""How the daemon runs: its settings, read once and checked."""

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from buddies_core.errors import InvalidInput
from buddies_core.finding import multilingual
from buddies_core.finding.exports import Export
from buddies_core.finding.multilingual import Multilingual
from buddies_core.model.room import KeptHistory
from buddies_core.net.binding import NetworkMode
from buddies_core.paths import Paths
from buddies_core.settings import Settings
from buddies_core.sizes import parse_size
from buddies_core.store.quotas import DEFAULT_QUOTAS, Quotas


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """How this daemon runs."""

    paths: Paths
    user: str
    network: NetworkMode
    relay_url: str | None
    legacy: bool
    """Whether this node talks with peers of buddies 0.1.4."""
    model: Export | Multilingual | None
    """The model that turns texts into vectors; None for the one that comes with buddies."""
    quotas: Quotas = DEFAULT_QUOTAS
    """How much of the disk a room and an author may use."""
    history: KeptHistory = KeptHistory.ALL
    """How much of a room's history from before joining is fetched."""
    environ: Mapping[str, str] = field(repr=False)
    """The environment of signer, log and child programs, with the settings file's additions."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Return the configuration from the variables, else from config.toml.

        Raises:
            InvalidInput: one of them has a value that is not valid; the text names it, or the line.
        """
        settings = Settings.load(environ)
        return cls(
            paths=Paths.from_environment(environ),
            user=settings.text("user") or _login_name(),
            network=NetworkMode(settings.text("network") or NetworkMode.PUBLIC),
            relay_url=settings.text("relay") or None,
            legacy=settings.text("legacy") != "off",
            model=_model(settings),
            history=KeptHistory(settings.text("history") or KeptHistory.ALL),
            quotas=Quotas(
                room=_size(settings, "room_quota", DEFAULT_QUOTAS.room),
                author=_size(settings, "author_quota", DEFAULT_QUOTAS.author),
            ),
            environ=settings.environment(),
        )


def _size(settings: Settings, name: str, default: int) -> int:
    text = settings.text(name)
    return parse_size(text) if text else default


def _model(settings: Settings) -> Export | Multilingual | None:
    text = settings.text("model")
    if not text:
        return None
    try:
        if text == multilingual.NAME:
            return Multilingual.find()
        return Export.read(Path(text).expanduser())
    except (InvalidInput, RuntimeError) as error:  # the latter for a ~ without a home
        raise InvalidInput(
            f"the model that {settings.value('model').source} names can't be used: {error}"
        ) from None


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the first until Python 3.12
        raise InvalidInput(
            "this system has no name for the user that buddies runs as; set one: "
            "buddies-cli config set user NAME, or set BUDDIES_USER"
        ) from None
