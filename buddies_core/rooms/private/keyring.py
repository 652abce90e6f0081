"""The keys of one private room: its epochs, its members, and which epoch counts. Pure.

Rotations that don't know of each other make two branches. The higher epoch prevails; of two with
the same number, the one with the smaller topic. But this node never follows another branch back to
members that its own branch has removed: it goes past that branch by a rotation of its own, and
takes the others along.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from buddies_core.errors import Busy, InvalidInput, NotAllowed, WireError
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.ids import EndpointId, RoomId, TopicId
from buddies_core.model.private import (
    EPOCH_NUMBER_MAX,
    EPOCHS_KEPT_MAX,
    ROSTER_MEMBERS_MAX,
    Epoch,
    PrivateState,
    Roster,
)
from buddies_core.wire.private import EpochKeys, epoch_keys, verify_roster

JUMP_MAX = 1000
"""How many rotations a member may have missed. Without it, one could use up all numbers at once."""


@dataclass(frozen=True, slots=True)
class Stay:
    """Our own epoch counts for more."""


@dataclass(frozen=True, slots=True)
class Follow:
    """The epoch replaces ours."""


@dataclass(frozen=True, slots=True)
class GoPast:
    """The epoch would replace ours, but it is of a branch with members that ours has removed."""

    stay: tuple[EndpointId, ...]
    """The members of the epoch to begin after it."""


Decision: TypeAlias = Stay | Follow | GoPast


class Keyring:
    """The only copy in memory of a room's private state. One event loop owns this.

    Most methods return the state that would be next. It counts once `take` is called with it,
    which is to be after it was written to disk.
    """

    def __init__(self, room_id: RoomId, me: EndpointId, state: PrivateState) -> None:
        self.room_id = room_id
        self.state = state
        self.left_out_by: EndpointId | None = None
        """The member that says that a rotation has left this node out."""
        self._me = me
        self._keys = self._derived()
        self._speaking: set[EndpointId] = set()
        """Removed members that have spoken in the newest epoch: somebody let them in again."""

    def take(self, state: PrivateState) -> None:
        """Go on with this state."""
        is_new = state.epochs[-1] != self.epoch
        self.state = state
        if is_new:
            self._keys = self._derived()
            self._speaking.clear()
            self.left_out_by = None

    def _derived(self) -> tuple[EpochKeys, ...]:
        return tuple(epoch_keys(self.room_id, epoch) for epoch in self.state.epochs)

    # What counts now

    @property
    def epoch(self) -> Epoch:
        """The newest epoch."""
        return self.state.epochs[-1]

    @property
    def newest(self) -> EpochKeys:
        """The keys of the newest epoch."""
        return self._keys[-1]

    @property
    def last_two(self) -> Sequence[EpochKeys]:
        """The keys of the newest epoch and of the one before, if that is known."""
        return self._keys[:-3:-1]

    def keys_of(self, topic: TopicId) -> EpochKeys | None:
        """Return the keys that this topic follows from, of this or a former epoch."""
        return next((keys for keys in self._keys if keys.topic == topic), None)

    def is_member(self, endpoint: EndpointId) -> bool:
        """Whether this endpoint was let in, and no rotation has left it out since."""
        return endpoint in self.state.members

    # Being let in

    def note_speaker(self, endpoint: EndpointId, during: TopicId) -> None:
        """Take note that this endpoint has broadcast something in the epoch of this topic."""
        if during == self.newest.topic and endpoint in self.state.removed:
            self._speaking.add(endpoint)

    def is_shut_out(self, endpoint: EndpointId) -> bool:
        """Whether a rotation has removed this endpoint, and nothing shows that it is back.

        What it broadcasts in the newest epoch shows that. Copies of what it said before may still
        arrive, and show nothing.
        """
        return endpoint in self.state.removed and endpoint not in self._speaking

    def with_member(self, endpoint: EndpointId, *, during: TopicId) -> PrivateState:
        """Return the state with this new member, let in during the epoch of this topic.

        Raises:
            NotAllowed: the keys were changed since.
            Busy: the room is full.
        """
        if during != self.newest.topic:
            raise NotAllowed("the room's keys were changed meanwhile; ask for a new invite")
        if len(self.state.members) >= ROSTER_MEMBERS_MAX:
            raise Busy(f"the room is full: it has {ROSTER_MEMBERS_MAX} members")
        members = tuple(sorted({*self.state.members, endpoint}))
        removed = tuple(it for it in self.state.removed if it != endpoint)
        return replace(self.state, members=members, removed=removed)

    # The next epoch

    def members_without(self, removed: Collection[EndpointId]) -> tuple[EndpointId, ...]:
        """Return the members that stay when a rotation removes these.

        Raises:
            InvalidInput: the room has had as many epochs as there can be.
        """
        if self.epoch.number >= EPOCH_NUMBER_MAX:
            raise InvalidInput(
                "the keys of this room were changed as often as they can be; make a new room"
            )
        return tuple(member for member in self.state.members if member not in removed)

    def decide(
        self, epoch: Epoch, roster: Roster, *, handed_by: EndpointId, known_by: TopicId
    ) -> Decision:
        """Return what to do about an epoch that a member has handed over.

        `known_by` is the topic of an epoch that both have been in. If that is our newest one, the
        member knows whom it left out; otherwise the epoch is of another branch.

        Raises:
            WireError: its roster is not what its rotator signed, or its number is out of reach.
            NotAllowed: it leaves this node out, or nobody known here vouches for it.
        """
        if not self._prevails(epoch, roster, handed_by):
            return Stay()
        removed = set(self.state.removed)
        if known_by == self.newest.topic or not removed & set(roster.members):
            return Follow()
        stay = roster.members if self.is_member(roster.rotator) else self.state.members
        return GoPast(tuple(member for member in stay if member not in removed))

    def _prevails(self, epoch: Epoch, roster: Roster, handed_by: EndpointId) -> bool:
        """Whether this epoch counts for more than ours; raises as `decide` does."""
        if not verify_roster(roster, self.room_id, epoch, verify_endpoint):
            raise WireError("a roster that its rotator has not signed for this epoch")
        if self._me not in roster.members:
            raise NotAllowed("this node is not on that roster")
        if not (self.is_member(roster.rotator) or self.is_member(handed_by)):
            raise NotAllowed("no member known here has begun that epoch or hands it on")
        ours = self.newest
        if epoch.number > min(ours.number + JUMP_MAX, EPOCH_NUMBER_MAX - 1):
            raise WireError(f"epoch {epoch.number} is too far from {ours.number}")
        if epoch.number != ours.number:
            return epoch.number > ours.number
        # Only a member that our rotation has kept can overrule it.
        theirs = epoch_keys(self.room_id, epoch)
        return self.is_member(roster.rotator) and theirs.topic < ours.topic

    def following(
        self, epoch: Epoch, roster: Roster | None, also: Collection[EndpointId] = ()
    ) -> PrivateState:
        """Return the state in this epoch, whose members are on the roster, or are the same.

        `also` are members that are not on the roster.
        """
        before = self.state.members
        members = {*(roster.members if roster else before), *also, self._me}
        # The newest first, so that it is the oldest that are forgotten.
        removed = dict.fromkeys((*before, *self.state.removed))
        return PrivateState(
            epochs=(*self.state.epochs, epoch)[-EPOCHS_KEPT_MAX:],
            roster=roster,
            members=tuple(sorted(members)),
            removed=tuple(it for it in removed if it not in members)[:ROSTER_MEMBERS_MAX],
        )
