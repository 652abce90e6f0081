"""Gathers the facts. Everything has a deadline, and nothing that is broken keeps the rest away."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import platform
import shutil
import socket
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from buddies_cli import programs
from buddies_cli.doctor.asking import ask_daemon, ask_relay, ask_rooms, last_words
from buddies_cli.doctor.facts import (
    ClientFacts,
    ClockFacts,
    DataFacts,
    Facts,
    HostFacts,
    NetworkFacts,
    ProgramFacts,
    ServiceFacts,
    SettingsFacts,
    SignerFacts,
)
from buddies_core import __version__, launcher
from buddies_core.clock import SystemClock
from buddies_core.errors import InvalidInput, NotFound
from buddies_core.local_protocol import PROTOCOL
from buddies_core.paths import Paths, home_directory, host_lock_holder, host_version
from buddies_core.places import HOST_START_LOG
from buddies_core.settings import BY_DEFAULT, IN_FILE, NAMED, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

PROGRAM_TIMEOUT_S = 5.0
SOCKET_TIMEOUT_S = 2.0
PACKAGES = ("grpc", "iroh", "mcp", "numpy", "onnxruntime", "rocksdict", "tantivy", "tokenizers")
"""Modules with compiled code, which a broken installation lacks first."""
SOMEWHERE = ((socket.AF_INET, "192.0.2.1", "IPv4"), (socket.AF_INET6, "2001:db8::1", "IPv6"))
"""Addresses that are nobody's. Nothing is sent there: the system is asked for a way alone."""

log = logging.getLogger(__name__)

PartT = TypeVar("PartT")


async def look(environ: Mapping[str, str], *, probe: bool) -> Facts:
    """Return all that can be found out about this machine's buddies.

    Raises:
        InvalidInput: the environment leads to no data directory at all.
    """
    paths = Paths.from_environment(environ)
    problems: list[str] = []

    async def part(name: str, work: Coroutine[None, None, PartT], otherwise: PartT) -> PartT:
        try:
            return await work
        except Exception as error:  # whatever is broken, the rest is still to be looked at
            log.debug("part_failed part=%s", name, exc_info=True)
            problems.append(f"{name} could not be looked at: {error!r}")
            return otherwise

    def local(
        name: str, look: Callable[[], PartT], otherwise: PartT
    ) -> Coroutine[None, None, PartT]:
        return part(name, asyncio.to_thread(look), otherwise)

    no_clients: tuple[ClientFacts, ...] = ()
    settings = _settings(environ)
    data = await asyncio.to_thread(look_at_data, paths)
    async with asyncio.TaskGroup() as tasks:
        programs = tasks.create_task(
            local("versions", lambda: _programs(environ), _programs_unseen())
        )
        daemon = tasks.create_task(ask_daemon(paths, environ, can_check=_can_check(data)))
        host = tasks.create_task(part("host", _host(paths, environ), HostFacts()))
        signer = tasks.create_task(local("signer", lambda: _signer(environ), SignerFacts()))
        clock = tasks.create_task(
            local("clock", _clock, ClockFacts(wall_ms=SystemClock().wall_ms()))
        )
        clients = tasks.create_task(local("clients", lambda: look_at_clients(environ), no_clients))
        service = tasks.create_task(local("service", lambda: _service(environ), ServiceFacts()))
        network = tasks.create_task(local("network", lambda: _network(paths), NetworkFacts()))
    status = daemon.result().status
    rooms = await part("peers", ask_rooms(paths, status), ()) if status else ()
    probed = None
    if probe:
        relay = (status and status.relay) or settings.relay
        probed = await part("relay", ask_relay(relay), None)
    return Facts(
        programs=programs.result(),
        settings=settings,
        data=data,
        daemon=daemon.result(),
        host=host.result(),
        signer=signer.result(),
        clock=clock.result(),
        clients=clients.result(),
        service=service.result(),
        network=network.result(),
        probe=probed,
        rooms=rooms,
        problems=tuple(problems),
    )


def look_at_data(paths: Paths) -> DataFacts:
    """Return how the data directory is; what can't be read counts as nothing."""
    directory = paths.data_dir
    there = next((it for it in (directory, *directory.parents) if it.exists()), directory)
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        free = 0
    problem = ""
    if not there.is_dir():
        problem = f"{there} is not a directory"
    elif not os.access(there, os.W_OK | os.X_OK):
        problem = f"{there} can't be written"
    if problem or there != directory:
        shown = str(directory)
        return DataFacts(directory=shown, problem=problem, exists=False, free_bytes=free)
    logs = [*directory.glob("core.log*"), *directory.glob("host.log*")]
    secrets = (paths.node_key, directory / "identity_ed25519", paths.http_token)
    return DataFacts(
        directory=str(directory),
        free_bytes=free,
        store_bytes=_size(paths.store),
        index_bytes=_size(paths.index),
        log_bytes=sum(map(_size, logs)),
        key_bytes=paths.node_key.stat().st_size if paths.node_key.is_file() else None,
        exposed=tuple(str(it) for it in secrets if _is_exposed(it)),
        newest_ms=max(map(_changed_ms, (directory, *directory.glob("*"))), default=0),
    )


def look_at_clients(environ: Mapping[str, str]) -> tuple[ClientFacts, ...]:
    """Return the MCP clients that are installed, and how each is set up."""
    from buddies_cli.setup import looking
    from buddies_core.mcp_clients import CLIENTS

    if home_directory(environ) is None:
        return ()
    found = (looking.look(client, environ) for client in CLIENTS)
    return tuple(
        ClientFacts(
            title=it.client.title, state=it.state.value, file=str(it.file), problem=it.problem
        )
        for it in found
        if it.state is not looking.State.NOT_INSTALLED
    )


def _can_check(data: DataFacts) -> bool:
    """Whether a daemon may try its settings: it would make a directory that is missing."""
    return data.exists and not data.problem


def _programs(environ: Mapping[str, str]) -> ProgramFacts:
    from buddies_cli.setup.entries import shim_command

    try:
        shim = shim_command(environ)
    except NotFound:
        shim = ""
    said = _said([shim, "--version"], environ) if shim else ""
    missing = tuple(it for it in PACKAGES if importlib.util.find_spec(it) is None)
    return ProgramFacts(
        version=__version__,
        protocol=PROTOCOL,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        shim=shim,
        shim_says=said.strip()[:80],
        missing=missing,
    )


def _programs_unseen() -> ProgramFacts:
    return ProgramFacts(
        version=__version__, protocol=PROTOCOL, python="", system="", shim="", shim_says=""
    )


def _settings(environ: Mapping[str, str]) -> SettingsFacts:
    try:
        settings = Settings.load(environ)
        values = [settings.value(name) for name in NAMED if name != "log"]
        for value in values:
            settings.text(value.setting.name)
    except InvalidInput as error:
        return SettingsFacts(file="", problem=str(error))
    return SettingsFacts(
        file=str(settings.path) if settings.path and settings.path.exists() else "",
        network=settings.value("network").text.lower(),
        relay=settings.text("relay"),
        signer=settings.value("signer").text.lower(),
        only_here=tuple(
            (value.source, value.setting.name, value.text)
            for value in values
            if value.source not in (IN_FILE, BY_DEFAULT)
            and settings.in_file.get(value.setting.name) != value.text
        ),
    )


async def _host(paths: Paths, environ: Mapping[str, str]) -> HostFacts:
    is_off = environ.get("BUDDIES_MCP_HOST", "").strip().lower() == "off"
    holder = host_lock_holder(paths)
    if holder is None:
        words = last_words(paths.data_dir / HOST_START_LOG)
        return HostFacts(is_off=is_off, last_words=words)
    answers = await launcher.host_answers(paths)
    return HostFacts(pid=holder.pid, version=host_version(paths), answers=answers, is_off=is_off)


def _signer(environ: Mapping[str, str]) -> SignerFacts:
    place = environ.get("SSH_AUTH_SOCK", "").strip()
    if not place:
        return SignerFacts()
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(SOCKET_TIMEOUT_S)
        try:
            agent.connect(place)
        except OSError:
            return SignerFacts(agent_socket=place)
    return SignerFacts(agent_socket=place, agent_answers=True)


def _service(environ: Mapping[str, str]) -> ServiceFacts:
    from buddies_cli.service.managers import manager_of, wanted

    if home_directory(environ) is None:
        return ServiceFacts()
    manager = manager_of(environ)
    edit = wanted(manager, environ)
    if edit.before is None:
        return ServiceFacts()
    state = manager.state()
    return ServiceFacts(
        installed=True,
        is_current=not edit.changes_something,
        enabled=state.enabled,
        active=state.active,
    )


def _clock() -> ClockFacts:
    said = _said(["timedatectl", "show", "--property=NTPSynchronized", "--value"], os.environ)
    known = {"yes": True, "no": False}.get(said.strip())
    return ClockFacts(wall_ms=SystemClock().wall_ms(), synchronized=known)


def _network(paths: Paths) -> NetworkFacts:
    try:
        port = int(paths.udp_port.read_text())
    except (OSError, ValueError):
        port = None
    return NetworkFacts(
        routes=tuple(name for family, place, name in SOMEWHERE if _has_way(family, place)),
        udp_port=port,
        firewalls=tuple(name for name, is_on in FIREWALLS.items() if is_on()),
    )


def _has_way(family: socket.AddressFamily, place: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((place, 9))
    except OSError:
        return False
    return True


def _ufw() -> bool:
    try:
        said = Path("/etc/ufw/ufw.conf").read_text(errors="replace")
    except OSError:
        return False
    return "ENABLED=yes" in said.split()


def _firewalld() -> bool:
    return _said(["systemctl", "is-active", "firewalld"], os.environ).strip() == "active"


def _macos_firewall() -> bool:
    if sys.platform != "darwin":
        return False
    program = "/usr/libexec/ApplicationFirewall/socketfilterfw"
    return "enabled" in _said([program, "--getglobalstate"], os.environ).lower()


FIREWALLS: Mapping[str, Callable[[], bool]] = {
    "ufw": _ufw,
    "firewalld": _firewalld,
    "the macOS firewall": _macos_firewall,
}
"""Firewalls whose state a user may read. Rules that an administrator sets with nft are not seen."""


def _said(command: list[str], environ: Mapping[str, str]) -> str:
    """Return what a program prints; empty if it is not there or takes too long."""
    return programs.run(command, environ, PROGRAM_TIMEOUT_S, with_errors=False).output


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(map(_size, path.iterdir())) if os.access(path, os.R_OK | os.X_OK) else 0
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _is_exposed(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:
        return False


def _changed_ms(path: Path) -> int:
    try:
        return int(path.stat().st_mtime * 1000)
    except OSError:
        return 0
