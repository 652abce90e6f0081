"""Invites to private rooms: making them, redeeming them, and letting in peers that do."""

import asyncio
import contextlib
import itertools
import secrets
from typing import Protocol

from buddies_core.errors import (
    BuddiesError,
    Busy,
    InvalidInput,
    NotAllowed,
    Unreachable,
    WireError,
)
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.address import PeerAddress
from buddies_core.model.bodies import Presence
from buddies_core.model.ids import EndpointId, RoomId, RoomName, short
from buddies_core.model.private import (
    INVITE_USES_MAX,
    TOKEN_BYTES,
    Invite,
    PrivateState,
    token_hash,
)
from buddies_core.pb import peer_pb2
from buddies_core.rooms.ports import Host
from buddies_core.rooms.presence import fit_presence
from buddies_core.rooms.private.epochs import Epochs
from buddies_core.rooms.private.keyring import Keyring
from buddies_core.rooms.private.membership import Seat, invited
from buddies_core.store.invites import INVITES_MAX, InviteRecord
from buddies_core.trust import gate
from buddies_core.wire.private import decode_epoch, decode_roster, decode_sponsorship
from buddies_core.wire.room_messages import NO_EPOCH

USES = 1
EXPIRES_S = 24 * 3600
EXPIRES_S_MAX = 30 * 24 * 3600

_REFUSED = (
    "this invite lets nobody in: it is unknown here, used up or expired, or the room's keys were "
    "changed since; ask for a new one: buddies-cli ticket ROOM"
)


class RoomPort(gate.RoomPort, Protocol):
    """A room that this node is in; see `rooms.room.Room`."""

    name: RoomName
    epochs: Epochs | None


class Invites:
    """The invites that this node gives out. One event loop owns this."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def make(self, room: RoomPort, uses: int, expires_s: float) -> Invite:
        """Make an invite of this node to a private room, and return it; it is on disk by then.

        Raises:
            NotAllowed: this node was left out of the room.
            InvalidInput: it would have no uses, too many uses, or last too long.
            Busy: 256 invites to this room are valid.
            StoreError: the disk refused.
        """
        if not 1 <= uses <= INVITE_USES_MAX:
            raise InvalidInput(f"uses is {uses}; give 1 to {INVITE_USES_MAX}")
        if not 1 <= expires_s <= EXPIRES_S_MAX:
            raise InvalidInput(f"an invite lasts 1 s to 30 days, not {expires_s:,.0f} s")
        keyring = _keyring(room)
        if keyring.is_out:
            raise NotAllowed(
                f"this machine was left out of room {room.name!r} and can bring nobody in; "
                "ask a member for an invite, for this machine too"
            )
        host = self._host
        token = secrets.token_bytes(TOKEN_BYTES)
        now_ms = host.clock.wall_ms()
        kept = InviteRecord(
            room_id=room.room_id,
            token_hash=token_hash(token),
            expires_at_ms=now_ms + round(expires_s * 1000),
            uses_left=uses,
            during=keyring.newest.id,
        )
        if not await host.store.invites.put(kept, now_ms):
            raise Busy(
                f"{INVITES_MAX} invites to room {room.name!r} are out, which is all there may "
                f"be; they end by themselves, or all at once by: buddies-cli room rotate "
                f"{room.name}"
            )
        return Invite(
            room=room.name,
            founding=keyring.state.founding,
            endpoints=(host.network.address(),),
            token=token,
            expires_at_s=kept.expires_at_ms // 1000,
            uses=uses,
        )

    async def void(self, room_id: RoomId) -> None:
        """Make all our invites to a room invalid.

        Raises:
            StoreError: the disk refused.
        """
        await self._host.store.invites.delete_of_room(room_id)

    async def answer(
        self, room: RoomPort | None, caller: EndpointId, request: peer_pb2.Redeem
    ) -> peer_pb2.EpochReply:
        """Return the room's secret to a caller with a good token; the use is on disk before that.

        A caller with a bad token gets the same answer whatever the reason, and whether or not this
        node is in the room that it names. A use is spent only on a caller that is let in.

        Raises:
            NotAllowed: the token is not good, or the room's policy does not admit the caller.
            Busy: the room is full, or this node has brought in as many as it may.
            StoreError: the disk refused; the secret was not handed over.
        """
        hashed = token_hash(request.token)
        if room is None or room.epochs is None or not self._is_good(room, hashed, caller):
            raise self._refusal()
        with contextlib.suppress(WireError):  # It brings the caller's binding.
            await room.admit(request.presence, caller)
        await self._host.gate.check_caller(room, caller, peer_pb2.PeerRequest())
        epochs = room.epochs
        async with epochs.changing:
            if not self._is_good(room, hashed, caller):
                raise self._refusal()
            epochs.check_can_let_in(caller)
            now_ms, room_id = self._host.clock.wall_ms(), room.room_id
            if not await self._host.store.invites.redeem(room_id, hashed, caller, now_ms):
                raise self._refusal()
            await epochs.let_in(caller)
            reply = epochs.current()
            chains = (epochs.sponsorships_of(it) for it in (self._host.endpoint, caller))
            reply.sponsorships.extend(dict.fromkeys(itertools.chain(*chains)))
            return reply

    def _is_good(self, room: RoomPort, hashed: bytes, caller: EndpointId) -> bool:
        """Return whether this token is from an invite that lets in this caller now."""
        keyring, now_ms = _keyring(room), self._host.clock.wall_ms()
        return not keyring.is_out and any(
            invite.token_hash == hashed
            and invite.during == keyring.newest.id
            and invite.redeemed(caller, now_ms) is not None
            for invite in self._host.store.invites.of_room(room.room_id)
        )

    def _refusal(self) -> NotAllowed:
        self._host.counters["invites_refused"] += 1
        return NotAllowed(_REFUSED)


def _keyring(room: RoomPort) -> Keyring:
    assert room.epochs is not None, "an open room has no invites"
    return room.epochs.keyring


def seat_of(host: Host, room_id: RoomId) -> Seat:
    """Return this node's seat in a room that it is about to enter."""
    return Seat(room_id=room_id, me=host.endpoint, sign=host.composer.sign, verify=verify_endpoint)


async def redeem(invite: Invite, host: Host, until_s: float) -> PrivateState:
    """Return the state of the room from the first endpoint on the invite that answers.

    Asking again spends no further use. `until_s` is the event loop's time.

    Raises:
        NotAllowed: the inviter refuses; the text says why.
        Unreachable: no inviter answered in time.
    """
    presence = await host.composer.compose(
        invite.room_id,
        fit_presence(Presence(host.user, (), host.bindings.own)),
        user=host.user,
        address=host.network.address().info,
        epoch=NO_EPOCH,
    )
    request = peer_pb2.PeerRequest(
        topic=invite.room_id, redeem=peer_pb2.Redeem(token=invite.token, presence=presence)
    )
    failures: list[str] = []
    for inviter in invite.endpoints:
        try:
            return await _redeem_at(inviter, invite, request, host, until_s)
        except NotAllowed:
            raise
        except BuddiesError as error:
            failures.append(str(error))
    tried = "; ".join(failures).rstrip("?.") or "it names nobody"
    raise Unreachable(
        f"could not redeem the invite to room {invite.room!r}: {tried}. Only who made an invite "
        "can let you in: check that their machine is on, or ask another member for one "
        f"(buddies-cli ticket {invite.room})"
    )


async def _redeem_at(
    inviter: PeerAddress,
    invite: Invite,
    request: peer_pb2.PeerRequest,
    host: Host,
    until_s: float,
) -> PrivateState:
    host.network.learn(inviter)
    left_s = max(0.0, until_s - asyncio.get_running_loop().time())
    replies = await host.network.ask(inviter.endpoint, request, left_s)
    given = replies[0].epoch
    try:
        return invited(
            seat_of(host, invite.room_id),
            invite.founding,
            inviter.endpoint,
            decode_epoch(given.epoch, given.secret),
            decode_roster(given.roster),
            tuple(map(decode_sponsorship, given.sponsorships)),
            host.clock.wall_ms() / 1000,
        )
    except WireError as error:
        raise Unreachable(
            f"peer {short(inviter.endpoint)} handed over what makes no sense: {error}"
        ) from error
