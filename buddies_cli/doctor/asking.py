"""Asks what runs: the daemon, its rooms, and a relay. It may be stuck, older, newer or gone."""

from __future__ import annotations

import asyncio
import http.client
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from buddies_cli.doctor.facts import DaemonFacts, ProbeFacts
from buddies_core import launcher
from buddies_core.client import DaemonClient
from buddies_core.clock import SystemClock
from buddies_core.errors import BuddiesError, DaemonUnavailable
from buddies_core.paths import Paths, daemon_socket, data_lock_holder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from buddies_core.model.room import RoomStatus
    from buddies_core.model.views import DaemonStatus

HANDSHAKE_TIMEOUT_S = 3.0
ROOMS_MAX = 20
PROBE_TIMEOUT_S = 5.0
WORDS_BYTES_MAX = 4096


async def ask_daemon(paths: Paths, environ: Mapping[str, str], *, can_check: bool) -> DaemonFacts:
    """Return how the daemon is; where none runs and `can_check`, whether one could start."""
    pid = data_lock_holder(paths)
    try:
        socket = str(daemon_socket(paths))
    except BuddiesError as error:
        return DaemonFacts(socket="", socket_problem=str(error), pid=pid)
    if pid is None:
        words = last_words(paths.start_log)
        problem = await _start_problem(paths, environ) if can_check else ""
        return DaemonFacts(socket=socket, start_problem=problem, last_words=words)
    try:
        async with DaemonClient.connect_any_version(paths, HANDSHAKE_TIMEOUT_S) as client:
            facts = DaemonFacts(
                socket=socket, pid=pid, info=client.info, agents=client.agents_attached
            )
            try:
                status = await client.status()
            except BuddiesError as error:
                return DaemonFacts(
                    socket=socket,
                    pid=pid,
                    info=facts.info,
                    agents=facts.agents,
                    trouble=str(error),
                )
            return DaemonFacts(
                socket=socket, pid=pid, info=facts.info, agents=facts.agents, status=status
            )
    except DaemonUnavailable as error:
        return DaemonFacts(socket=socket, pid=pid, trouble=str(error))


async def ask_rooms(paths: Paths, status: DaemonStatus) -> tuple[RoomStatus, ...]:
    """Return who is in the first rooms."""
    async with DaemonClient.connect_any_version(paths, HANDSHAKE_TIMEOUT_S) as client:
        return tuple([await client.room_status(room) for room in status.rooms[:ROOMS_MAX]])


async def ask_relay(url: str) -> ProbeFacts:
    """Return what the relay at this URL says to a request."""
    return await asyncio.to_thread(_probe, url)


def last_words(log_file: Path) -> str:
    """Return why a program could not start, as it said itself; empty if it said nothing."""
    try:
        with log_file.open("rb") as file:
            said = file.read(WORDS_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""
    return "; ".join(launcher.reasons_in(said.splitlines()))


async def _start_problem(paths: Paths, environ: Mapping[str, str]) -> str:
    try:
        await launcher.check_settings(paths, environ)
    except BuddiesError as error:
        return str(error)
    return ""


def _probe(url: str) -> ProbeFacts:
    if not url:
        return ProbeFacts(url="")
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    clock = SystemClock()
    started_s = clock.now_s()
    connection = kind(parts.hostname or "", parts.port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/ping")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return ProbeFacts(url=url, problem=str(error) or type(error).__name__)
    finally:
        connection.close()
    return ProbeFacts(url=url, answered=f"HTTP {status}, {clock.now_s() - started_s:.2f} s")
