"""Joining and leaving rooms, tickets into them, and new keys for the private ones."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from buddies_core.errors import BuddiesError, InvalidInput, StoreError
from buddies_core.model.address import PeerAddress
from buddies_core.model.bodies import Leave
from buddies_core.model.ids import RoomName
from buddies_core.model.private import Invite
from buddies_core.model.room import (
    DialAttempt,
    JoinReport,
    KeptHistory,
    LeaveReport,
    NamedPeer,
    RotateReport,
    TicketReport,
)
from buddies_core.rooms.claims import claim
from buddies_core.rooms.entering import WayIn, check_same, record_of
from buddies_core.rooms.joining import (
    JOIN_DEADLINE_S,
    REACHABLE_WITHIN_S,
    dial_more,
    find_neighbor,
    missed,
    others_on,
    wait_reachable,
)
from buddies_core.rooms.ports import Host
from buddies_core.rooms.private.epochs import Epochs
from buddies_core.rooms.private.invites import EXPIRES_S, USES, redeem
from buddies_core.rooms.private.sponsors import brought_in
from buddies_core.rooms.room import Room
from buddies_core.rooms.rooms import Rooms, outdated
from buddies_core.store.records import RoomRecord
from buddies_core.trust.names import members_named, room_name, way_into
from buddies_core.wire.tickets import encode_invite, encode_ticket

log = logging.getLogger(__name__)


class RoomChanges:
    """Changes that people and agents make to the rooms of this node. One event loop owns this."""

    def __init__(self, rooms: Rooms, host: Host) -> None:
        self._rooms = rooms
        self._host = host
        # One change of a room at a time: else a join could succeed in a room that is being left.
        self._changing: defaultdict[RoomName, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def join(
        self,
        room: str,
        ticket: str | None,
        agent: UUID | None,
        *,
        private: bool = False,
        history: KeptHistory | None = None,
    ) -> JoinReport:
        """Join the room, and stay in it across restarts. Joining again adds the ticket's peers.

        `private` makes a private room; an invite in place of a ticket joins one.

        Raises:
            InvalidInput: the name or the ticket is not valid, or data of another, private room of
                that name is stored here.
            NotAllowed: the invite is no longer valid.
            Unreachable: no peer on the ticket could be joined within 10 s; nothing is stored.
        """
        typed = room_name(room)
        if typed in self._rooms.outdated:
            raise InvalidInput(outdated(typed))
        way_in = way_into(typed, ticket, private=private) if ticket else None
        here = self._rooms.named(typed)
        name = way_in.room if way_in else here
        if name != here and self._rooms.get(here) is not None:
            raise InvalidInput(
                f"the ticket is for another room than {here!r}, which this machine is in, though "
                f"their names look the same: {name!a} and {here!a}; leave that one first "
                f"(buddies-cli leave {here})"
            )
        # Measured from here, as another agent may be joining the same room now.
        began_s = asyncio.get_running_loop().time()
        until_s = began_s + JOIN_DEADLINE_S
        async with self._changing[name]:
            known = self._rooms.get(name)
            if known is None:
                record = await record_of(
                    name, way_in, self._host, until_s, private=private, history=history
                )
                await claim(name, record.room_id, self._host.store)
                tried = await self._enter(record, until_s)
            else:
                check_same(known, way_in, private=private)
                tried = await self._come_again(known, way_in, until_s)
                if history is not None:
                    await known.line.keep_history(history)
        joined = self._rooms.room(name)
        if agent is not None:
            joined.joined_by.add(agent)
            joined.left_by.discard(agent)
        joined.announce(self._rooms.agents.shown_in(joined))
        warned = await wait_reachable(name, self._host.network, began_s + REACHABLE_WITHIN_S)
        return JoinReport(
            room=name,
            ticket="" if joined.epochs else encode_ticket(joined.ticket()),
            endpoint=self._host.endpoint,
            members=joined.members_in_touch(),
            already_joined=known is not None,
            tried=tried,
            private=joined.epochs is not None,
            history=joined.line.history,
            warnings=(
                *self._host.warnings,
                *self._host.composer.twin.warnings(),
                *joined.warnings(),
                *self._rooms.perhaps_meant(joined),
                *missed(tried),
                *warned,
            ),
        )

    async def leave(self, room: str, agent: UUID | None, *, for_all: bool) -> LeaveReport:
        """Take an agent out of the room, and the node with it if no other agent has joined it.

        Raises:
            NotFound: the node is not in the room.
            StoreError: the disk refused; the node has not left.
        """
        if (name := RoomName(room)) in self._rooms.outdated:
            await self._host.store.delete_room(name)
            self._rooms.outdated.discard(name)
            return LeaveReport(name, node_left=True, still_joined_by=())
        name = self._rooms.room(room).name
        async with self._changing[name]:
            left = self._rooms.room(name)
            if agent is not None:
                left.joined_by.discard(agent)
                left.left_by.add(agent)
            still = self._rooms.agents.names_in(left)
            node_leaves = for_all or not still
            if node_leaves:
                await self._leave(left)
            else:
                left.announce(self._rooms.agents.shown_in(left))
            return LeaveReport(name, node_left=node_leaves, still_joined_by=still)

    async def ticket(
        self, room: str, uses: int | None = None, expires_s: float | None = None
    ) -> TicketReport:
        """Return a ticket to the room, or a new invite if the room is private.

        Raises:
            NotFound: this node is not in the room.
            InvalidInput: an open room's ticket cannot have an expiry or a number of uses.
            Busy: too many invites are valid.
        """
        asked = self._rooms.room(room)
        if asked.epochs is None and (uses is not None or expires_s is not None):
            raise InvalidInput(
                f"room {asked.name!r} is open: its ticket does not expire and is not used "
                "up, as whoever knows the name may come in; leave out uses and expiry"
            )
        until_s = asyncio.get_running_loop().time() + REACHABLE_WITHIN_S
        warned = await wait_reachable(asked.name, self._host.network, until_s)
        if asked.epochs is None:
            return TicketReport(asked.name, encode_ticket(asked.ticket()), warned)
        uses = USES if uses is None else uses
        expires_s = EXPIRES_S if expires_s is None else expires_s
        invite = await self._rooms.invites.make(asked, uses, expires_s)
        return TicketReport(asked.name, encode_invite(invite), warned)

    async def rotate(
        self, room: str, without: Sequence[str], *, along: bool = False, preview: bool = False
    ) -> RotateReport:
        """Give a room a new secret and remove these members; our invites to it become invalid.

        `without` lists display names or beginnings of endpoint ids. With `along` the members that
        they brought in are removed too. With `preview` nothing is changed, and the report lists the
        members that would be removed.

        Raises:
            NotFound: this node is not in the room.
            InvalidInput: the room is open, or it is not clear who is meant; nothing has changed.
            StoreError: the disk refused.
        """
        rotated = self._rooms.room(room)
        name = rotated.name
        async with self._changing[name]:
            epochs = rotated.epochs
            if epochs is None:
                raise InvalidInput(
                    f"room {name!r} is open and has no keys: whoever knows its name may come in. "
                    "A private one is made by: buddies-cli join ROOM --private"
                )
            members = epochs.keyring.state.members
            names = {member: self._rooms.name_of(member) for member in members}
            me = self._host.endpoint
            removed = members_named(without, names, me)
            brought = tuple(sorted(brought_in(epochs.keyring.state, removed) - {me}))
            if along:
                removed, brought = (*removed, *brought), ()
            stay = [it for it in members if it not in removed and it != me]
            present = rotated.presences.present()
            told = () if preview else await epochs.rotate(removed, present)
        return RotateReport(
            room=name,
            epoch=epochs.keyring.epoch.number,
            removed=tuple(NamedPeer(it, names[it]) for it in removed),
            told=tuple(NamedPeer(it, names[it]) for it in told),
            waiting=tuple(NamedPeer(it, names[it]) for it in stay if it not in told),
            brought=tuple(NamedPeer(it, names[it]) for it in brought),
        )

    # Entering and leaving

    async def _enter(self, record: RoomRecord, until_s: float) -> tuple[DialAttempt, ...]:
        room = self._rooms.add(record)
        try:
            await room.line.join()
            tried = await find_neighbor(room, room.bootstrap, until_s)
            kept = None
            while kept != room.line.record():  # A member may be let in while it is written.
                kept = room.line.record()
                await self._host.store.put_room(kept)
        except BaseException:
            await self._rooms.remove(room)
            # Meanwhile peers may have told us members, and the caller may have gone.
            with contextlib.suppress(StoreError):
                await self._host.store.delete_room(record.name)
                await self._host.store.delete_presences(record.room_id)
            raise
        room.agents = self._rooms.agents.shown_in(room)
        self._rooms.enter(room)
        return tried

    async def _come_again(
        self, room: Room, way_in: WayIn, until_s: float
    ) -> tuple[DialAttempt, ...]:
        others = others_on(way_in, self._host.endpoint)
        tried = await dial_more(room, others, until_s)
        if room.epochs and isinstance(way_in, Invite) and _is_stranger_to(others, room.epochs):
            await room.epochs.take_invited(await redeem(way_in, self._host, until_s))
            tried = await dial_more(room, others, until_s)
        return tried

    async def _leave(self, room: Room) -> None:
        room.line.entered = False  # So that late messages do not store it again.
        try:
            await self._host.store.delete_room(room.name)
        except StoreError:
            room.line.entered = True
            raise
        try:
            await room.line.say(Leave(self._host.user))
        except BuddiesError as error:
            log.warning("leave_not_told room=%s: %s", room.name, error)
        finally:
            await self._rooms.remove(room)
        await self._host.store.delete_presences(room.room_id)
        await self._rooms.invites.void(room.room_id)


def _is_stranger_to(inviters: Sequence[PeerAddress], epochs: Epochs) -> bool:
    """Whether this node was left out of a room, or one of these no longer counts it a member."""
    strangers = epochs.keyring.doubts.strangers
    return epochs.keyring.is_out or any(it.endpoint in strangers for it in inviters)
