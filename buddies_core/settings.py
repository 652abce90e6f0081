"""The settings of this machine's node: from the environment, else from config.toml, else a default.

SETTINGS is the one place where a setting is declared; the daemon, the shim and buddies-cli read it
here. The file makes it irrelevant which client starts the daemon: some hand their servers hardly
any of the environment. This module reads the file and never writes it.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from buddies_core import logs
from buddies_core.errors import InvalidInput, StoreError
from buddies_core.files import read_file
from buddies_core.paths import config_file
from buddies_core.sizes import parse_size, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE_BYTES_MAX = 1_000_000
"""Far more than all settings; what is larger is some other file."""
NAME_BYTES_MAX = 64
QUOTA_MIN: Final = 1 << 20
"""Less would not take the longest memory."""
AGENTS: Final = "agents"
"""The table of the file that gives agents other names: those in BUDDIES_AGENT are its keys."""
IN_FILE: Final = "file"
BY_DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """What can be set, and how its value is checked."""

    name: str
    """In config.toml."""
    variables: tuple[str, ...]
    """In the environment; the first that is set counts."""
    check: Callable[[str], str]
    """Returns the value to use; raises ValueError with what it must be."""
    default: str
    meaning: str
    comes_with: str = ""
    """A setting that this one belongs to: the file's value is ignored where the environment has
    that one."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a setting is, and where that comes from."""

    setting: Setting
    text: str
    source: str
    """A variable's name, IN_FILE or BY_DEFAULT."""


def _name(text: str) -> str:
    if len(text.encode()) > NAME_BYTES_MAX or not text.isprintable():
        raise ValueError(f"must be a printable name of at most {NAME_BYTES_MAX} bytes")
    return text


def _one_of(*known: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.lower() not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return text.lower()

    return check


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("must be a URL such as https://relay.example")
    return text


def _line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable text")
    return text


def _log_filter(text: str) -> str:
    try:
        logs.parse_filter(text)
    except ValueError as error:
        raise ValueError(f"must be a level, or a filter such as warn,a=debug: {error}") from None
    return text


def _model(text: str) -> str:
    if text != "multilingual" and not _line(text).startswith(("/", "~")):
        raise ValueError("must be multilingual, or the whole path of a model's directory")
    return text


def _quota(text: str) -> str:
    if parse_size(text) < QUOTA_MIN:
        raise ValueError(f"must be {size_text(QUOTA_MIN)} or more")
    return text


SETTINGS: Final = (
    Setting("user", ("BUDDIES_USER",), _name, "your login name", "your display name in rooms"),
    Setting(
        "network",
        ("BUDDIES_NETWORK",),
        _one_of("public", "lan", "loopback"),
        "public",
        "public: n0's relays and lookup; lan: neither of both; loopback: this machine alone",
    ),
    Setting("relay", ("BUDDIES_RELAY_URL",), _url, "", "the URL of a relay of your own"),
    Setting("legacy", ("BUDDIES_LEGACY",), _one_of("on", "off"), "on", "talk with peers of 0.1.4"),
    Setting(
        "model",
        ("BUDDIES_MODEL",),
        _model,
        "all-MiniLM-L6-v2",
        "multilingual, or the directory of an embedding model that sentence-transformers exported",
    ),
    Setting(
        "history",
        ("BUDDIES_HISTORY",),
        _one_of("all", "since-join", "none"),
        "all",
        "what is fetched of what was said in a room before this machine joined it",
    ),
    Setting(
        "signer",
        ("BUDDIES_SIGNER",),
        _one_of("git", "gpg", "ssh", "generated", "ephemeral", "none"),
        "git",
        "the key that vouches for what this machine says",
    ),
    Setting(
        "gpg_key",
        ("BUDDIES_GPG_KEY_ID", "BUDDIES_SIGNING_KEY"),
        _line,
        "",
        "for the signer gpg: the key's fingerprint",
    ),
    Setting(
        "ssh_private_key",
        ("BUDDIES_SSH_PRIVATE_KEY", "BUDDIES_SIGNING_KEY"),
        _line,
        "",
        "for the signer ssh: the path of the private key",
    ),
    Setting(
        "ssh_public_key",
        ("BUDDIES_SSH_PUBLIC_KEY",),
        _line,
        "beside the private key",
        "for the signer ssh: the public key, or its path",
        comes_with="ssh_private_key",
    ),
    Setting(
        "room_quota",
        ("BUDDIES_ROOM_QUOTA",),
        _quota,
        "1GiB",
        "how much of the disk the memories and skills of one room may use",
    ),
    Setting(
        "author_quota",
        ("BUDDIES_AUTHOR_QUOTA",),
        _quota,
        "256MiB",
        "the same for what one machine has written, in all rooms",
    ),
    Setting(
        "log",
        ("BUDDIES_LOG", "RUST_LOG"),
        _log_filter,
        "warn",
        "a level, or a filter such as warn,buddies_core.net=debug",
    ),
)
NAMED: Final = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file says, checked, and the environment, which wins over it."""

    path: Path | None
    """Where the file is, or would be; None where there is no home directory."""
    environ: Mapping[str, str] = field(repr=False)
    in_file: Mapping[str, str]
    agents: Mapping[str, str]

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings of this environment and of the file that belongs to it.

        A file that does not exist is an empty one.

        Raises:
            InvalidInput: the file can't be read, or is wrong; the text names the line.
        """
        path = config_file(environ)
        if path is None:
            return cls(None, environ, {}, {})
        in_file, agents = _checked(_read(path), path)
        return cls(path, environ, in_file, agents)

    def value(self, name: str) -> Value:
        """Return a setting's value as it is written, whether or not it is a good one."""
        setting = NAMED[name]
        for variable in setting.variables:
            if text := self.environ.get(variable, "").strip():
                return Value(setting, text, variable)
        if name in self.in_file and not self._is_overridden(setting.comes_with):
            return Value(setting, self.in_file[name], IN_FILE)
        return Value(setting, setting.default, BY_DEFAULT)

    def text(self, name: str) -> str:
        """Return a setting's value, empty if it is the default.

        Raises:
            InvalidInput: the environment holds what can't be; the text names the variable.
        """
        value = self.value(name)
        if value.source == BY_DEFAULT:
            return ""
        if value.source == IN_FILE:
            return value.text
        try:
            return value.setting.check(value.text)
        except ValueError as error:
            raise InvalidInput(
                f"{value.source} is {value.text!r}; it {error}, or not set"
            ) from None

    def environment(self) -> dict[str, str]:
        """Return the environment, with the variables that it lacks set to what the file says."""
        values = map(self.value, NAMED)
        from_file = {
            value.setting.variables[0]: value.text for value in values if value.source == IN_FILE
        }
        return {**self.environ, **from_file}

    def agent_name(self, name: str) -> str:
        """Return how an agent is shown to others: its own name, unless the file has another."""
        return self.agents.get(name, name)

    def _is_overridden(self, name: str) -> bool:
        return bool(name) and self.value(name).source not in (IN_FILE, BY_DEFAULT)


def environment_for_logs(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with what the file says, or as it is where the file can't be read.

    A program that may not need the settings must not fail before it knows.
    """
    try:
        return Settings.load(environ).environment()
    except InvalidInput:
        return environ


def checked_value(name: str, text: str) -> str:
    """Return the value as it is to be written into the file; `agents.NAME` names an agent.

    Raises:
        InvalidInput: there is no such setting, or it can't have that value.
    """
    table, dot, agent = name.partition(".")
    if dot and table == AGENTS and agent:
        check: Callable[[str], str] = _name
    elif name in NAMED:
        check = NAMED[name].check
    else:
        raise InvalidInput(f"{name!r} is not a setting; {_known(name)}")
    try:
        return check(_not_empty(text))
    except ValueError as error:
        raise InvalidInput(f"{name} can't be {text!r}: it {error}") from None


def parse(text: str, path: Path) -> dict[str, object]:
    """Return what the file's text holds.

    Raises:
        InvalidInput: it is not TOML; the text names the line.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInput(
            f"the settings in {path} can't be read: {error or 'too deeply nested'}. Correct that "
            "line, or move the file away and set what you need with: buddies-cli config set"
        ) from None


def _read(path: Path) -> str:
    remedy = "buddies reads its settings there: make it a readable text file, or move it away"
    try:
        content = read_file(path, FILE_BYTES_MAX) or b""
        return content.decode()
    except StoreError as error:
        raise InvalidInput(f"{error}; {remedy}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path}, line {line}: it is not UTF-8; {remedy}") from None


def _checked(text: str, path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the settings and the agents' names in the file's text."""
    values: dict[str, str] = {}
    agents: dict[str, str] = {}
    for name, given in parse(text, path).items():
        if name == AGENTS and isinstance(given, dict):
            for agent, shown in given.items():
                agents[agent] = _value(shown, _name, agent, text, path)
        elif name in NAMED:
            values[name] = _value(given, NAMED[name].check, name, text, path)
        elif name == AGENTS:
            raise _wrong(name, 'must be a table: [agents], then claude-code = "…"', text, path)
        else:
            raise _wrong(name, f"is not a setting; {_known(name)}", text, path)
    return values, agents


def _value(given: object, check: Callable[[str], str], name: str, text: str, path: Path) -> str:
    if isinstance(given, bool):  # `legacy = false` is how TOML says off
        given = "on" if given else "off"
    if not isinstance(given, str):
        raise _wrong(name, f'must be text in quotes: {name} = "…"', text, path)
    try:
        return check(_not_empty(given))
    except ValueError as error:
        raise _wrong(name, f"is {given!r}; it {error}", text, path) from None


def _not_empty(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


def _wrong(name: str, what: str, text: str, path: Path) -> InvalidInput:
    key = re.compile(rf"\s*[\"']?{re.escape(name)}[\"']?\s*[=.]|\s*\[[\"']?{re.escape(name)}\b")
    lines = (number for number, line in enumerate(text.splitlines(), 1) if key.match(line))
    place = f"{path}, line {number}" if (number := next(lines, 0)) else f"{path}"
    return InvalidInput(
        f"{place}: {name} {what}. Correct it there, or remove it: buddies-cli config unset {name}"
    )


def _known(name: str) -> str:
    if near := difflib.get_close_matches(name, NAMED, 1):
        return f"did you mean {near[0]}?"
    return f"settings are {', '.join(NAMED)} and {AGENTS}.NAME"
