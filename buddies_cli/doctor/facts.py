"""The facts that the doctor has gathered about this machine, as values. Nothing here does I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buddies_core.model.room import RoomStatus
    from buddies_core.model.views import DaemonInfo, DaemonStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFacts:
    """The programs that are installed."""

    version: str
    """Of this program."""
    protocol: int
    python: str
    system: str
    shim: str
    """The path at which clients find `buddies`; empty if it is missing."""
    shim_says: str
    """The program's answer to --version; empty if it does not answer."""
    missing: tuple[str, ...] = ()
    """Required packages that are not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFacts:
    """The settings as this shell sees them."""

    file: str
    """Empty if there is no home directory."""
    problem: str = ""
    """The reason why the settings can't be used; then the other fields have their defaults."""
    network: str = "public"
    relay: str = ""
    signer: str = "git"
    only_here: tuple[tuple[str, str, str], ...] = ()
    """Settings of this shell that differ from the file: variable, setting, value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """The data directory and the disk below it."""

    directory: str
    problem: str = ""
    """The reason why the directory can't be used."""
    exists: bool = True
    free_bytes: int = 0
    store_bytes: int = 0
    index_bytes: int = 0
    log_bytes: int = 0
    key_bytes: int | None = None
    """The size of the node key; None if there is none."""
    exposed: tuple[str, ...] = ()
    """Files with secrets that other users can read."""
    newest_ms: int = 0
    """The time of the latest change in the directory, by the clock of that moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """The daemon, as far as it answers."""

    socket: str
    socket_problem: str = ""
    pid: int | None = None
    """The process that has the data directory; 0 if it is unknown, None if there is none."""
    info: DaemonInfo | None = None
    """The daemon's own report; None if it does not answer."""
    agents: int = 0
    status: DaemonStatus | None = None
    trouble: str = ""
    """The reason why a running daemon does not report its state."""
    start_problem: str = ""
    """The reason why no daemon could start now, if none is running."""
    last_words: str = ""
    """The last daemon's message if it could not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The process that serves all agents of this machine."""

    pid: int | None = None
    version: str = ""
    answers: bool = True
    is_off: bool = False
    """Whether BUDDIES_MCP_HOST=off is set in this shell."""
    last_words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerFacts:
    """The means of signing in this shell."""

    agent_socket: str = ""
    """SSH_AUTH_SOCK."""
    agent_answers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """The time on this machine, and whether the system keeps it correct."""

    wall_ms: int
    synchronized: bool | None = None
    """Whether the system synchronizes its clock; None if unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFacts:
    """An MCP client that is installed."""

    title: str
    state: str
    """The state in the words of `buddies-cli setup status`."""
    file: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """Whether the system starts the daemon."""

    installed: bool = False
    is_current: bool = True
    """Whether the service's file is the one that this version would write."""
    enabled: bool = False
    active: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """Facts about the network that can be found without sending anything."""

    routes: tuple[str, ...] = ()
    """The protocols, `IPv4` and `IPv6`, that lead out of this machine."""
    udp_port: int | None = None
    """The port that the daemon was bound to last."""
    firewalls: tuple[str, ...] = ()
    """The firewalls that are switched on: ufw, firewalld, the firewall of macOS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFacts:
    """The result of a request to the relay."""

    url: str
    """Empty if no relay is known."""
    answered: str = ""
    """The relay's status and the time it took; empty if the relay did not answer."""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known of this machine."""

    programs: ProgramFacts
    settings: SettingsFacts
    data: DataFacts
    daemon: DaemonFacts
    host: HostFacts
    signer: SignerFacts
    clock: ClockFacts
    clients: tuple[ClientFacts, ...]
    service: ServiceFacts
    network: NetworkFacts
    probe: ProbeFacts | None = None
    """None if nobody has asked for it."""
    rooms: tuple[RoomStatus, ...] = field(default=())
    problems: tuple[str, ...] = ()
    """Parts that could not be looked at, and why."""
