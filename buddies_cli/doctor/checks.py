"""Judges what the doctor has found out: facts in, findings out. Pure.

Each check gives at least one finding, so that a list without trouble shows what was looked at. Each
warning and each failure says what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from buddies_cli.doctor.findings import Check, Finding, Level
from buddies_cli.doctor.machine_checks import (
    check_clients,
    check_clock,
    check_data,
    check_network,
    check_service,
    check_settings,
    check_versions,
)
from buddies_cli.doctor.node_checks import (
    check_daemon,
    check_host,
    check_index,
    check_model,
    check_peers,
    check_relay,
    check_signer,
    check_store,
)

if TYPE_CHECKING:
    from buddies_cli.doctor.facts import Facts

CHECKS: Final[dict[str, Check]] = {
    "versions": check_versions,
    "settings": check_settings,
    "data": check_data,
    "daemon": check_daemon,
    "host": check_host,
    "store": check_store,
    "index": check_index,
    "model": check_model,
    "signer": check_signer,
    "clock": check_clock,
    "clients": check_clients,
    "service": check_service,
    "network": check_network,
    "relay": check_relay,
    "peers": check_peers,
}


def examine(facts: Facts) -> list[Finding]:
    """Return what is to be said about these facts, in the order in which one thing needs another.

    A part that could not be looked at is a finding too.
    """
    found = [
        Finding(name, level, text, remedy)
        for name, check in CHECKS.items()
        for level, text, remedy in check(facts)
    ]
    return found + [
        Finding("doctor", Level.WARN, problem, "please report it, with: buddies-cli doctor --json")
        for problem in facts.problems
    ]
