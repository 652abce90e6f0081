"""All members ever heard in a room, with their addresses, to dial those that are missing."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from buddies_core.errors import WireError
from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.provenance import Provenance
from buddies_core.rooms.presence import MEMBERS_MAX, MEMBERS_PER_NEIGHBOR_MAX, NAME_CHARS_MAX
from buddies_core.rooms.standing import standing
from buddies_core.store.records import PresenceRecord
from buddies_core.wire.room_messages import open_envelope

KNOWN_AFTER_MS = 60_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known about a member, present or not."""

    address: PeerAddress
    name: str
    first_at_ms: int
    last_at_ms: int
    met: bool
    """Whether the member has contacted this node directly, or this node has reached it."""

    @property
    def known_ms(self) -> int:
        """How long the member has been known."""
        return self.last_at_ms - self.first_at_ms


def _nobody(_: EndpointId) -> bool:
    return False


class LastSeen:
    """Where and when each member was heard last. One event loop owns this.

    When full, it forgets the member of the lowest standing, and among equals the one that was
    silent for longest. The number that one neighbor can bring in is limited.
    """

    def __init__(
        self,
        records: Iterable[PresenceRecord],
        is_chosen: Callable[[EndpointId], bool] = _nobody,
        is_vouched: Callable[[EndpointId], bool] = _nobody,
    ) -> None:
        """Begin with what is on disk; damaged records are left out."""
        self._is_chosen = is_chosen
        self._is_vouched = is_vouched
        self._seen: dict[EndpointId, Seen] = {}
        self._places: Provenance[EndpointId] = Provenance(MEMBERS_MAX, MEMBERS_PER_NEIGHBOR_MAX)
        for record in sorted(records, key=lambda record: record.received_at_ms):
            try:
                envelope = open_envelope(record.proof)
            except WireError as error:
                log.warning("record_damaged peer=%s reason=%s", short(record.endpoint), error)
                continue
            body, trailer = envelope.message.body, envelope.trailer
            seen = _seen(
                record.endpoint,
                trailer.address if trailer else None,
                body.name if isinstance(body, Presence) else "",
                record.received_at_ms,
            )
            # An older buddies did not store when it was first heard: start again.
            first_at_ms = record.first_heard_at_ms or record.received_at_ms
            self._keep(replace(seen, first_at_ms=first_at_ms, met=record.met), None)

    def note(
        self,
        member: EndpointId,
        info: AddressInfo | None,
        at_ms: int,
        name: str,
        told_by: EndpointId | None = None,
    ) -> tuple[EndpointId, ...]:
        """Record that a member was heard, and its address; return the members forgotten for it.

        `told_by` is the peer that brought the news. The member itself is forgotten if all
        other members have a higher standing.
        """
        seen = _seen(member, info, name, at_ms)
        known = self._seen.get(member)
        first_at_ms = known.first_at_ms if known else at_ms
        met = told_by == member or (known is not None and known.met)
        return self._keep(replace(seen, first_at_ms=first_at_ms, met=met), told_by)

    def reached(self, member: EndpointId) -> None:
        """Record that this node has reached a member itself."""
        known = self._seen.get(member)
        if known is not None:
            self._keep(replace(known, met=True), None)

    def forget(self, member: EndpointId) -> None:
        """Forget a member."""
        self._seen.pop(member, None)
        self._places.forget(member)

    def get(self, member: EndpointId) -> Seen | None:
        """Return what is known about a member."""
        return self._seen.get(member)

    def standing(self, member: EndpointId) -> int:
        """Return the standing of a member; that of a stranger is the lowest."""
        known_ms = self._seen[member].known_ms if member in self._seen else 0
        met = member in self._seen and self._seen[member].met
        return standing(
            known_ms,
            chosen=self._is_chosen(member),
            met=met,
            vouched=self._is_vouched(member),
        )

    def is_known(self, member: EndpointId) -> bool:
        """Return whether a member is known, and not a stranger.

        The user has named it, it has met this node, or it has been known for a minute.
        """
        seen = self._seen.get(member)
        if seen is not None and (seen.met or seen.known_ms >= KNOWN_AFTER_MS):
            return True
        return self._is_chosen(member)

    def name_of(self, member: EndpointId) -> str | None:
        """Return the display name that a member had when it was heard last."""
        known = self._seen.get(member)
        return known.name if known else None

    def since(self, oldest_ms: int) -> dict[EndpointId, PeerAddress]:
        """Return the addresses of the members heard since then."""
        return {
            peer: seen.address for peer, seen in self._seen.items() if seen.last_at_ms >= oldest_ms
        }

    def latest(self) -> Iterator[Seen]:
        """Yield the members that are not strangers, most recently heard first."""
        seen = sorted(self._seen.values(), key=lambda it: -it.last_at_ms)
        return (it for it in seen if self.is_known(it.address.endpoint))

    def _keep(self, seen: Seen, told_by: EndpointId | None) -> tuple[EndpointId, ...]:
        member = seen.address.endpoint
        self._seen[member] = seen
        gone = self._places.admit(member, self.standing(member), told_by)
        for forgotten in gone:
            del self._seen[forgotten]
        return gone


def _seen(member: EndpointId, info: AddressInfo | None, name: str, at_ms: int) -> Seen:
    return Seen(
        address=PeerAddress(member, info or AddressInfo()),
        name=name[:NAME_CHARS_MAX],
        first_at_ms=at_ms,
        last_at_ms=at_ms,
        met=False,
    )
