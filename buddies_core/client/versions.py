"""Whether a daemon and this program fit together, and what to say where they don't."""

from __future__ import annotations

import re
from enum import Enum, auto

from buddies_core import __version__
from buddies_core.local_protocol import PROTOCOL
from buddies_core.model.views import DaemonInfo


class Age(Enum):
    """How old the daemon's program is, next to ours."""

    OLDER = auto()
    SAME = auto()
    NEWER = auto()


def age_of(info: DaemonInfo) -> Age:
    """Return how old the daemon's program is: by its protocol first, then by its version."""
    theirs, ours = (info.protocol, _numbers(info.version)), (PROTOCOL, _numbers(__version__))
    if theirs == ours:
        return Age.SAME
    return Age.OLDER if theirs < ours else Age.NEWER


def mismatch(info: DaemonInfo) -> str:
    """Return why a daemon of another protocol can't be asked, and what to do; empty if it can."""
    if info.protocol == PROTOCOL:
        return ""
    who = (
        f"the daemon that runs is buddies {info.version} (protocol {info.protocol}), this program "
        f"is {__version__} (protocol {PROTOCOL})"
    )
    if info.protocol > PROTOCOL:
        return (
            f"{who}: this program is older. If an agent's client started it, restart that client; "
            "otherwise update buddies"
        )
    attached = "an agent is" if info.agents == 1 else f"{info.agents} agents are"
    waits = f", and {attached} attached to it" if info.agents else ""
    return (
        f"{who}: the daemon is older{waits}. Replace it: buddies-cli daemon restart. Then restart "
        "agents that still run the older buddies"
    )


def outdated(info: DaemonInfo) -> str:
    """Return a warning if the daemon's version, or this program's, is not the newest one here."""
    match age_of(info):
        case Age.SAME:
            return ""
        case Age.OLDER:
            return (
                f"the daemon is still buddies {info.version}, and this program is {__version__}: "
                "it is replaced when no other agent is attached, or now by: "
                "buddies-cli daemon restart"
            )
        case Age.NEWER:
            return (
                f"this program is buddies {__version__}, and the daemon is {info.version}: restart "
                "the agent's client that started it to use the newer one"
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
