"""The members that were ever heard in a room, and where: whom to dial when they are missing."""

import logging
from collections.abc import Iterable

from buddies_core.errors import WireError
from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import EndpointId, short
from buddies_core.rooms.presence import MEMBERS_MAX, NAME_CHARS_MAX
from buddies_core.store.records import PresenceRecord
from buddies_core.wire.room_messages import open_envelope

log = logging.getLogger(__name__)


class LastSeen:
    """Where and when each member was heard last. A full one forgets whom it has not heard of."""

    def __init__(self, records: Iterable[PresenceRecord]) -> None:
        """Begin with what is on disk; damaged records are left out."""
        self._seen: dict[EndpointId, tuple[PeerAddress, int]] = {}
        self._names: dict[EndpointId, str] = {}
        for record in sorted(records, key=lambda record: record.received_at_ms):
            try:
                envelope = open_envelope(record.proof)
            except WireError as error:
                log.warning("record_damaged peer=%s reason=%s", short(record.endpoint), error)
                continue
            body, trailer = envelope.message.body, envelope.trailer
            name = body.name if isinstance(body, Presence) else ""
            info = trailer.address if trailer else None
            self.note(record.endpoint, info, record.received_at_ms, name)

    def note(
        self, member: EndpointId, info: AddressInfo | None, at_ms: int, name: str
    ) -> EndpointId | None:
        """Take in that a member was heard, and where it is; return whom this makes it forget."""
        self._seen.pop(member, None)
        self._seen[member] = PeerAddress(member, info or AddressInfo()), at_ms
        self._names[member] = name[:NAME_CHARS_MAX]
        if len(self._seen) <= MEMBERS_MAX:
            return None
        longest_silent = next(iter(self._seen))
        self.forget(longest_silent)
        return longest_silent

    def forget(self, member: EndpointId) -> None:
        """Know nothing of a member any more."""
        self._seen.pop(member, None)
        self._names.pop(member, None)

    def name_of(self, member: EndpointId) -> str | None:
        """Return the display name that a member had when it was heard last."""
        return self._names.get(member)

    def since(self, oldest_ms: int) -> dict[EndpointId, PeerAddress]:
        """Return where those are that were heard since then."""
        return {peer: there for peer, (there, at_ms) in self._seen.items() if at_ms >= oldest_ms}
