"""Checks that the daemon did as asked, where privacy depends on it.

A daemon silently drops a field that it does not know. PROTOCOL keeps such a daemon from being
asked; this is for the day when somebody forgets to raise it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buddies_core.clock import SystemClock
from buddies_core.model.private import Invite
from buddies_core.wire.tickets import decode_ticket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buddies_core.model.views import DaemonInfo
    from buddies_core.pb import policy_pb2

EXPIRY_OFF_BY_S = 60.0
"""The allowed difference, due to the time between question and answer and to rounding."""


def not_as_asked(daemon: DaemonInfo, what: str) -> str:
    """Return the error text for a daemon that did `what` instead of what was asked."""
    return (
        f"the daemon (buddies {daemon.version}) does not do what it was asked for: it {what}. "
        "Replace it: buddies-cli daemon restart"
    )


def not_as_limited(ticket: str, uses: int | None, expires_s: float | None) -> str:
    """Return how a ticket admits more than was asked for; empty if it does not."""
    if uses is None and expires_s is None:
        return ""
    invite = decode_ticket(ticket)
    if not isinstance(invite, Invite):
        return "a ticket without limits"
    if uses is not None and invite.uses != uses:
        return f"an invite for {invite.uses} uses in place of {uses}"
    if expires_s is not None:
        lasts_s = invite.expires_at_s - SystemClock().wall_ms() / 1000
        if abs(lasts_s - expires_s) > EXPIRY_OFF_BY_S:
            return f"an invite that lasts {lasts_s:,.0f} s in place of {expires_s:,.0f} s"
    return ""


def not_as_narrow(
    view: policy_pb2.PolicyView, identities: Sequence[str], *, require_signed: bool
) -> str:
    """Return how the daemon's policy admits more than was asked for; empty if it does not."""
    if require_signed and not view.require_signed:
        return f"lets in what nobody has signed in room {view.room!r}"
    if identities and not view.identities:
        return f"put nobody on the whitelist of room {view.room!r}, which lets in everybody"
    return ""
