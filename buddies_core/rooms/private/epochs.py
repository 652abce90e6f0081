"""How the members of a private room get from one secret to the next, together.

Any member may rotate. The new secret goes straight to the members that are present; absent members
get it from the first member that they meet, and members that the rotation left out never get it.
Members know each other by their endpoints, which each connection proves; so two of them can meet
again whatever epochs they have been in. `membership` decides the effect of a received epoch.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence

from buddies_core.errors import (
    BuddiesError,
    NotAllowed,
    NotFound,
    Rotated,
    StoreError,
)
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.private import SECRET_BYTES, PrivateState, Roster
from buddies_core.pb import peer_pb2
from buddies_core.rooms.last_seen import LastSeen
from buddies_core.rooms.line import RoomLine
from buddies_core.rooms.ports import Host
from buddies_core.rooms.presence import Presences
from buddies_core.rooms.private.doubts import shown
from buddies_core.rooms.private.keyring import Keyring
from buddies_core.rooms.private.membership import (
    Dismiss,
    Effect,
    Event,
    Handed,
    LetIn,
    Presented,
    RotationAsked,
    Step,
    Tell,
    step,
)
from buddies_core.rooms.private.sponsors import chain_of
from buddies_core.wire.private import (
    decode_epoch,
    decode_past,
    decode_roster,
    decode_sponsorship,
    encode_roster,
    encode_sponsorship,
)

ASK_TIMEOUT_S = 3.0
TELL_TIMEOUT_S = 5.0
"""The time to tell all members; a member that was not told by then asks when it notices."""
CHAIN_MAX = 8
"""The most sponsorships in a presence, of 160 bytes each; longer chains wait for a rotation."""
ASKED_MAX = 4
"""The most members asked to confirm that this node was left out."""

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
        self.changing = asyncio.Lock()
        """Held while the members or the keys change, until that is on disk."""

    def warnings(self) -> tuple[str, ...]:
        """Return what a person should know about this node's place in the room."""
        roster = self.keyring.doubts.shown
        if self.keyring.is_out and roster is not None:
            return (
                f"member {short(roster.rotator)} has changed the keys of this room without this "
                "machine: what was stored stays, nothing new arrives; ask a member for an invite "
                "(buddies-cli ticket ROOM)",
            )
        if self.keyring.doubts.seems_out(self.keyring.state, self._line.neighbors()):
            return (
                "no member of this room answers this machine as one any more; its keys may have "
                "been changed without it: ask a member, and join again by an invite "
                "(buddies-cli ticket ROOM)",
            )
        return ()

    # Members

    def check_can_let_in(self, endpoint: EndpointId) -> None:
        """Check that there is a place for this endpoint; nothing is changed.

        Raises:
            Busy: this node has brought in as many as a member may, or the room is full.
        """
        self._step(LetIn(endpoint))

    async def let_in(self, endpoint: EndpointId) -> None:
        """Record that this node lets in this endpoint. The caller holds `changing`.

        Raises:
            Busy: as `check_can_let_in`.
            StoreError: the disk refused.
        """
        await self._line.keep(self._step(LetIn(endpoint)).state)

    async def heard(self, endpoint: EndpointId, sponsorships: Sequence[bytes]) -> bool:
        """Return whether to listen to a peer that speaks in the room.

        An unknown peer that shows its sponsorship is a member from now on.

        Raises:
            StoreError: the disk refused.
        """
        if self.keyring.is_member(endpoint):
            return True
        async with self.changing:
            try:
                chain = tuple(map(decode_sponsorship, sponsorships[:CHAIN_MAX]))
                state = self._step(Presented(chain)).state
            except BuddiesError as error:
                self._host.counters["members_not_admitted"] += 1
                log.info("member_not_heard peer=%s: %s", short(endpoint), error)
                return False
            if endpoint not in state.members:
                return False
            await self._line.keep(state)
        return True

    def sponsorships_of(self, member: EndpointId) -> tuple[bytes, ...]:
        """Return the proof of membership, for members that do not know this one."""
        chain = chain_of(self.keyring.state, member)
        return tuple(map(encode_sponsorship, chain[-CHAIN_MAX:]))

    async def ask(
        self, peer: EndpointId, request: peer_pb2.PeerRequest, timeout_s: float
    ) -> Sequence[peer_pb2.PeerReply]:
        """Return a member's whole answer; raises as `Network.ask` does.

        If one of the two knows a newer secret, the other goes on to that first.
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

        The absent members get it when they meet a member.

        Raises:
            InvalidInput: there were as many epochs as there can be.
            StoreError: the disk refused; nothing has changed, but our invites may be invalid.
        """
        async with self.changing:
            taken = self._step(RotationAsked(frozenset(without), _fresh()))
            await self._go_on(taken.state, via=())
        return await self._carry_out(taken.effects, frozenset(present))

    async def _carry_out(
        self, effects: Iterable[Effect], present: frozenset[EndpointId] | None = None
    ) -> tuple[EndpointId, ...]:
        """Tell the affected members that are present; return those that have come along."""
        told: list[EndpointId] = []

        async def tell(peer: EndpointId) -> None:
            with contextlib.suppress(BuddiesError):
                if await self._hand_to(peer):
                    told.append(peer)

        async def dismiss(peer: EndpointId) -> None:
            with contextlib.suppress(BuddiesError):
                await self._ask(peer, peer_pb2.PeerRequest(take_epoch=_dismissal(roster)))

        async def all_of(
            peers: Iterable[EndpointId], work: Callable[[EndpointId], Coroutine[None, None, None]]
        ) -> None:
            async with asyncio.TaskGroup() as group:
                for peer in peers:
                    if present is None or peer in present:
                        group.create_task(work(peer))

        roster = self.keyring.state.roster
        try:
            async with asyncio.timeout(TELL_TIMEOUT_S):
                for effect in effects:  # Staying members first: the removed will ask them.
                    match effect:
                        case Tell(members):
                            await all_of(members, tell)
                        case Dismiss(former):
                            await all_of(former, dismiss)
        except TimeoutError:
            log.info("epoch_told_to=%d in time", len(told))
        return tuple(told)

    async def _hand_to(self, peer: EndpointId) -> bool:
        """Hand our epoch to a member, or take its own; return whether it has taken ours.

        It may no longer be a member: another member may have got this epoch and gone past it.
        """
        if not self.keyring.is_member(peer):
            return False
        given = self.current()
        take = peer_pb2.TakeEpoch(
            epoch=given.epoch, secret=given.secret, roster=given.roster, past=given.past
        )
        answer = await self._ask(peer, peer_pb2.PeerRequest(take_epoch=take))
        if answer.secret == given.secret:
            return True
        await self._take(answer, peer)
        return False

    async def answer_take(
        self, caller: EndpointId, take: peer_pb2.TakeEpoch
    ) -> peer_pb2.EpochReply:
        """Go on to the epoch that a member has begun, and return the current epoch here.

        Without a secret, the member shows that it has begun the epoch without this node.

        Raises:
            NotAllowed: it leaves this node out, or nobody known here has begun it.
            WireError: it makes no sense.
        """
        if not take.secret:
            await self._on_shown(caller, decode_roster(take.roster))
            return peer_pb2.EpochReply()
        given = peer_pb2.EpochReply(
            epoch=take.epoch, secret=take.secret, roster=take.roster, past=take.past
        )
        await self._take(given, caller)
        return self.current()

    # Being left out

    async def _on_shown(self, by: EndpointId, roster: Roster) -> None:
        """Ask another member whether this node was left out, as a shown roster claims."""
        keyring = self.keyring
        keyring.doubts = shown(keyring.seat, keyring.state, keyring.doubts, by, roster)
        for peer in keyring.doubts.to_ask(keyring.state, self._host.endpoint)[:ASKED_MAX]:
            await self.caught_up(peer)
            if keyring.is_out or keyring.doubts.shown is None:
                break

    # Catching up

    async def caught_up(self, peer: EndpointId) -> bool:
        """Return whether a member is now in the same epoch as this node, and was not before.

        Raises:
            StoreError: the disk refused.
        """
        try:
            return await self.catch_up(peer)
        except StoreError:
            raise
        except NotFound:
            return await self._is_known_to_others()
        except BuddiesError as error:
            room_id = self.keyring.room_id.hex()[:10]
            log.info("not_caught_up room_id=%s peer=%s: %s", room_id, short(peer), error)
            return False

    async def _is_known_to_others(self) -> bool:
        """Ask the present members in turn, until one knows this node."""
        unasked = set(self._presences.present()) - self.keyring.doubts.strangers
        for peer in sorted(unasked & self.keyring.members)[:ASKED_MAX]:
            with contextlib.suppress(BuddiesError):
                await self.catch_up(peer)
                break
        return False

    async def catch_up(self, peer: EndpointId) -> bool:
        """Ask a member for its epoch, and go on to that, or have it go on to ours.

        Return whether that has changed anything.

        Raises:
            NotFound: it does not know this node as a member, or is not in the room.
            BuddiesError: it did not answer, or its answer made no sense.
        """
        keyring = self.keyring
        if not keyring.is_member(peer):
            raise NotAllowed(f"peer {short(peer)} is not a member of this room")
        try:
            answer = await self._ask(peer, peer_pb2.PeerRequest(catch_up=peer_pb2.CatchUp()))
        except NotFound:
            keyring.doubts = keyring.doubts.answered(peer, knows_us=False)
            raise
        keyring.doubts = keyring.doubts.answered(peer, knows_us=True)
        before = keyring.epoch
        if not await self._take(answer, peer) and answer.secret != keyring.epoch.secret:
            return await self._hand_to(peer) or keyring.epoch != before
        return keyring.epoch != before

    async def take_invited(self, state: PrivateState) -> None:
        """Go on to the state that an invite gave, whatever epoch this node was in before.

        Raises:
            StoreError: the disk refused.
        """
        async with self.changing:
            await self._go_on(state, via=())

    # Both

    def current(self) -> peer_pb2.EpochReply:
        """Return the newest epoch, for a member."""
        state = self.keyring.state
        return peer_pb2.EpochReply(
            epoch=state.epoch.number,
            secret=state.epoch.secret,
            roster=encode_roster(state.roster),
            past=b"".join(state.past),
        )

    def _step(self, event: Event) -> Step:
        now_s = self._host.clock.wall_ms() / 1000
        return step(self.keyring.seat, self.keyring.state, event, now_s)

    async def _ask(self, peer: EndpointId, request: peer_pb2.PeerRequest) -> peer_pb2.EpochReply:
        """Ask a member, known as such by its endpoint: the epochs need have nothing in common."""
        request.topic = self.keyring.room_id
        replies = await self._host.network.ask(peer, request, ASK_TIMEOUT_S)
        return replies[0].epoch

    async def _take(self, reply: peer_pb2.EpochReply, handed_by: EndpointId) -> bool:
        """Go on to an epoch that a member hands over, or past it; return whether it was news.

        Raises as `membership.step` does.
        """
        epoch, past = decode_epoch(reply.epoch, reply.secret), decode_past(reply.past)
        roster = decode_roster(reply.roster)
        async with self.changing:
            before = self.keyring.state
            taken = self._step(Handed(handed_by, epoch, roster, past, _fresh()))
            if taken.state is before:
                return False
            await self._go_on(taken.state, via=(handed_by,))
        await self._carry_out(taken.effects)
        return True

    async def _go_on(self, state: PrivateState, via: tuple[EndpointId, ...]) -> None:
        """Go on to the newest epoch of this state: on disk first, then in its topic.

        Our invites are invalid from now on.
        """
        store, room_id = self._host.store, self.keyring.room_id
        await store.invites.delete_of_room(room_id)
        former = self.keyring.newest.topic
        await self._line.keep(state)
        log.info("epoch room_id=%s number=%d", room_id.hex()[:10], self.keyring.newest.number)
        gone = [peer for peer in self._last_seen.since(0) if not self.keyring.is_member(peer)]
        for peer in gone:  # At once, before our presence is sent in this epoch.
            self._presences.forget(peer)
            self._last_seen.forget(peer)
        await self._line.move(former, via)
        for peer in gone:
            try:
                await store.delete_presence(room_id, peer)
            except StoreError as error:  # The record is useless: no member is in it.
                log.warning("presence_kept peer=%s: %s", short(peer), error)


def _fresh() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def _dismissal(roster: Roster) -> peer_pb2.TakeEpoch:
    return peer_pb2.TakeEpoch(epoch=roster.number, roster=encode_roster(roster))
