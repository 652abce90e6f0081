"""Decides how long a search waits for a member once other members have answered. Pure.

Otherwise a search would last as long as its slowest member, and use all its time whenever one has
just died. A member that was given up is waited for only briefly, until it is heard again.
"""

import math

from buddies_core.model.contact import Contact
from buddies_core.model.ids import EndpointId
from buddies_core.model.room import Member

AFTER_OTHERS_S = 0.25
ROUND_TRIPS = 4
TO_CONNECT_S = 1.0
"""For a member without a connection: to make one over a relay takes some round trips more."""
UNPROVEN_S = 3.0
"""For a member that has answered no search yet: it may have to load its model first, on a machine
that is busy with other things."""
ALONE_S = 1.0
"""For a member when no other has answered: without it there is no answer at all."""
IF_SILENT_S = 0.05
"""For a member that was given up, or whose connection is dead. It is answered for nevertheless if
it is back, as it is asked all the same."""
DEAD_AFTER_S = 8.0
"""QUIC sends something on each connection every 5 s."""
REMEMBERED_MAX = 4096
"""Members that are remembered as silent, and as many with how long they took."""


class Patience:
    """Remembers how members answered. One event loop owns this."""

    def __init__(self) -> None:
        self._given_up_at_ms: dict[EndpointId, int] = {}
        self._took_s: dict[EndpointId, float] = {}

    def wait_s(
        self,
        member: Member,
        contact: Contact | None,
        others_took_s: float,
        now_s: float,
        *,
        has_answers: bool,
    ) -> float:
        """Return how long to wait for a member after the others, which took so long, are done.

        `has_answers` says whether another member is among these. It is infinite for a member that
        has never answered, where nobody else has either: the search's own deadline counts then.
        """
        given_up_at_ms = self._given_up_at_ms.get(member.endpoint)
        if given_up_at_ms is not None and member.heard_at_ms <= given_up_at_ms:
            return IF_SILENT_S
        if contact is None:
            return max(TO_CONNECT_S, others_took_s)
        if contact.lost_s is not None or now_s - contact.heard_s > DEAD_AFTER_S:
            return IF_SILENT_S
        round_trips_s = ROUND_TRIPS * (contact.round_trip_ms or 0) / 1000
        # On a busy machine everything takes longer; and some members are slow, but answer.
        took_s = self._took_s.get(member.endpoint)
        if took_s is None:  # Without any answer there is nothing to be had sooner.
            return max(UNPROVEN_S, others_took_s) if has_answers else math.inf
        least_s = AFTER_OTHERS_S if has_answers else ALONE_S
        return max(least_s, round_trips_s, others_took_s, 2 * took_s)

    def gave_up(self, member: Member, wall_ms: int) -> None:
        """Take note that a member was not waited for any longer."""
        self._given_up_at_ms.pop(member.endpoint, None)
        self._given_up_at_ms[member.endpoint] = wall_ms
        if len(self._given_up_at_ms) > REMEMBERED_MAX:
            del self._given_up_at_ms[next(iter(self._given_up_at_ms))]

    def answered(self, member: Member, took_s: float) -> None:
        """Take note that a member has answered, in time or late, after so long."""
        self._given_up_at_ms.pop(member.endpoint, None)
        self._took_s.pop(member.endpoint, None)
        self._took_s[member.endpoint] = took_s
        if len(self._took_s) > REMEMBERED_MAX:
            del self._took_s[next(iter(self._took_s))]
