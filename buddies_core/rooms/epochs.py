"""The epochs of a private room: who is in it, and how all get from one secret to the next.

Any member may rotate. The new secret goes straight to those who are present; who is away is handed
it by the first member met later, and whom the rotation left out by nobody.

Rotations that don't know of each other make two branches. The higher epoch prevails, of equal ones
that with the smaller topic. Whom this node's own branch has removed it never follows into another,
though: it goes past that by a rotation of its own, and takes the others along.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace

from buddies_core.errors import (
    BuddiesError,
    Busy,
    InvalidInput,
    LeftOut,
    NotAllowed,
    NotFound,
    WireError,
)
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.ids import EndpointId, RoomId, TopicId, short
from buddies_core.model.private import (
    EPOCH_NUMBER_MAX,
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
        self._speaking: set[EndpointId] = set()
        """Who was removed and has spoken in the newest epoch: somebody let it in again."""

    @property
    def number(self) -> int:
        """Of the epoch that the room is in."""
        return self.channel.newest.number

    def warnings(self) -> tuple[str, ...]:
        """Return what a person should know about this node's place in the room."""
        if self.left_out_by is None:
            return ()
        return (
            f"member {short(self.left_out_by)} says that the keys of this room were changed "
            "without this machine: what was stored stays, nothing new arrives; ask a member for an "
            "invite (buddies-cli ticket ROOM)",
        )

    def is_member(self, endpoint: EndpointId) -> bool:
        """Whether this endpoint was let in, and no rotation has left it out since."""
        return endpoint in self.state.members

    async def let_in(self, endpoint: EndpointId, *, during: TopicId) -> None:
        """Keep that this endpoint is a member, as it was let in during the epoch of this topic.

        Raises:
            NotAllowed: the keys were changed since, and it is not among those who stayed.
            Busy: the room is full.
            StoreError: the disk refused.
        """
        async with self._changing:
            if self.is_member(endpoint):
                return
            if during != self.channel.topic:
                raise NotAllowed("the room's keys were changed meanwhile; ask for a new invite")
            if len(self.state.members) >= ROSTER_MEMBERS_MAX:
                raise Busy(f"the room is full: it has {ROSTER_MEMBERS_MAX} members")
            members = tuple(sorted({*self.state.members, endpoint}))
            removed = tuple(it for it in self.state.removed if it != endpoint)
            await self._keep(replace(self.state, members=members, removed=removed))

    def spoke(self, endpoint: EndpointId, during: TopicId) -> None:
        """Take note that this endpoint has broadcast something in the epoch of this topic."""
        if during == self.channel.topic and endpoint in self.state.removed:
            self._speaking.add(endpoint)

    async def heard(self, endpoint: EndpointId) -> bool:
        """Return whether to listen to who speaks in the room; somebody new is a member from now on.

        Whom another has let in is known by that. Of one that a rotation has removed only what it
        broadcasts in the newest epoch counts: a copy of what it had said before may still come.

        Raises:
            StoreError: the disk refused.
        """
        if self.is_member(endpoint):
            return True
        if endpoint in self.state.removed and endpoint not in self._speaking:
            return False
        try:
            await self.let_in(endpoint, during=self.channel.topic)
        except (Busy, NotAllowed) as error:
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
            InvalidInput: there were as many epochs as there can be.
            StoreError: the disk refused; nothing has changed, but our invites may be void.
        """
        async with self._changing:
            before = self.channel.newest
            if before.number >= EPOCH_NUMBER_MAX:
                raise InvalidInput(
                    "the keys of this room were changed as often as they can be; make a new room"
                )
            stay = [member for member in self.state.members if member not in without]
            await self._begin(before.number + 1, stay, via=())
        return await self._tell(present, (before,))

    async def _begin(
        self, number: int, stay: Iterable[EndpointId], via: tuple[EndpointId, ...]
    ) -> None:
        epoch = Epoch(number, secrets.token_bytes(SECRET_BYTES))
        me, sign = self._host.endpoint, self._host.composer.sign
        await self._go_on(epoch, sign_roster(self._room_id, epoch, tuple(stay), me, sign), via=via)

    async def _tell(
        self, peers: Iterable[EndpointId], known_by: Sequence[EpochKeys]
    ) -> tuple[EndpointId, ...]:
        """Hand the newest epoch to the members among these peers, and return who has taken it.

        They know of one of the epochs `known_by`, each of the first that it does.
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
                    if peer != me and self.is_member(peer):
                        group.create_task(tell(peer))
        except TimeoutError:
            log.info("epoch_told_to=%d in time", len(told))
        return tuple(told)

    async def answer_take(
        self, caller: EndpointId, request: peer_pb2.PeerRequest
    ) -> peer_pb2.EpochReply:
        """Go on to the epoch that a member has begun, and return the one that counts here now.

        Raises:
            NotAllowed: it leaves this node out, nobody known here has begun it, or the caller is no
                member any more.
            WireError: it makes no sense.
        """
        take = request.take_epoch
        offered = peer_pb2.EpochReply(epoch=take.epoch, secret=take.secret, roster=take.roster)
        await self._take(offered, caller, TopicId(request.topic))
        return self.answer_catch_up(caller)

    # Catching up

    async def catch_up(self, peer: EndpointId) -> bool:
        """Ask a member for the newest epoch, and return whether that was news.

        Raises:
            NotFound: it has never been in an epoch that this node knows.
            LeftOut: it says that a rotation has left this node out.
            BuddiesError: it did not answer, or nonsense.
        """
        request = peer_pb2.PeerRequest(catch_up=peer_pb2.CatchUp())
        try:
            answer, by = await self._ask(peer, request, self.channel.last_two)
        except LeftOut:
            self.left_out_by = peer
            raise
        return await self._take(answer, peer, by)

    def answer_catch_up(self, caller: EndpointId) -> peer_pb2.EpochReply:
        """Return the newest epoch for a member that was away.

        Raises:
            LeftOut: the caller is no member any more.
        """
        if not self.is_member(caller):
            raise LeftOut(
                "the keys of this room were changed without you; ask a member for an invite"
            )
        return self.current()

    async def take_invited(self, epoch: Epoch, roster: Roster | None, inviter: EndpointId) -> None:
        """Go on to what an invite gave, also from a higher epoch: this node had lost its way.

        Raises:
            StoreError: the disk refused.
        """
        async with self._changing:
            if epoch != self.state.epochs[-1]:
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
        self, peer: EndpointId, request: peer_pb2.PeerRequest, known_by: Sequence[EpochKeys]
    ) -> tuple[peer_pb2.EpochReply, TopicId]:
        """Return a member's answer, and the topic of the first of these epochs that it knows."""
        *firsts, last = known_by
        for keys in firsts:
            with contextlib.suppress(NotFound):
                return await self._ask_by(peer, request, keys), keys.topic
        return await self._ask_by(peer, request, last), last.topic

    async def _ask_by(
        self, peer: EndpointId, request: peer_pb2.PeerRequest, keys: EpochKeys
    ) -> peer_pb2.EpochReply:
        asked = peer_pb2.PeerRequest()
        asked.CopyFrom(request)
        asked.topic = keys.topic
        asked.proof = prove(keys, self._host.endpoint, peer)
        replies = await self._host.network.ask(peer, asked, ASK_TIMEOUT_S)
        return replies[0].epoch

    async def _take(self, reply: peer_pb2.EpochReply, handed_by: EndpointId, by: TopicId) -> bool:
        """Go on to an epoch that a member hands over, if it counts for more than ours.

        `by` is the topic of an epoch that both have been in. If it is our newest, who hands it over
        knows whom that has left out; else the epoch is of another branch.
        """
        epoch = decode_epoch(reply.epoch, reply.secret)
        if epoch == self.state.epochs[-1] or epoch.number < self.number:
            return False
        roster = decode_roster(reply.roster)
        async with self._changing:
            if not self._prevails(epoch, roster, handed_by):
                return False
            mine = self.channel.newest
            stay = roster.members if self.is_member(roster.rotator) else self.state.members
            if by == mine.topic or not set(self.state.removed) & set(roster.members):
                await self._go_on(epoch, roster, via=(handed_by,))
                return True
            log.info("going_past room_id=%s number=%d", self._room_id.hex()[:10], epoch.number)
            kept = [member for member in stay if member not in self.state.removed]
            await self._begin(epoch.number + 1, kept, via=(handed_by,))
        await self._tell(kept, (epoch_keys(self._room_id, epoch), mine))
        return True

    def _prevails(self, epoch: Epoch, roster: Roster, handed_by: EndpointId) -> bool:
        """Return whether this epoch is to replace ours.

        Raises:
            WireError: its roster is not what its rotator signed, or its number is out of reach.
            NotAllowed: it leaves this node out, or nobody known here vouches for it.
        """
        if not verify_roster(roster, self._room_id, epoch, verify_endpoint):
            raise WireError("a roster that its rotator has not signed for this epoch")
        if self._host.endpoint not in roster.members:
            raise NotAllowed("this node is not on that roster")
        if not (self.is_member(roster.rotator) or self.is_member(handed_by)):
            raise NotAllowed("no member known here has begun that epoch or hands it on")
        if epoch.number > min(self.number + JUMP_MAX, EPOCH_NUMBER_MAX - 1):
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
        # The newest first, so that it is the oldest that are forgotten.
        removed = dict.fromkeys((*before, *self.state.removed))
        await self._keep(
            PrivateState(
                epochs=(*self.state.epochs, epoch)[-EPOCHS_KEPT_MAX:],
                roster=roster,
                members=tuple(sorted(members)),
                removed=tuple(it for it in removed if it not in members)[:ROSTER_MEMBERS_MAX],
            )
        )
        self.channel.go_on(epoch)
        self._speaking.clear()
        self.left_out_by = None
        log.info("epoch room_id=%s number=%d", self._room_id.hex()[:10], epoch.number)
        await self._moved(former, via)

    async def _keep(self, state: PrivateState) -> None:
        await self._save(state)
        self.state = state
