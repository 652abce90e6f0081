"""Checks of this machine and of what is installed on it. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from buddies_cli.doctor.findings import RESTART, Said, fail, ok, size, span, warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buddies_cli.doctor.facts import Facts

FREE_BYTES_MIN = 50_000_000
"""With less space RocksDB may not finish its next compaction (guess)."""
FREE_BYTES_LOW = 1_000_000_000
NODE_KEY_BYTES = 32
WALL_MS_MIN = 1_767_225_600_000
"""The first of January 2026. No clock that is right shows less."""
AHEAD_MS_MAX = 60_000
"""Other machines may be a minute off without harm."""


def check_versions(facts: Facts) -> Iterator[Said]:
    """Judge the programs that are installed."""
    its = facts.programs
    what = f"buddies {its.version}, protocol {its.protocol}"
    if its.missing:
        yield fail(
            f"{what}, lacks the packages {', '.join(its.missing)}",
            "install buddies again: ./install.sh, or pip install --force-reinstall buddies",
        )
    else:
        yield ok(f"{what}, Python {its.python}, {its.system}")
    if not its.shim:
        yield fail(
            "there is no program buddies, which clients start",
            "install buddies again, then: buddies-cli setup",
        )
    elif its.version not in its.shim_says.split():
        said = f"answers {its.shim_says!r} to --version" if its.shim_says else "does not answer"
        yield warn(
            f"{its.shim}, which clients start, {said}; this program is {its.version}",
            "remove the other installation, or put this one first on the PATH; then: "
            "buddies-cli setup",
        )


def check_settings(facts: Facts) -> Iterator[Said]:
    """Judge the settings."""
    its = facts.settings
    if its.problem:
        yield fail(its.problem, "correct the file; buddies-cli config path prints its path")
        return
    yield ok(f"{its.file or 'no file'}: network {its.network}, signer {its.signer}")
    for variable, name, value in its.only_here:
        yield warn(
            f"{variable} is set in this shell alone, and not every client hands it on to the "
            "daemon that it starts",
            f"to keep it: buddies-cli config set {name} {shlex.quote(value)}",
        )


def check_data(facts: Facts) -> Iterator[Said]:
    """Judge the data directory and its disk."""
    its = facts.data
    if its.problem:
        yield fail(
            f"{its.directory}: {its.problem}",
            "make it writable, or set BUDDIES_DATA_DIR to a directory that you may write to",
        )
        return
    if not its.exists:
        yield ok(f"{its.directory} does not exist yet; the first start makes it")
    else:
        yield ok(
            f"{its.directory}: store {size(its.store_bytes)}, index {size(its.index_bytes)}, "
            f"logs {size(its.log_bytes)}"
        )
    if its.free_bytes < FREE_BYTES_MIN:
        yield fail(
            f"the disk is full: {size(its.free_bytes)} are free",
            "free some space; the daemon then goes on by itself within seconds",
        )
    elif its.free_bytes < FREE_BYTES_LOW:
        yield warn(f"the disk is nearly full: {size(its.free_bytes)} are free", "make space")
    if its.key_bytes not in (None, NODE_KEY_BYTES):
        yield fail(
            f"the node key has {its.key_bytes} bytes, not {NODE_KEY_BYTES}",
            "restore the file node_key from a backup; or move it away to become another peer, "
            "which private rooms have to invite anew",
        )
    if its.exposed:
        yield warn(
            f"other users can read {', '.join(its.exposed)}",
            f"chmod 600 {' '.join(its.exposed)}",
        )


def check_clock(facts: Facts) -> Iterator[Said]:
    """Judge this machine's clock."""
    its = facts.clock
    remedy = "set the clock, and let the system keep it correct (timedatectl set-ntp true)"
    ahead_ms = facts.data.newest_ms - its.wall_ms
    if its.wall_ms < WALL_MS_MIN:
        yield fail("the clock is wrong: it shows a time from before this program", remedy)
    elif ahead_ms > AHEAD_MS_MAX:
        yield warn(
            f"the clock was set back: buddies' newest file is from {span(ahead_ms)} later",
            remedy,
        )
    elif its.synchronized is False:
        yield warn("nothing synchronizes the clock", remedy)
    else:
        yield ok("synchronized by the system" if its.synchronized else "plausible")


def check_clients(facts: Facts) -> Iterator[Said]:
    """Judge how MCP clients are set up."""
    ready = [it.title for it in facts.clients if it.state == "set up"]
    if ready:
        yield ok(f"set up: {', '.join(ready)}")
    for it in facts.clients:
        match it.state:
            case "differs":
                yield warn(f"{it.title}: {it.problem} ({it.file})", "buddies-cli setup")
            case "unreadable":
                yield fail(f"{it.title}: {it.problem}", "correct the file, then: buddies-cli setup")
            case "not set up":
                yield warn(f"{it.title} does not know buddies", "buddies-cli setup")
            case _:
                pass
    if not facts.clients:
        yield warn("no MCP client was found", "install one, then: buddies-cli setup")


def check_service(facts: Facts) -> Iterator[Said]:
    """Judge the service that starts the daemon."""
    its = facts.service
    if not its.installed:
        yield ok("not installed; agents start the daemon")
    elif not its.is_current:
        yield warn("its file is not correct", "buddies-cli service install")
    elif not its.enabled:
        yield warn("it does not start at login", "buddies-cli service install")
    elif its.active:
        yield ok("it starts at login, and runs")
    elif facts.daemon.pid is not None:
        yield ok("it starts at login; the running daemon was started by a program")
    else:
        yield warn("it starts at login, but does not run", "buddies-cli service install")


def check_network(facts: Facts) -> Iterator[Said]:
    """Judge the ways to other machines."""
    its, info = facts.network, facts.daemon.info
    mode = info.network if info else facts.settings.network
    status = facts.daemon.status
    port = f", UDP port {its.udp_port}" if its.udp_port else ""
    if mode == "loopback":
        yield warn(
            "loopback: no other machine can be reached",
            f"for teammates elsewhere: buddies-cli config unset network, then: {RESTART}",
        )
        return
    if not its.routes:
        yield warn(f"{mode}: this machine has no network connection", "connect it to a network")
        return
    if status is not None and not status.addresses:
        yield warn(
            f"{mode}{port}: the daemon knows no address of its own",
            f"wait some seconds; if that does not help: {RESTART}",
        )
    elif status is not None and mode == "public" and not status.relay:
        yield warn(
            f"{mode}{port}: no relay can be reached, so machines in other networks can't connect",
            "wait some seconds; if that does not help, check that this network lets HTTPS out",
        )
    else:
        yield ok(f"{mode}{port}, {' and '.join(its.routes)}")
    for firewall in its.firewalls:
        if mode == "lan":
            yield warn(
                f"{firewall} is on; here other machines reach us by UDP{port or ' only'}",
                _opening(firewall, its.udp_port),
            )
        else:
            yield ok(f"{firewall} is on; peers use a relay, over outgoing HTTPS")


def _opening(firewall: str, port: int | None) -> str:
    shown = port or "PORT"
    match firewall:
        case "ufw":
            return f"sudo ufw allow {shown}/udp"
        case "firewalld":
            return f"sudo firewall-cmd --permanent --add-port={shown}/udp, then --reload"
        case _:
            return "allow incoming connections for Python in the system settings"
