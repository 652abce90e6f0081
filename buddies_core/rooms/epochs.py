"""The epochs of a private room: who is in it, and how all get from one secret to the next.

Any member may rotate. The new secret goes straight to those who are present; who is away is handed
it by the first member met later, and whom the rotation left out by nobody. Two rotations of the
same epoch at a time are one after a moment: that with the smaller topic wins.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import replace

from buddies_core.errors import BuddiesError, Busy, NotAllowed, NotFound, WireError
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.ids import EndpointId, RoomId, TopicId, short
from buddies_core.model.private import (
    EPOCHS_KEPT_MAX,
    ROSTER_MEMBERS_MAX,
    SECRET_BYTES,
    Epoch,
    PrivateState,
    Roster,
)
from buddies_core.pb import peer_pb2
from buddies_core.rooms.channel import PrivateChannel
from buddies_core.rooms.ports import Host
from buddies_core.wire.private import (
    EpochKeys,
    decode_epoch,
    decode_roster,
    encode_roster,
    epoch_keys,
    prove,
    sign_roster,
    verify_roster,
)

JUMP_MAX = 1000
"""Rotations that somebody may have missed. Else a member could use up all numbers at once."""
ASK_TIMEOUT_S = 3.0
TELL_TIMEOUT_S = 5.0
"""To all members together; who has not heard by then asks when it notices."""

log = logging.getLogger(__name__)


class Epochs:
    """What makes one room private. One event loop owns this."""

    def __init__(
        self,
        room_id: RoomId,
        state: PrivateState,
        host: Host,
        *,
        save: Callable[[PrivateState], Awaitable[None]],
        moved: Callable[[TopicId, tuple[EndpointId, ...]], Awaitable[None]],
    ) -> None:
        """Begin with what is known.

        `save` keeps what has changed on disk; `moved` goes on from the former topic to the new one,
        by way of these members.
        """
        self.state = state
        self.channel = PrivateChannel(room_id, state.epochs)
        self.left_out_by: EndpointId | None = None
        """Who says that a rotation has left this node out."""
        self._room_id = room_id
        self._host = host
        self._save = save
        self._moved = moved
        self._changing = asyncio.Lock()
        self._left_out: frozenset[EndpointId] = frozenset()
        """Whom our own last rotation removed."""
        self._removed: set[EndpointId] = set()
        """Whom any rotation has removed while this node was on."""

    @property
    def number(self) -> int:
        """Of the epoch that the room is in."""
        return self.channel.newest.number

    def is_member(self, endpoint: EndpointId) -> bool:
        """Whether this endpoint was let in, and no rotation has left it out since."""
        return endpoint in self.state.members

    async def let_in(self, endpoint: EndpointId) -> None:
        """Keep that this endpoint is a member, as it has redeemed an invite.

        Raises:
            Busy: the room is full.
            StoreError: the disk refused.
        """
        async with self._changing:
            if self.is_member(endpoint):
                return
            if len(self.state.members) >= ROSTER_MEMBERS_MAX:
                raise Busy(f"the room is full: it has {ROSTER_MEMBERS_MAX} members")
            members = tuple(sorted({*self.state.members, endpoint}))
            await self._keep(replace(self.state, members=members))
            self._removed.discard(endpoint)

    async def heard(self, endpoint: EndpointId) -> bool:
        """Return whether to listen to who speaks in the room; somebody new is a member from now on.

        Whom another has let in is known by that. What one that was just removed had said before may
        still be on its way.

        Raises:
            StoreError: the disk refused.
        """
        if self.is_member(endpoint):
            return True
        if endpoint in self._removed:
            return False
        try:
            await self.let_in(endpoint)
        except Busy as error:
            log.warning("member_not_heard peer=%s: %s", short(endpoint), error)
            return False
        return self.is_member(endpoint)

    # Rotating

    async def rotate(
        self, without: Collection[EndpointId], present: Iterable[EndpointId]
    ) -> tuple[EndpointId, ...]:
        """Begin an epoch that these members are left out of; return who has gone on with us.

        Those who have not are handed it when they meet a member.

        Raises:
            StoreError: the disk refused; nothing has changed.
        """
        async with self._changing:
            before, me = self.channel.newest, self._host.endpoint
            epoch = Epoch(before.number + 1, secrets.token_bytes(SECRET_BYTES))
            stay = tuple(member for member in self.state.members if member not in without)
            roster = sign_roster(self._room_id, epoch, stay, me, self._host.composer.sign)
            await self._go_on(epoch, roster, via=())
            self._left_out = frozenset(without)
        others = [peer for peer in present if peer != me and self.is_member(peer)]
        return await self._tell(before, others)

    async def _tell(
        self, before: EpochKeys, peers: Collection[EndpointId]
    ) -> tuple[EndpointId, ...]:
        """Hand the newest epoch to these members, and return who has taken it."""
        told: list[EndpointId] = []
        newest = self.current()
        take = peer_pb2.TakeEpoch(epoch=newest.epoch, secret=newest.secret, roster=newest.roster)

        async def tell(peer: EndpointId) -> None:
            try:
                answer = await self._ask(peer, before, peer_pb2.PeerRequest(take_epoch=take))
                await self._take(answer, peer)
                told.append(peer)
            except BuddiesError as error:
                log.info("epoch_not_taken peer=%s: %s", short(peer), error)

        try:
            async with asyncio.timeout(TELL_TIMEOUT_S), asyncio.TaskGroup() as group:
                for peer in peers:
                    group.create_task(tell(peer))
        except TimeoutError:
            log.info("epoch_told_to=%d of=%d in time", len(told), len(peers))
        return tuple(told)

    async def answer_take(
        self, caller: EndpointId, request: peer_pb2.TakeEpoch
    ) -> peer_pb2.EpochReply:
        """Go on to the epoch that a member has begun, and return the one that counts here now.

        Raises:
            NotAllowed: it leaves this node out, or nobody known here has begun it.
            WireError: it makes no sense.
        """
        await self._take(
            peer_pb2.EpochReply(epoch=request.epoch, secret=request.secret, roster=request.roster),
            caller,
        )
        return self.current()

    # Catching up

    async def catch_up(self, peer: EndpointId) -> bool:
        """Ask a member for the newest epoch, and return whether that was news.

        Raises:
            NotFound: it has never been in an epoch that this node knows.
            NotAllowed: it says that a rotation has left this node out.
            BuddiesError: it did not answer, or nonsense.
        """
        request = peer_pb2.PeerRequest(catch_up=peer_pb2.CatchUp())
        try:
            answer = await self._ask(peer, self.channel.newest, request)
        except NotFound:
            if self.channel.before is None:
                raise
            answer = await self._ask(peer, self.channel.before, request)
        except NotAllowed:
            self.left_out_by = peer
            raise
        return await self._take(answer, peer)

    def answer_catch_up(self, caller: EndpointId) -> peer_pb2.EpochReply:
        """Return the newest epoch for a member that was away.

        Raises:
            NotAllowed: the caller is no member any more.
        """
        if not self.is_member(caller):
            raise NotAllowed(
                "the keys of this room were changed without you; ask a member for an invite"
            )
        return self.current()

    async def take_invited(self, epoch: Epoch, roster: Roster | None, inviter: EndpointId) -> None:
        """Go on to what an invite gave, if it is newer than what is known here.

        Raises:
            StoreError: the disk refused.
        """
        async with self._changing:
            if epoch.number > self.number:
                await self._go_on(epoch, roster, via=(inviter,), also=(inviter,))
            self.left_out_by = None

    # Both

    def current(self) -> peer_pb2.EpochReply:
        """Return the newest epoch, for a member."""
        epoch, roster = self.state.epochs[-1], self.state.roster
        return peer_pb2.EpochReply(
            epoch=epoch.number,
            secret=epoch.secret,
            roster=encode_roster(roster) if roster else b"",
        )

    async def _ask(
        self, peer: EndpointId, keys: EpochKeys, request: peer_pb2.PeerRequest
    ) -> peer_pb2.EpochReply:
        asked = peer_pb2.PeerRequest()
        asked.CopyFrom(request)
        asked.topic = keys.topic
        asked.proof = prove(keys, self._host.endpoint, peer)
        replies = await self._host.network.ask(peer, asked, ASK_TIMEOUT_S)
        return replies[0].epoch

    async def _take(self, reply: peer_pb2.EpochReply, handed_by: EndpointId) -> bool:
        """Go on to an epoch that a member hands over, if it counts for more than ours."""
        epoch = decode_epoch(reply.epoch, reply.secret)
        if epoch == self.state.epochs[-1] or epoch.number < self.number:
            return False
        roster = decode_roster(reply.roster)
        async with self._changing:
            if not self._prevails(epoch, roster, handed_by):
                return False
            overruled = self._left_out if epoch.number == self.number else frozenset()
            await self._go_on(epoch, roster, via=(handed_by,))
        if again := overruled & set(roster.members):
            # Of two rotations at a time only one could win; who was to go is to go all the same.
            log.info("rotating_again room_id=%s", self._room_id.hex()[:10])
            await self.rotate(again, roster.members)
        return True

    def _prevails(self, epoch: Epoch, roster: Roster, handed_by: EndpointId) -> bool:
        """Return whether this epoch is to replace ours.

        Raises:
            WireError: its roster is not what its rotator signed.
            NotAllowed: it leaves this node out, or nobody known here vouches for it.
        """
        if not verify_roster(roster, self._room_id, epoch, verify_endpoint):
            raise WireError("a roster that its rotator has not signed for this epoch")
        if self._host.endpoint not in roster.members:
            raise NotAllowed("this node is not on that roster")
        if not (self.is_member(roster.rotator) or self.is_member(handed_by)):
            raise NotAllowed("no member known here has begun that epoch or hands it on")
        if epoch.number > self.number + JUMP_MAX:
            raise WireError(f"epoch {epoch.number} is too far from {self.number}")
        if epoch.number != self.number:
            return epoch.number > self.number
        # Only a member that our rotation has kept can overrule it.
        theirs = epoch_keys(self._room_id, epoch).topic
        return self.is_member(roster.rotator) and theirs < self.channel.topic

    async def _go_on(
        self,
        epoch: Epoch,
        roster: Roster | None,
        *,
        via: tuple[EndpointId, ...],
        also: tuple[EndpointId, ...] = (),
    ) -> None:
        """Be in this epoch from now on: on disk first, then in its topic. Our invites are void."""
        # First, as whom the rotation removed may have one; better one too few than one too many.
        await self._host.store.invites.delete_of_room(self._room_id)
        former, before = self.channel.topic, self.state.members
        members = {*(roster.members if roster else before), *also, self._host.endpoint}
        await self._keep(
            PrivateState(
                epochs=(*self.state.epochs, epoch)[-EPOCHS_KEPT_MAX:],
                roster=roster,
                members=tuple(sorted(members)),
            )
        )
        self._removed = (self._removed | set(before)) - members
        self.channel.go_on(epoch)
        self._left_out = frozenset()
        self.left_out_by = None
        log.info("epoch room_id=%s number=%d", self._room_id.hex()[:10], epoch.number)
        await self._moved(former, via)

    async def _keep(self, state: PrivateState) -> None:
        await self._save(state)
        self.state = state
