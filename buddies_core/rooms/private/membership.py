"""The members and the current epoch of a private room, and what each event changes. Pure.

A room has no server, and no order of events that all agree on. Each node keeps an epoch (a secret
that its members share), the roster with which it began, and the members let in since. Any
member may begin the next epoch. Nodes that did so without knowing of each other are on two
branches, which can't read each other until they meet.

Invariants. `tests/simulation/test_private_rooms.py` checks them against hostile members.

1. A node becomes a member here only by a sponsorship that a member has signed in this epoch, or on
   a roster that a member hands over. Members are counted from the roster that is stored here;
   claims count for nothing.
2. A node that an epoch of this branch has left out can't become a member again through another
   branch, nor can nodes that it let in since. On meeting another branch, this node keeps at most
   the members known here, whatever number, order or keys the other branch chose. So removed nodes
   come back only if a member of this branch lets them in again.
3. A number only decides which of two branches joins the other, never who is a member afterwards.
   It can't run ahead of the clock, so it is neither used up nor out of reach. Of two epochs with
   the same number, that of the rotator closer to the founder prevails, and then a hash that no
   choice of secret changes.
4. This node believes that it was left out only if it is shown a roster, signed by a member, that
   prevails over its own, and a second member no longer knows it either.
5. A member brings in no more than its share, with those that they bring in and so on. Each
   sponsorship is signed, so all nodes count alike.
6. An old secret is never used again: epochs only rise, and a superseded branch gets a new secret.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from buddies_core.errors import Busy, InvalidInput, NotAllowed, WireError
from buddies_core.model.ids import EndpointId, EpochId, RoomId, short
from buddies_core.model.private import (
    EPOCH_NUMBER_MAX,
    PAST_MAX,
    Epoch,
    Founding,
    PrivateState,
    Roster,
    Sponsorship,
)
from buddies_core.rooms.private.sponsors import (
    all_sponsors,
    check_shares,
    sponsors_of,
    sponsorships_of,
)
from buddies_core.wire.private import (
    Verify,
    epoch_keys,
    is_of,
    sign_roster,
    sign_sponsorship,
    sponsorship_of_founder,
    verify_roster,
    verify_sponsorship,
)

NUMBERS_BEGIN_S = 1_767_225_600
"""2026-01-01 00:00:00 UTC. No more epochs are possible than seconds have passed since."""
NUMBER_ALWAYS_TAKEN = 1000
"""Numbers up to this are accepted whatever the clock says, as it may have been reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """This node in one room."""

    room_id: RoomId
    me: EndpointId
    sign: Callable[[bytes], bytes]
    verify: Verify


# Events


@dataclass(frozen=True, slots=True)
class Handed:
    """A member hands over its current epoch."""

    by: EndpointId
    epoch: Epoch
    roster: Roster
    past: tuple[EpochId, ...]
    """The earlier epochs of that member."""
    fresh: bytes
    """A new secret, for an epoch past it."""


@dataclass(frozen=True, slots=True)
class RotationAsked:
    """This node's user changes the keys."""

    without: frozenset[EndpointId]
    fresh: bytes


@dataclass(frozen=True, slots=True)
class LetIn:
    """An invite of this node was redeemed."""

    newcomer: EndpointId


@dataclass(frozen=True, slots=True)
class Presented:
    """An endpoint shows why it is a member: sponsorships, that of its first sponsor first."""

    chain: tuple[Sponsorship, ...]


Event: TypeAlias = Handed | RotationAsked | LetIn | Presented


# Effects


@dataclass(frozen=True, slots=True)
class Tell:
    """Hand the new epoch to these members."""

    members: tuple[EndpointId, ...]


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Show the new roster to these endpoints, which are no longer on it."""

    former: tuple[EndpointId, ...]


Effect: TypeAlias = Tell | Dismiss


@dataclass(frozen=True, slots=True)
class Step:
    """The result of an event. The state counts once it is on disk; the effects come after that."""

    state: PrivateState
    effects: tuple[Effect, ...] = ()


def step(seat: Seat, state: PrivateState, event: Event, now_s: float) -> Step:
    """Return what an event changes; `now_s` is Unix time.

    Raises:
        WireError: the data from a peer makes no sense.
        NotAllowed: nobody known here vouches for it, or it leaves this node out.
        Busy: the newcomer is over its sponsor's share.
        InvalidInput: there were as many epochs as there can be.
    """
    match event:
        case RotationAsked(without, fresh):
            return _rotated(seat, state, without, fresh)
        case Handed():
            return _handed(seat, state, event, now_s)
        case LetIn(newcomer):
            sponsorship = sign_sponsorship(
                seat.room_id, state.roster.id, newcomer, seat.me, seat.sign
            )
            return Step(_with_member(seat, state, sponsorship))
        case Presented(chain):
            for sponsorship in chain:
                if sponsorship.member not in state.members:
                    state = _with_member(seat, state, sponsorship)
            return Step(state)


def founded(seat: Seat, founding: Founding, secret: bytes) -> PrivateState:
    """Return the state of a new room, whose only member is this node."""
    assert founding.founder == seat.me, "a room is founded by who makes it"
    epoch = Epoch(0, secret)
    entry = sponsorship_of_founder(seat.me, epoch_keys(seat.room_id, epoch).id)
    roster = sign_roster(seat.room_id, epoch, (entry,), seat.me, seat.sign)
    return PrivateState(founding=founding, epoch=epoch, roster=roster)


def invited(
    seat: Seat,
    founding: Founding,
    by: EndpointId,
    epoch: Epoch,
    roster: Roster,
    chain: tuple[Sponsorship, ...],
    now_s: float,
) -> PrivateState:
    """Return the state of a node that an inviter has let in; its earlier knowledge is void.

    Raises:
        WireError: the data from the inviter makes no sense.
    """
    _check_roster(seat, founding, epoch, roster, (), now_s)
    state = PrivateState(founding=founding, epoch=epoch, roster=roster)
    try:
        state = step(seat, state, Presented(chain), now_s).state
    except (NotAllowed, Busy) as error:
        raise WireError(str(error)) from error
    if not {seat.me, by} <= set(state.members):
        raise WireError("a room that this node, or the inviter, is not a member of")
    return state


# The rules


def _rotated(
    seat: Seat, state: PrivateState, without: Collection[EndpointId], fresh: bytes
) -> Step:
    if state.epoch.number >= EPOCH_NUMBER_MAX:
        raise InvalidInput(
            "the keys of this room were changed as often as they can be; make a new room"
        )
    stay = frozenset(state.members) - frozenset(without) | {seat.me}
    return _begun(seat, state, Epoch(state.epoch.number + 1, fresh), stay, past=())


def _begun(
    seat: Seat,
    state: PrivateState,
    epoch: Epoch,
    stay: frozenset[EndpointId],
    past: tuple[EpochId, ...],
) -> Step:
    """Begin an epoch for some of the members."""
    known = sponsorships_of(state)
    roster = sign_roster(
        seat.room_id,
        epoch,
        (known[member] for member in stay),
        seat.me,
        seat.sign,
        gone=(known[it] for it in all_sponsors(stay, known) - stay),
    )
    left = tuple(member for member in state.members if member not in stay)
    tell = tuple(member for member in roster.members if member != seat.me)
    return Step(_in(state, epoch, roster, past), (Tell(tell), Dismiss(left)))


def _handed(seat: Seat, state: PrivateState, handed: Handed, now_s: float) -> Step:
    epoch, roster = handed.epoch, handed.roster
    if handed.by not in state.members:
        raise NotAllowed("the peer that hands over an epoch is not a member")
    if roster.id == state.roster.id:
        return Step(state)
    _check_roster(seat, state.founding, epoch, roster, sponsorships_of(state).values(), now_s)
    if not prevails(roster, state.roster, state.founding.founder):
        return Step(state)
    if seat.me not in roster.members:
        raise NotAllowed("this node is not on that roster")
    # A member that has been in our epoch knows which nodes it left out.
    if state.roster.id in handed.past or set(roster.members) <= set(state.members):
        return Step(_in(state, epoch, roster, past=()))
    stay = frozenset(state.members) & frozenset(roster.members)
    past_it = Epoch(epoch.number + 1, handed.fresh)
    return _begun(seat, state, past_it, stay, past=(roster.id,))


def _in(
    state: PrivateState, epoch: Epoch, roster: Roster, past: tuple[EpochId, ...]
) -> PrivateState:
    been_in = (*state.past, state.roster.id, *past)[-PAST_MAX:]
    return PrivateState(founding=state.founding, epoch=epoch, roster=roster, past=been_in)


def prevails(theirs: Roster, ours: Roster, founder: EndpointId) -> bool:
    """Whether the epoch of one roster prevails over that of another, on every node."""
    return _order(theirs, founder) > _order(ours, founder)


def _order(roster: Roster, founder: EndpointId) -> tuple[int, int, bytes, bytes]:
    known = {entry.member: entry for entry in (*roster.entries, *roster.gone)}
    numbered = roster.room_id + roster.number.to_bytes(4, "big") + roster.rotator
    drawn = hashlib.sha256(b"buddies/2 private order" + numbered).digest()
    return roster.number, -len(sponsors_of(roster.rotator, known, founder)), drawn, roster.id


def _check_roster(
    seat: Seat,
    founding: Founding,
    epoch: Epoch,
    roster: Roster,
    known: Iterable[Sponsorship],
    now_s: float,
) -> None:
    if not verify_roster(roster, seat.room_id, seat.verify) or not is_of(roster, epoch):
        raise WireError("a roster that its rotator has not signed for this epoch")
    _check_number(roster, now_s)
    trusted = frozenset(known)
    for entry in (*roster.entries, *roster.gone):
        if entry not in trusted and not verify_sponsorship(
            entry, seat.room_id, founding.founder, seat.verify
        ):
            raise WireError(f"nobody has let in {short(entry.member)}, who is on a roster")
    check_shares({it.member: it for it in (*roster.entries, *roster.gone)}, founding.founder)


def _check_number(roster: Roster, now_s: float) -> None:
    most = min(max(NUMBER_ALWAYS_TAKEN, now_s - NUMBERS_BEGIN_S), EPOCH_NUMBER_MAX - 1)
    if roster.number > most:
        raise WireError(
            f"epoch {roster.number} has a number that no room can have yet; if the clock of this "
            "machine is behind, set it"
        )


# Letting in


def _with_member(seat: Seat, state: PrivateState, sponsorship: Sponsorship) -> PrivateState:
    """Return the state with one more member.

    Raises:
        NotAllowed: the sponsorship is from another epoch, or not by a member.
        Busy: its sponsor, or one above that, has used up its share; or the room is full.
    """
    if sponsorship.during != state.roster.id:
        raise NotAllowed("the room's keys were changed meanwhile; ask for a new invite")
    if sponsorship.by == sponsorship.member or sponsorship.by not in state.members:
        raise NotAllowed(f"no member known here has let in {short(sponsorship.member)}")
    if not verify_sponsorship(sponsorship, seat.room_id, state.founding.founder, seat.verify):
        raise NotAllowed(f"a sponsorship that {short(sponsorship.by)} has not signed")
    if sponsorship.member in state.members:
        return state
    after = sorted((*state.admitted, sponsorship), key=lambda entry: entry.member)
    next_state = replace(state, admitted=tuple(after))
    try:
        check_shares(sponsorships_of(next_state), state.founding.founder)
    except WireError as error:
        raise Busy(str(error)) from error
    return next_state
