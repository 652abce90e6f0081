"""The present and former members of one room. One event loop owns this."""

import logging
from collections.abc import Callable
from itertools import islice

from buddies_core.model.address import PeerAddress
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.provenance import Source
from buddies_core.model.room import AwayMember, Member
from buddies_core.rooms.last_seen import LastSeen
from buddies_core.rooms.ports import Host
from buddies_core.rooms.presence import Presences
from buddies_core.rooms.standing import CHOSEN
from buddies_core.rooms.touch import in_touch
from buddies_core.store.keys import presence_mark
from buddies_core.store.records import PresenceRecord, RoomRecord
from buddies_core.trust.admitted import Admitted

FORGET_MEMBER_AFTER_MS = 30 * 24 * 3600 * 1000
TICKET_MEMBERS_MAX = 4
"""Members on a ticket besides ourselves: enough that one is on, few enough for a line of text."""
TICKET_MEMBERS_ASKED = 64
"""Members whose addresses are looked up for a ticket, the most trusted first."""
AWAY_SHOWN_MAX = 16

log = logging.getLogger(__name__)


class Members:
    """The presences of the members, in memory and on disk."""

    def __init__(self, room: RoomRecord, host: Host) -> None:
        self._room = room
        self._host = host
        self._on_ticket = frozenset(peer.endpoint for peer in room.bootstrap)
        self.presences = Presences()
        self.last_seen = LastSeen(
            host.store.presences(room.room_id),
            is_chosen=lambda it: it in self._on_ticket or host.bindings.is_named(it),
            is_vouched=lambda it: host.bindings.signer_of(it) is not None,
        )

    async def heard(self, admitted: Admitted, age_s: float) -> None:
        """Process a member's presence, from a broadcast or from a copy of that age.

        Raises:
            StoreError: the disk refused.
        """
        trailer, body = admitted.trailer, admitted.message.body
        assert trailer is not None, "admission lets no presence pass without a trailer"
        assert isinstance(body, Presence)
        host, sender = self._host, trailer.sender
        # Gossip takes the fastest path. A peer that we are connected to was not made up by a
        # neighbor, whichever neighbor was the first to deliver its message.
        told_by = sender if self._is_connected(sender) else admitted.told_by
        if trailer.address is not None:
            host.network.learn(PeerAddress(sender, trailer.address), Source.SIGNED, told_by)
        age_s = max(age_s, self._age_s(sender, trailer.sent_at_ms))
        if not self.presences.is_news(sender, trailer.sent_at_ms, age_s):
            return
        was_present = self.presences.has(sender)
        wall_ms = host.clock.wall_ms()
        heard_at_ms = wall_ms - int(age_s * 1000)
        forgotten = self.last_seen.note(sender, trailer.address, heard_at_ms, body.name, told_by)
        standing = self.last_seen.standing(sender)
        # A member of a private room must know its secret.
        rank = CHOSEN if self._room.private else standing
        host.network.rank(sender, rank)
        is_here = self.presences.heard(
            sender,
            body,
            sent_at_ms=trailer.sent_at_ms,
            proof=admitted.raw,
            address=trailer.address,
            now_s=host.clock.now_s(),
            wall_ms=wall_ms,
            age_s=age_s,
            standing=standing,
            told_by=told_by,
        )
        if is_here and not was_present:
            log.info("member_present room=%s peer=%s", self._room.name, short(sender))
        await host.admission.speakers.note(sender, rank)
        if sender not in forgotten:
            await self._keep(admitted.raw, sender, trailer.sent_at_ms)
        if body.binding is not None:
            await host.bindings.take(sender, body.binding, told_by)
        for gone in forgotten:
            if self.last_seen.get(gone) is None:  # It may have been heard again meanwhile.
                await host.store.delete_presence(self._room.room_id, gone)

    async def left(self, sender: EndpointId, sent_at_ms: int) -> None:
        """Process a leave; from now on older presences of that member are ignored."""
        if self.presences.left(sender, sent_at_ms):
            log.info("member_left room=%s peer=%s", self._room.name, short(sender))
        mark = self._mark(sender)
        if self._host.store.watermark(mark):  # A stranger's leave is not worth storing.
            await self._host.store.raise_watermark(mark, sent_at_ms)
        else:
            self._host.counters["leaves_of_strangers"] += 1

    def _is_connected(self, peer: EndpointId) -> bool:
        contact = self._host.network.contact(peer)
        return contact is not None and contact.lost_s is None

    def in_touch(self, member: Member) -> Member:
        """Return the member with the path to it and, if it is silent, since when."""
        heard_s = self.presences.heard_s(member.endpoint)
        if heard_s is None:  # This node, and 0.1.4 peers, which may say nothing for minutes.
            return member
        contact, clock = self._host.network.contact(member.endpoint), self._host.clock
        return in_touch(
            member, contact, heard_s=heard_s, now_s=clock.now_s(), wall_ms=clock.wall_ms()
        )

    def away(self, is_member: Callable[[EndpointId], bool] | None) -> tuple[AwayMember, ...]:
        """Return the absent members that may come back, most recently heard first.

        In a private room, `is_member` decides whether one may come back.
        """
        host = self._host
        oldest_ms = host.clock.wall_ms() - FORGET_MEMBER_AFTER_MS
        gone = (
            AwayMember(peer, seen.name, seen.last_at_ms)
            for seen in self.last_seen.latest()
            if seen.last_at_ms >= oldest_ms
            and not self.presences.has(peer := seen.address.endpoint)
            and peer != host.endpoint
            and (is_member is None or is_member(peer))
            and host.gate.hears(self._room.room_id, peer)
        )
        return tuple(islice(gone, AWAY_SHOWN_MAX))

    def reachable(self) -> tuple[PeerAddress, ...]:
        """Return the addresses of members that may let in newcomers while this node is off."""
        most = self.presences.most_trusted(TICKET_MEMBERS_ASKED)
        known = (PeerAddress(peer, self._host.network.vouched(peer)) for peer in most)
        usable = (it for it in known if it.info.direct or it.info.relay_url)
        return tuple(islice(usable, TICKET_MEMBERS_MAX))

    def _age_s(self, sender: EndpointId, sent_at_ms: int) -> float:
        """Return the minimum age of a presence, as far as this node has heard it before.

        After a restart only the disk knows this: a member's last presence, when replayed, counts
        for as long as it would have counted without the restart.
        """
        newest_ms = self._host.store.watermark(self._mark(sender))
        if sent_at_ms > newest_ms or not newest_ms:  # 0: nothing was heard yet
            return 0.0
        seen = self.last_seen.get(sender)
        if sent_at_ms < newest_ms or seen is None:
            return float("inf")
        return (self._host.clock.wall_ms() - seen.last_at_ms) / 1000

    async def _keep(self, proof: bytes, sender: EndpointId, sent_at_ms: int) -> None:
        seen = self.last_seen.get(sender)
        assert seen is not None, "it was noted just now"
        record = PresenceRecord(
            room_id=self._room.room_id,
            endpoint=sender,
            proof=proof,
            received_at_ms=seen.last_at_ms,
            first_heard_at_ms=seen.first_at_ms,
            met=seen.met,
        )
        await self._host.store.raise_watermark(self._mark(sender), sent_at_ms)
        await self._host.store.put_presence(record)

    def _mark(self, sender: EndpointId) -> bytes:
        return presence_mark(self._room.room_id, sender)
