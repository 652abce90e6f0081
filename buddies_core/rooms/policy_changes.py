"""Showing and changing the policies of the rooms this node is in. One event loop owns this."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from buddies_core.errors import InvalidInput, NotAllowed
from buddies_core.identity.resolving import Resolved
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId
from buddies_core.model.policy import (
    IDENTITIES_MAX,
    MEMBERS_SHOWN_MAX,
    AffectedMember,
    Policy,
    PolicyReport,
    PolicyView,
)
from buddies_core.model.room import Member
from buddies_core.rooms.room import Room
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.gate import Gate

_GO_ON = "To do it all the same, confirm it (confirm: true, or --yes)"


class RoomsPort(Protocol):
    """The rooms this node is in; see `rooms.rooms.Rooms`."""

    def room(self, name: str) -> Room:
        """Return one of them; raises NotFound if this node is not in it."""

    def name_of(self, endpoint: EndpointId) -> str:
        """Return the display name last heard of a peer, or the start of its id."""


class ResolverPort(Protocol):
    """Finds the key that a label names; see `identity.resolving.Resolver`."""

    async def resolve(self, label: str) -> Resolved:
        """Return the key; raise InvalidInput if there is none, or more than one."""


class PolicyChanges:
    """The policies as people and agents see and change them.

    A change that locks this machine's own identity out, or opens the room by taking the last name
    off its whitelist, must be confirmed.
    """

    def __init__(
        self,
        rooms: RoomsPort,
        gate: Gate,
        bindings: Bindings,
        resolver: ResolverPort,
        endpoint: EndpointId,
    ) -> None:
        self._rooms = rooms
        self._gate = gate
        self._policies = gate.policies
        self._bindings = bindings
        self._resolver = resolver
        self._endpoint = endpoint
        self._changing = asyncio.Lock()

    def get(self, room: str) -> PolicyView:
        """Return the policy of a room.

        Raises:
            NotFound: this node is not in the room.
            StoreError: the policy's record is damaged.
        """
        return self._view(self._rooms.room(room), ())

    async def set(
        self, room: str, identities: Sequence[str], *, require_signed: bool, confirm: bool
    ) -> PolicyReport:
        """Replace a room's policy; without identities and `require_signed` the room is open.

        Raises:
            NotFound: this node is not in the room.
            InvalidInput: an identity is not valid, or there are too many.
            NotAllowed: the change must be confirmed; the text says why.
            StoreError: the disk refused; the room keeps its policy.
        """
        found = [await self._resolver.resolve(label) for label in dict.fromkeys(identities)]
        async with self._changing:
            changed = self._rooms.room(room)
            policy = Policy(require_signed=require_signed)
            for it in found:
                policy = policy.with_identity(it.identity)
            return await self._change(changed, policy, found, confirm=confirm)

    async def add(self, room: str, identity: str, *, confirm: bool) -> PolicyReport:
        """Add an identity to a room's whitelist, unless it is listed. Raises as `set` does."""
        found = await self._resolver.resolve(identity)
        async with self._changing:
            changed = self._rooms.room(room)
            policy = self._policies.of(changed.room_id).with_identity(found.identity)
            return await self._change(changed, policy, [found], confirm=confirm)

    async def remove(self, room: str, identity: str, *, confirm: bool) -> PolicyReport:
        """Take an identity off a room's whitelist.

        Raises:
            InvalidInput: it is not on the list; otherwise as `set` does.
        """
        found = await self._resolver.resolve(identity)
        async with self._changing:
            changed = self._rooms.room(room)
            policy = self._policies.of(changed.room_id)
            if found.identity not in policy.whitelist:
                raise InvalidInput(
                    f"{_shortened(found.identity.label)} is not on the whitelist of room {room!r}; "
                    "get_identity_policy, or buddies-cli policy show, lists who is"
                )
            policy = policy.without_identity(found.identity)
            if policy.is_open and not confirm:
                raise NotAllowed(
                    f"without its last identity the whitelist of room {room!r} is empty, and "
                    f"{_everybody(changed)} would be heard; to want signatures of whomever, set "
                    f"require_signed. {_GO_ON}"
                )
            return await self._change(changed, policy, [], confirm=confirm)

    async def _change(
        self, room: Room, policy: Policy, named: Sequence[Resolved], *, confirm: bool
    ) -> PolicyReport:
        if len(policy.whitelist) > IDENTITIES_MAX:
            raise InvalidInput(
                f"a whitelist has at most {IDENTITIES_MAX} identities, this one would have "
                f"{len(policy.whitelist)}"
            )
        self._check_own(room, policy, confirm=confirm)
        room_id = room.room_id
        members = self._known_members(room)
        heard = {m.endpoint for m, _ in members if self._policies.allows(room_id, self._signer(m))}
        await self._policies.put(room_id, policy)
        shut_out = [it for it in members if not policy.allows(self._signer(it[0]))]
        admitted = [
            (m, is_here)
            for m, is_here in members
            if policy.allows(self._signer(m)) and m.endpoint not in heard
        ]
        for member, is_present in shut_out:
            if is_present:
                room.forget(member)
        if admitted:
            room.meet_again()
        return PolicyReport(
            view=self._view(room, _missing(named)),
            shut_out=self._shown(shut_out),
            shut_out_total=len(shut_out),
            admitted=self._shown(admitted),
            admitted_total=len(admitted),
        )

    def _check_own(self, room: Room, policy: Policy, *, confirm: bool) -> None:
        own = self._bindings.signer_of(self._endpoint)
        if confirm or policy.allows(own):
            return
        name = room.name
        if own is None:
            raise NotAllowed(
                "no key vouches for what this machine says (buddies-cli whoami), so members who "
                f"keep this policy in room {name!r} would not hear it, and its votes would not "
                f"count; set BUDDIES_SIGNER to give it one. {_GO_ON}"
            )
        raise NotAllowed(
            f"this policy would lock out this machine's own identity, {_shortened(own.label)}: "
            f"members who keep it in room {name!r} would not hear what this machine says, and its "
            f"votes would not count; whitelist it too. {_GO_ON}"
        )

    def _view(self, room: Room, warnings: tuple[str, ...]) -> PolicyView:
        room_id = room.room_id
        policy = self._policies.of(room_id)
        own = self._bindings.signer_of(self._endpoint)
        return PolicyView(
            room=room.name,
            require_signed=policy.require_signed,
            identities=tuple(identity.label for identity in policy.whitelist),
            local_identity=own.label if own else "",
            private=room.epochs is not None,
            warnings=(*warnings, *self._gate.warnings_of(room_id)),
        )

    def _signer(self, member: Member) -> SignerIdentity | None:
        return self._bindings.signer_of(member.endpoint) if member.speaks_direct else None

    def _known_members(self, room: Room) -> list[tuple[Member, bool]]:
        """Return all members ever heard, and whether each is present, present ones first."""
        present = [member for member in room.members() if not member.is_self]
        here = {member.endpoint for member in present}
        absent = [endpoint for endpoint in room.heard_of() if endpoint not in here]
        return [
            *((member, True) for member in present),
            *((Member(endpoint=it, name=self._rooms.name_of(it)), False) for it in absent),
        ]

    def _shown(self, members: Sequence[tuple[Member, bool]]) -> tuple[AffectedMember, ...]:
        return tuple(
            AffectedMember(
                endpoint=member.endpoint,
                name=member.name,
                signed_by=signer.label if (signer := self._signer(member)) else "",
                present=is_present,
            )
            for member, is_present in members[:MEMBERS_SHOWN_MAX]
        )


def _everybody(room: Room) -> str:
    return "every member" if room.epochs else "everybody who knows the room's name"


def _missing(named: Sequence[Resolved]) -> tuple[str, ...]:
    return tuple(
        f"the key {it.identity.label} is not in this machine's keyring, so whatever it signs is "
        "dropped until it is: get it from its owner, then gpg --import FILE"
        for it in named
        if not it.in_keyring
    )


def _shortened(label: str) -> str:
    return label if len(label) <= 60 else f"{label[:60]}…"
