"""What the doctor has found out about this machine, as values. Nothing here does any I/O."""

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
    """Where clients find `buddies`; empty if it is missing."""
    shim_says: str
    """What that program answers to --version; empty if it does not answer."""
    missing: tuple[str, ...] = ()
    """Packages that are needed and not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFacts:
    """The settings as this shell sees them."""

    file: str
    """Empty if there is no home directory."""
    problem: str = ""
    """Why the settings can't be used; then the rest has its defaults."""
    network: str = "public"
    relay: str = ""
    signer: str = "git"
    only_here: tuple[tuple[str, str, str], ...] = ()
    """What this shell sets and the file does not, or sets otherwise: variable, setting, value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """The data directory and the disk below it."""

    directory: str
    problem: str = ""
    """Why it can't be used."""
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
    """When something in it was last changed, by the clock of that moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonFacts:
    """The daemon, as far as it answers."""

    socket: str
    socket_problem: str = ""
    pid: int | None = None
    """The process that has the data directory; 0 if it is unknown, None if there is none."""
    info: DaemonInfo | None = None
    """What it says of itself; None if it does not answer."""
    agents: int = 0
    status: DaemonStatus | None = None
    trouble: str = ""
    """Why it does not say how it is, though it runs."""
    start_problem: str = ""
    """Why none could start now, where none runs."""
    last_words: str = ""
    """What the last one said when it could not start."""


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
    """What this shell has for signing."""

    agent_socket: str = ""
    """SSH_AUTH_SOCK."""
    agent_answers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockFacts:
    """What time it is here, and how sure that is."""

    wall_ms: int
    synchronized: bool | None = None
    """Whether the system keeps its clock right; None if it does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFacts:
    """An MCP client that is installed."""

    title: str
    state: str
    """As `buddies-cli setup status` names it."""
    file: str
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """Whether the system starts the daemon."""

    installed: bool = False
    is_current: bool = True
    """Whether the service's file is as this version would write it."""
    enabled: bool = False
    active: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFacts:
    """What can be told of the network without sending anything."""

    routes: tuple[str, ...] = ()
    """`IPv4`, `IPv6`: those with a way out of this machine."""
    udp_port: int | None = None
    """The port that the daemon was bound to last."""
    firewalls: tuple[str, ...] = ()
    """Those that are switched on: ufw, firewalld, the one of macOS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFacts:
    """What came of a request to the relay."""

    url: str
    """Empty if no relay is known."""
    answered: str = ""
    """Its status and how long that took; empty if it did not answer."""
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
