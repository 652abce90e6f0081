"""How the members of a private room get from one secret to the next, together.

Any member may rotate. The new secret goes straight to the members that are present; those that are
away are handed it by the first member that they meet, and those that the rotation left out by
nobody. Which of two epochs counts is for the `keyring` to say.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Collection, Iterable, Sequence

from buddies_core.errors import (
    BuddiesError,
    Busy,
    LeftOut,
    NotAllowed,
    NotFound,
    Rotated,
    StoreError,
)
from buddies_core.model.ids import EndpointId, TopicId, short
from buddies_core.model.private import SECRET_BYTES, Epoch, PrivateState, Roster
from buddies_core.pb import peer_pb2
from buddies_core.rooms.last_seen import LastSeen
from buddies_core.rooms.line import RoomLine
from buddies_core.rooms.ports import Host
from buddies_core.rooms.presence import Presences
from buddies_core.rooms.private.keyring import Follow, GoPast, Keyring, Stay
from buddies_core.wire.private import (
    EpochKeys,
    decode_epoch,
    decode_roster,
    encode_roster,
    epoch_keys,
    sign_roster,
)

ASK_TIMEOUT_S = 3.0
TELL_TIMEOUT_S = 5.0
"""For telling all members together; a member that was not told by then asks when it notices."""

log = logging.getLogger(__name__)


class Epochs:
    """Takes one private room from epoch to epoch. One event loop owns this."""

    def __init__(
        self,
        keyring: Keyring,
        line: RoomLine,
        presences: Presences,
        last_seen: LastSeen,
        host: Host,
    ) -> None:
        self.keyring = keyring
        self._line = line
        self._presences = presences
        self._last_seen = last_seen
        self._host = host
        self._changing = asyncio.Lock()

    def warnings(self) -> tuple[str, ...]:
        """Return what a person should know about this node's place in the room."""
        if self.keyring.left_out_by is None:
            return ()
        return (
            f"member {short(self.keyring.left_out_by)} says that the keys of this room were "
            "changed without this machine: what was stored stays, nothing new arrives; ask a "
            "member for an invite (buddies-cli ticket ROOM)",
        )

    # Members

    async def let_in(self, endpoint: EndpointId, *, during: TopicId) -> None:
        """Keep that this endpoint is a member, as it was let in during the epoch of this topic.

        Raises:
            NotAllowed: the keys were changed since, and it is not among those who stayed.
            Busy: the room is full.
            StoreError: the disk refused.
        """
        async with self._changing:
            if not self.keyring.is_member(endpoint):
                await self._line.keep(self.keyring.with_member(endpoint, during=during))

    async def heard(self, endpoint: EndpointId) -> bool:
        """Return whether to listen to a peer that speaks in the room; it is a member from now on.

        That it speaks shows that another member has let it in.

        Raises:
            StoreError: the disk refused.
        """
        if self.keyring.is_member(endpoint):
            return True
        if self.keyring.is_shut_out(endpoint):
            return False
        try:
            await self.let_in(endpoint, during=self.keyring.newest.topic)
        except (Busy, NotAllowed) as error:
            log.warning("member_not_heard peer=%s: %s", short(endpoint), error)
            return False
        return self.keyring.is_member(endpoint)

    async def ask(
        self, peer: EndpointId, request: peer_pb2.PeerRequest, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        """Return a member's whole answer; raises as `Network.ask` does.

        If the member knows a newer secret, this node goes on to that first.
        """
        if not self.keyring.is_member(peer):
            raise NotAllowed(f"peer {short(peer)} is not a member of this room")
        try:
            return await self._line.ask(peer, request, timeout_s)
        except Rotated:
            if not await self.caught_up(peer):
                raise
            return await self._line.ask(peer, request, timeout_s)

    # Rotating

    async def rotate(
        self, without: Collection[EndpointId], present: Iterable[EndpointId]
    ) -> tuple[EndpointId, ...]:
        """Begin an epoch without these members; return the present ones that have come along.

        The others are handed it when they meet a member.

        Raises:
            InvalidInput: there were as many epochs as there can be.
            StoreError: the disk refused; nothing has changed, but our invites may be void.
        """
        async with self._changing:
            before = self.keyring.newest
            stay = self.keyring.members_without(without)
            await self._begin(before.number + 1, stay, via=())
        return await self._tell(present, (before,))

    async def _begin(
        self, number: int, stay: tuple[EndpointId, ...], via: tuple[EndpointId, ...]
    ) -> None:
        epoch = Epoch(number, secrets.token_bytes(SECRET_BYTES))
        me, sign = self._host.endpoint, self._host.composer.sign
        roster = sign_roster(self.keyring.room_id, epoch, stay, me, sign)
        await self._go_on(self.keyring.following(epoch, roster), via)

    async def _tell(
        self, peers: Iterable[EndpointId], known_by: Sequence[EpochKeys]
    ) -> tuple[EndpointId, ...]:
        """Hand the newest epoch to the members among these peers; return those that have taken it.

        Each of them knows of one of the epochs `known_by`, and is asked by the first that it knows.
        """
        told: list[EndpointId] = []
        newest = self.current()
        take = peer_pb2.TakeEpoch(epoch=newest.epoch, secret=newest.secret, roster=newest.roster)

        async def tell(peer: EndpointId) -> None:
            try:
                request = peer_pb2.PeerRequest(take_epoch=take)
                answer, by = await self._ask(peer, request, known_by)
                if answer.secret == newest.secret:
                    told.append(peer)
                else:
                    await self._take(answer, peer, by)
            except BuddiesError as error:
                log.info("epoch_not_taken peer=%s: %s", short(peer), error)

        me = self._host.endpoint
        try:
            async with asyncio.timeout(TELL_TIMEOUT_S), asyncio.TaskGroup() as group:
                for peer in peers:
                    if peer != me and self.keyring.is_member(peer):
                        group.create_task(tell(peer))
        except TimeoutError:
            log.info("epoch_told_to=%d in time", len(told))
        return tuple(told)

    async def answer_take(
        self, caller: EndpointId, request: peer_pb2.PeerRequest
    ) -> peer_pb2.EpochReply:
        """Go on to the epoch that a member has begun, and return the one that counts here now.

        Raises:
            NotAllowed: it leaves this node out, nobody known here has begun it, or the caller is
                not a member any more.
            WireError: it makes no sense.
        """
        take = request.take_epoch
        offered = peer_pb2.EpochReply(epoch=take.epoch, secret=take.secret, roster=take.roster)
        await self._take(offered, caller, TopicId(request.topic))
        return self.answer_catch_up(caller)

    # Catching up

    async def caught_up(self, peer: EndpointId) -> bool:
        """Return whether a member has handed us a newer secret; it is to blame if it has not.

        Raises:
            StoreError: the disk refused.
        """
        try:
            return await self.catch_up(peer)
        except StoreError:
            raise
        except BuddiesError as error:
            room_id = self.keyring.room_id.hex()[:10]
            log.info("not_caught_up room_id=%s peer=%s: %s", room_id, short(peer), error)
            return False

    async def catch_up(self, peer: EndpointId) -> bool:
        """Ask a member for the newest epoch, and return whether that was news.

        Raises:
            NotFound: it has never been in an epoch that this node knows.
            LeftOut: it says that a rotation has left this node out.
            BuddiesError: it did not answer, or nonsense.
        """
        request = peer_pb2.PeerRequest(catch_up=peer_pb2.CatchUp())
        try:
            answer, by = await self._ask(peer, request, self.keyring.last_two)
        except LeftOut:
            self.keyring.left_out_by = peer
            raise
        return await self._take(answer, peer, by)

    def answer_catch_up(self, caller: EndpointId) -> peer_pb2.EpochReply:
        """Return the newest epoch for a member that was away.

        Raises:
            LeftOut: the caller is not a member any more.
        """
        if not self.keyring.is_member(caller):
            raise LeftOut(
                "the keys of this room were changed without you; ask a member for an invite"
            )
        return self.current()

    async def take_invited(self, epoch: Epoch, roster: Roster | None, inviter: EndpointId) -> None:
        """Go on to what an invite gave, even from a higher epoch: this node had lost its way.

        Raises:
            StoreError: the disk refused.
        """
        async with self._changing:
            if epoch != self.keyring.epoch:
                state = self.keyring.following(epoch, roster, also=(inviter,))
                await self._go_on(state, via=(inviter,))
            self.keyring.left_out_by = None

    # Both

    def current(self) -> peer_pb2.EpochReply:
        """Return the newest epoch, for a member."""
        epoch, roster = self.keyring.epoch, self.keyring.state.roster
        return peer_pb2.EpochReply(
            epoch=epoch.number,
            secret=epoch.secret,
            roster=encode_roster(roster) if roster else b"",
        )

    async def _ask(
        self, peer: EndpointId, request: peer_pb2.PeerRequest, known_by: Sequence[EpochKeys]
    ) -> tuple[peer_pb2.EpochReply, TopicId]:
        """Return a member's answer, and the topic of the first of these epochs that it knows."""
        *firsts, last = known_by
        for keys in firsts:
            with contextlib.suppress(NotFound):
                replies = await self._line.ask(peer, request, ASK_TIMEOUT_S, keys)
                return replies[0].epoch, keys.topic
        replies = await self._line.ask(peer, request, ASK_TIMEOUT_S, last)
        return replies[0].epoch, last.topic

    async def _take(
        self, reply: peer_pb2.EpochReply, handed_by: EndpointId, known_by: TopicId
    ) -> bool:
        """Go on to an epoch that a member hands over, or past it; return whether it was news.

        Raises as `Keyring.decide` does.
        """
        epoch, room_id = decode_epoch(reply.epoch, reply.secret), self.keyring.room_id
        if epoch == self.keyring.epoch or epoch.number < self.keyring.epoch.number:
            return False
        roster = decode_roster(reply.roster)
        async with self._changing:
            mine = self.keyring.newest
            decided = self.keyring.decide(epoch, roster, handed_by=handed_by, known_by=known_by)
            match decided:
                case Stay():
                    return False
                case Follow():
                    await self._go_on(self.keyring.following(epoch, roster), via=(handed_by,))
                    return True
                case GoPast():
                    log.info("going_past room_id=%s number=%d", room_id.hex()[:10], epoch.number)
                    await self._begin(epoch.number + 1, decided.stay, via=(handed_by,))
        await self._tell(decided.stay, (epoch_keys(room_id, epoch), mine))
        return True

    async def _go_on(self, state: PrivateState, via: tuple[EndpointId, ...]) -> None:
        """Be in the newest epoch of this state: on disk first, then in its topic.

        Our invites are void from now on.
        """
        store, room_id = self._host.store, self.keyring.room_id
        # First, as a removed member may have one; better one too few than one too many.
        await store.invites.delete_of_room(room_id)
        former = self.keyring.newest.topic
        await self._line.keep(state)
        log.info("epoch room_id=%s number=%d", room_id.hex()[:10], self.keyring.newest.number)
        gone = [peer for peer in self._last_seen.since(0) if not self.keyring.is_member(peer)]
        for peer in gone:  # At once, before anybody is told in this epoch who is here.
            self._presences.forget(peer)
            self._last_seen.forget(peer)
        await self._line.move(former, via)
        for peer in gone:
            try:
                await store.delete_presence(room_id, peer)
            except StoreError as error:  # It is of no use to anybody: no member is in it.
                log.warning("presence_kept peer=%s: %s", short(peer), error)
