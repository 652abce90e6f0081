"""Chooses the members to ask in a room with more members than one search asks. Pure.

Members whose history was found to be the same as ours have little to add, as what they had then is
found here; they come last. The other members take turns, so that a few searches reach all of them.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from buddies_core.asking.members import MEMBERS_ASKED_MAX
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.room import Member

Asked: TypeAlias = tuple[Sequence[RoomName], Member]
"""The rooms that a member shares with this node, and the member."""

ComparedAt: TypeAlias = Callable[[RoomName, EndpointId], int | None]
"""Returns when this node last had all that a member had of a room, in wall ms; None if never."""

SAME_FOR_MS = 600_000
"""Each room compares its history with some member every five minutes."""
TURNS_MAX = 4096
"""The most members for which the time of asking is remembered."""


def never_compared(_room: RoomName, _peer: EndpointId) -> int | None:
    """Return None: no history was compared."""
    return None


class Choosing:
    """Remembers which members were asked. One event loop owns this."""

    def __init__(self, compared_at_ms: ComparedAt = never_compared) -> None:
        self._compared_at_ms = compared_at_ms
        self._searches = 0
        self._asked_in: dict[EndpointId, int] = {}

    def choose(
        self, of: Sequence[Asked], wall_ms: int
    ) -> tuple[list[Asked], list[tuple[Member, str]]]:
        """Return the members to ask, in the order given, and the rest, each with the reason."""
        if len(of) <= MEMBERS_ASKED_MAX:
            return list(of), []
        ages_ms = {it[1].endpoint: self._compared_for_ms(it, wall_ms) for it in of}

        def last(asked: Asked) -> tuple[bool, int]:
            endpoint = asked[1].endpoint
            return ages_ms[endpoint] is not None, self._asked_in.get(endpoint, 0)

        chosen = {it[1].endpoint for it in sorted(of, key=last)[:MEMBERS_ASKED_MAX]}
        self._note(chosen)
        return (
            [it for it in of if it[1].endpoint in chosen],
            [(it, _reason(ages_ms[it.endpoint])) for _, it in of if it.endpoint not in chosen],
        )

    def _compared_for_ms(self, asked: Asked, wall_ms: int) -> int | None:
        """Return how long ago all rooms were compared with a member; None if not lately."""
        rooms, member = asked
        compared = [self._compared_at_ms(room, member.endpoint) for room in rooms]
        age_ms = max(SAME_FOR_MS if it is None else max(0, wall_ms - it) for it in compared)
        return age_ms if age_ms < SAME_FOR_MS else None

    def _note(self, chosen: set[EndpointId]) -> None:
        self._searches += 1
        for endpoint in chosen:
            self._asked_in.pop(endpoint, None)
            self._asked_in[endpoint] = self._searches
        while len(self._asked_in) > TURNS_MAX:
            del self._asked_in[next(iter(self._asked_in))]


def _reason(age_ms: int | None) -> str:
    reason = f"not_asked: a search asks {MEMBERS_ASKED_MAX} members at most"
    if age_ms is None:
        return reason
    return f"{reason}, and this machine compared histories with it {age_ms // 1000} s ago"
