"""Whether a present member is really there, or has fallen silent. Pure.

A member is present for 90 s after it was heard; one that was closed like a laptop stays listed for
as long. A connection to this node tells sooner. From a member without a connection, this node hears
only its presence, every 30 s.
"""

from dataclasses import replace

from buddies_core.model.contact import Contact
from buddies_core.model.room import Member

SILENT_AFTER_S = 8.0
"""QUIC sends something on each connection every 5 s."""
UNHEARD_AFTER_S = 45.0
"""A member sends its presence every 27 to 30 s; the rest is time for gossip repairs."""


def in_touch(
    member: Member, contact: Contact | None, *, heard_s: float, now_s: float, wall_ms: int
) -> Member:
    """Return the member with the path to it and, if it is silent, since when.

    `heard_s` is when the room last heard it, and `now_s` is now, both in monotonic seconds.
    """
    since_s = _silent_since_s(contact, heard_s, now_s)
    if since_s is not None:
        return replace(member, silent_since_ms=max(1, wall_ms - int((now_s - since_s) * 1000)))
    if contact is None or contact.lost_s is not None:
        return member
    return replace(member, path=contact.path, round_trip_ms=contact.round_trip_ms)


def _silent_since_s(contact: Contact | None, heard_s: float, now_s: float) -> float | None:
    if contact is not None and contact.lost_s is None:
        # The room may hear it through other peers even if this connection is dead.
        last_s = max(contact.heard_s, heard_s)
        return last_s if now_s - last_s > SILENT_AFTER_S else None
    if contact is not None and contact.lost_s is not None and heard_s <= contact.lost_s:
        return max(contact.heard_s, heard_s)
    return heard_s if now_s - heard_s > UNHEARD_AFTER_S else None
