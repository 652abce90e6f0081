"""Who is a member of a private room, which epoch counts, and what hostile members can't do."""

from dataclasses import replace

import pytest

from buddies_core.errors import Busy, InvalidInput, NotAllowed, WireError
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.ids import EndpointId, EpochId, RoomId, RoomName
from buddies_core.model.private import (
    EPOCH_NUMBER_MAX,
    MEMBERS_MAX,
    PAST_MAX,
    Epoch,
    Founding,
    PrivateState,
    Roster,
    Sponsorship,
    private_room_id,
)
from buddies_core.rooms.private.doubts import Doubts, shown
from buddies_core.rooms.private.keyring import Keyring
from buddies_core.rooms.private.membership import (
    NUMBER_ALWAYS_TAKEN,
    NUMBERS_BEGIN_S,
    Dismiss,
    Handed,
    LetIn,
    Presented,
    RotationAsked,
    Seat,
    Step,
    Tell,
    founded,
    invited,
    prevails,
    step,
)
from buddies_core.rooms.private.sponsors import (
    SHARE_MIN,
    all_sponsors,
    brought_in,
    chain_of,
    sponsorships_of,
)
from buddies_core.wire.private import epoch_keys, sign_roster, sign_sponsorship

ANN, BEN, CAT, DAN, ZED = (NodeKey(bytes([octet]) * 32) for octet in b"abcdz")
FOUNDING = Founding(ANN.endpoint, b"n" * 32)
ROOM_ID = private_room_id(RoomName("secret"), FOUNDING)
NOW_S = NUMBERS_BEGIN_S + 1_000_000.0
FRESH = b"f" * 32


def seat(key: NodeKey) -> Seat:
    return Seat(room_id=ROOM_ID, me=key.endpoint, sign=key.sign, verify=verify_endpoint)


def room(*others: NodeKey, by: NodeKey = ANN) -> PrivateState:
    """Return Ann's room, into which she has let these."""
    state = founded(seat(ANN), FOUNDING, b"0" * 32)
    for other in others:
        state = step(seat(by), state, LetIn(other.endpoint), NOW_S).state
    return state


def rotated(key: NodeKey, state: PrivateState, *without: NodeKey, secret: bytes) -> PrivateState:
    gone = frozenset(it.endpoint for it in without)
    return step(seat(key), state, RotationAsked(gone, secret), NOW_S).state


def handed(
    key: NodeKey, state: PrivateState, by: NodeKey, theirs: PrivateState, now_s: float = NOW_S
) -> Step:
    event = Handed(by.endpoint, theirs.epoch, theirs.roster, theirs.past, FRESH)
    return step(seat(key), state, event, now_s)


def rogue(
    signer: NodeKey, epoch: Epoch, *entries: Sponsorship, past: tuple[EpochId, ...] = ()
) -> PrivateState:
    """Return a state of somebody's own making."""
    known = {it.member: it for it in entries}
    members = frozenset(known)
    roster = sign_roster(ROOM_ID, epoch, entries, signer.endpoint, signer.sign)
    assert all_sponsors(members, known) <= members
    return PrivateState(founding=FOUNDING, epoch=epoch, roster=roster, past=past)


def let_in(newcomer: NodeKey, by: NodeKey, during: EpochId) -> Sponsorship:
    return sign_sponsorship(ROOM_ID, during, newcomer.endpoint, by.endpoint, by.sign)


def ids(*keys: NodeKey) -> tuple[EndpointId, ...]:
    return tuple(sorted(key.endpoint for key in keys))


# Rotating


def test_a_rotation_tells_those_who_stay_and_dismisses_the_others() -> None:
    before = room(BEN, CAT)
    after = step(seat(BEN), before, RotationAsked(frozenset({CAT.endpoint}), FRESH), NOW_S)
    assert after.state.members == ids(ANN, BEN)
    assert (after.state.epoch, after.state.past) == (Epoch(1, FRESH), (before.roster.id,))
    assert after.effects == (Tell((ANN.endpoint,)), Dismiss((CAT.endpoint,)))
    assert after.state.admitted == ()


def test_the_last_number_is_the_last_epoch() -> None:
    last = replace(room(), epoch=Epoch(EPOCH_NUMBER_MAX, FRESH))
    with pytest.raises(InvalidInput, match="make a new room"):
        rotated(ANN, last, secret=FRESH)


def test_so_many_former_epochs_are_remembered() -> None:
    state = room()
    for number in range(PAST_MAX + 3):
        state = rotated(ANN, state, secret=number.to_bytes(32, "big"))
    assert len(state.past) == PAST_MAX
    assert room().roster.id not in state.past


# Whose epoch counts


def test_the_higher_epoch_of_the_own_branch_is_followed_and_a_lower_one_is_not() -> None:
    before = room(BEN, CAT)
    once = rotated(BEN, before, secret=b"1" * 32)
    twice = rotated(BEN, once, secret=b"2" * 32)
    followed = handed(CAT, before, BEN, twice)
    assert (followed.state.epoch, followed.effects) == (twice.epoch, ())
    assert followed.state.past == (before.roster.id,)
    assert handed(CAT, twice, BEN, once).state is twice


def test_of_two_of_one_number_that_of_the_rotator_closer_to_the_founder_prevails() -> None:
    before = room(BEN)
    before = step(seat(BEN), before, LetIn(CAT.endpoint), NOW_S).state
    for secret in (b"1" * 32, b"2" * 32, b"3" * 32):
        by_ann, by_ben, by_cat = (
            rotated(key, before, secret=secret + key.endpoint[:0]) for key in (ANN, BEN, CAT)
        )
        assert prevails(by_ann.roster, by_ben.roster, ANN.endpoint)
        assert prevails(by_ben.roster, by_cat.roster, ANN.endpoint)


def test_no_choice_of_a_secret_lets_one_of_two_equals_prevail() -> None:
    before = room(BEN, CAT)
    ours = rotated(BEN, before, secret=FRESH)
    outcomes = {
        prevails(rotated(CAT, before, secret=bytes([octet]) * 32).roster, ours.roster, ANN.endpoint)
        for octet in range(64)
    }
    assert len(outcomes) == 1


@pytest.mark.parametrize("number", [1, 2, 900, NUMBER_ALWAYS_TAKEN, 999_999])
def test_a_fresh_key_of_the_removed_does_not_come_in_by_one_who_was_away(number: int) -> None:
    """Cat is removed while Dan is away, and has him follow an epoch of a new key without her."""
    before = room(BEN, CAT, DAN)
    ours = rotated(ANN, before, CAT, secret=b"1" * 32)
    known = sponsorships_of(before)
    fresh = let_in(ZED, CAT, before.roster.id)
    entries = [known[it] for it in ids(ANN, BEN, CAT, DAN)] + [fresh]
    hers = rogue(ZED, Epoch(number, b"z" * 32), *entries, past=(before.roster.id,))
    dans = handed(DAN, before, CAT, hers).state
    assert ZED.endpoint in dans.members
    for theirs in (dans, rotated(DAN, dans, CAT, secret=b"d" * 32)):
        met = handed(ANN, ours, DAN, theirs)
        back = met.state if met.state is not ours else handed(DAN, theirs, ANN, ours).state
        assert set(back.members) <= set(ids(ANN, BEN, DAN))
        assert back.epoch.secret not in {hers.epoch.secret, theirs.epoch.secret}


def test_a_branch_is_gone_past_with_those_who_are_in_both() -> None:
    before = room(BEN, CAT, DAN)
    ours = rotated(ANN, before, CAT, secret=b"1" * 32)
    theirs = rotated(BEN, before, DAN, secret=b"2" * 32)
    theirs = rotated(BEN, theirs, secret=b"3" * 32)
    past = handed(ANN, ours, BEN, theirs)
    assert past.state.epoch == Epoch(theirs.epoch.number + 1, FRESH)
    assert past.state.members == ids(ANN, BEN)
    assert past.effects == (Tell((BEN.endpoint,)), Dismiss((DAN.endpoint,)))
    # So both are told by it whose epoch it has gone past.
    assert past.state.past[-2:] == (ours.roster.id, theirs.roster.id)
    assert handed(BEN, theirs, ANN, past.state).state.epoch == past.state.epoch


def test_a_branch_that_brings_in_nobody_is_followed() -> None:
    before = room(BEN, CAT, DAN)
    ours = rotated(ANN, before, secret=b"1" * 32)
    theirs = rotated(BEN, before, CAT, secret=b"2" * 32)
    theirs = rotated(BEN, theirs, secret=b"3" * 32)
    assert handed(ANN, ours, BEN, theirs).state.epoch == theirs.epoch


def test_what_a_member_claims_to_have_been_in_is_its_own_word_alone() -> None:
    """Who was followed by mistake can't have its claims repeated by honest members."""
    before = room(BEN, CAT, DAN)
    ours = rotated(ANN, before, CAT, secret=b"1" * 32)
    entries = [sponsorships_of(before)[it] for it in ids(ANN, BEN, CAT, DAN)]
    claims = (before.roster.id, ours.roster.id)
    hers = rogue(CAT, Epoch(5, b"z" * 32), *entries, past=claims)
    dans = handed(DAN, before, CAT, hers).state
    assert ours.roster.id not in dans.past
    assert CAT.endpoint not in handed(ANN, ours, DAN, dans).state.members


def test_an_epoch_that_no_member_hands_over_is_refused() -> None:
    before = room(BEN, CAT)
    ours = rotated(ANN, before, CAT, secret=b"1" * 32)
    subset = rotated(BEN, rotated(BEN, before, CAT, secret=b"2" * 32), secret=b"3" * 32)
    with pytest.raises(NotAllowed, match="not a member"):
        handed(ANN, ours, CAT, subset)


def test_an_epoch_that_leaves_this_node_out_is_refused() -> None:
    before = room(BEN, CAT)
    with pytest.raises(NotAllowed, match="not on that roster"):
        handed(CAT, before, BEN, rotated(BEN, before, CAT, secret=FRESH))


# Numbers


def test_a_number_does_not_run_ahead_of_the_clock_and_is_never_used_up() -> None:
    before = room(BEN, CAT)
    known = [sponsorships_of(before)[it] for it in ids(ANN, BEN, CAT)]

    def at(number: int, now_s: float) -> PrivateState:
        given = rogue(BEN, Epoch(number, FRESH), *known, past=(before.roster.id,))
        return handed(CAT, before, BEN, given, now_s).state

    for number, now_s in (
        (NUMBER_ALWAYS_TAKEN, 0.0),
        (999_999, NUMBERS_BEGIN_S + 1_000_000),
        (EPOCH_NUMBER_MAX - 1, NUMBERS_BEGIN_S + 2.0**33),
    ):
        assert at(number, now_s).epoch.number == number
    for number, now_s in (
        (NUMBER_ALWAYS_TAKEN + 1, 0.0),
        (1_000_001, NUMBERS_BEGIN_S + 1_000_000),
        (EPOCH_NUMBER_MAX, NUMBERS_BEGIN_S + 2.0**33),
    ):
        with pytest.raises(WireError, match="no room can have yet"):
            at(number, now_s)


@pytest.mark.parametrize("times", [1, 2, 40])
def test_however_far_ahead_one_was_carried_off_there_is_a_way_back(times: int) -> None:
    before = room(BEN, CAT, DAN)
    ours = rotated(ANN, before, CAT, secret=b"1" * 32)
    entries = [sponsorships_of(before)[it] for it in ids(ANN, BEN, CAT, DAN)]
    dans = before
    for number in range(1, times + 1):
        epoch = Epoch(number * 1000, number.to_bytes(32, "big"))
        hers = rogue(CAT, epoch, *entries, past=(dans.roster.id,))
        dans = handed(DAN, dans, CAT, hers).state
    met = handed(ANN, ours, DAN, dans)
    assert met.state.members == ids(ANN, BEN, DAN)
    assert handed(DAN, dans, ANN, met.state).state.epoch == met.state.epoch
    assert handed(BEN, ours, ANN, met.state).state.epoch == met.state.epoch


# What makes no sense


def test_a_roster_that_its_rotator_or_a_sponsor_has_not_signed_is_refused() -> None:
    before = room(BEN, CAT)
    good = rotated(BEN, before, secret=FRESH)
    forged = replace(good.roster.entries[0], by=CAT.endpoint)
    nobody = sign_roster(
        ROOM_ID,
        good.epoch,
        [*good.roster.entries, replace(let_in(ZED, BEN, before.roster.id), signature=bytes(64))],
        BEN.endpoint,
        BEN.sign,
    )
    founder_too = sign_roster(
        ROOM_ID,
        good.epoch,
        [*good.roster.entries, replace(let_in(ZED, ZED, before.roster.id), by=ZED.endpoint)],
        BEN.endpoint,
        BEN.sign,
    )
    orphan = sign_roster(
        ROOM_ID,
        good.epoch,
        [*good.roster.entries, let_in(ZED, DAN, before.roster.id)],
        BEN.endpoint,
        BEN.sign,
    )
    rosters = (
        replace(good.roster, rotator=CAT.endpoint),
        replace(good.roster, entries=(forged, *good.roster.entries[1:])),
        replace(good.roster, room_id=RoomId(b"x" * 32)),
        rotated(BEN, before, secret=b"other".ljust(32)).roster,
        nobody,
        founder_too,
        orphan,
    )
    for roster in rosters:
        with pytest.raises(WireError):
            handed(CAT, before, BEN, replace(good, roster=roster))


# Being let in


def test_who_shows_the_sponsorship_of_a_member_in_this_epoch_is_one() -> None:
    before = room(BEN)
    after = step(seat(BEN), before, LetIn(CAT.endpoint), NOW_S).state
    after = step(seat(CAT), after, LetIn(DAN.endpoint), NOW_S).state
    chain = chain_of(after, DAN.endpoint)
    assert [it.member for it in chain] == [BEN.endpoint, CAT.endpoint, DAN.endpoint]
    heard = step(seat(ANN), room(BEN), Presented(chain), NOW_S).state
    assert heard.members == ids(ANN, BEN, CAT, DAN)
    with pytest.raises(NotAllowed, match="no member known here"):
        step(seat(ANN), room(), Presented(chain[1:]), NOW_S)


def test_an_sponsorship_of_another_epoch_by_a_former_member_or_by_oneself_lets_nobody_in() -> None:
    before = room(BEN)
    before = step(seat(BEN), before, LetIn(CAT.endpoint), NOW_S).state
    ours = rotated(ANN, before, BEN, secret=FRESH)
    assert [it.member for it in ours.roster.gone] == [BEN.endpoint]
    for sponsorship in (
        let_in(BEN, ANN, before.roster.id),
        let_in(ZED, BEN, ours.roster.id),
        let_in(ZED, ZED, ours.roster.id),
        replace(let_in(ZED, ANN, ours.roster.id), signature=bytes(64)),
        replace(let_in(ZED, ANN, ours.roster.id), by=CAT.endpoint),
    ):
        with pytest.raises(NotAllowed):
            step(seat(ANN), ours, Presented((sponsorship,)), NOW_S)


def test_who_was_removed_and_is_let_in_anew_keeps_those_it_had_brought_in() -> None:
    before = room(BEN)
    before = step(seat(BEN), before, LetIn(CAT.endpoint), NOW_S).state
    ours = rotated(ANN, before, BEN, secret=FRESH)
    again = step(seat(CAT), ours, LetIn(BEN.endpoint), NOW_S).state
    assert again.members == ids(ANN, BEN, CAT)
    after = rotated(ANN, again, secret=b"2" * 32)
    assert (after.members, after.roster.gone) == (again.members, ())
    assert handed(CAT, again, ANN, after).state.epoch == after.epoch


def test_what_an_inviter_gives_is_checked() -> None:
    state = step(seat(ANN), room(BEN), LetIn(ZED.endpoint), NOW_S).state
    chain = chain_of(state, ZED.endpoint)

    def given(
        founding: Founding = FOUNDING,
        by: NodeKey = ANN,
        roster: Roster = state.roster,
        chain: tuple[Sponsorship, ...] = chain,
    ) -> PrivateState:
        return invited(seat(ZED), founding, by.endpoint, state.epoch, roster, chain, NOW_S)

    assert given().members == ids(ANN, ZED)
    with pytest.raises(WireError):
        given(founding=Founding(BEN.endpoint, b"n" * 32))
    with pytest.raises(WireError):
        given(by=DAN)
    with pytest.raises(WireError):
        given(roster=replace(state.roster, number=1))
    for wrong in ((), (let_in(BEN, ANN, state.roster.id),), (let_in(ZED, DAN, state.roster.id),)):
        with pytest.raises(WireError):
            given(chain=wrong)


# Shares


def made_up(count: int) -> list[NodeKey]:
    return [NodeKey(number.to_bytes(32, "big")) for number in range(1, count + 1)]


def test_one_member_brings_in_no_more_than_its_share_by_whatever_keys() -> None:
    """Ben makes up members that let in each other; Ann can let in others all the same."""
    state = room(BEN)
    keys, refused = [BEN, *made_up(160)], 0
    for number, key in enumerate(keys[1:]):
        sponsor = keys[number // 3]
        try:
            chain = (let_in(key, sponsor, state.roster.id),)
            state = step(seat(ANN), state, Presented(chain), NOW_S).state
        except (Busy, NotAllowed):
            refused += 1
    assert SHARE_MIN < len(state.members) - 2 <= MEMBERS_MAX // 4
    assert refused >= 160 - MEMBERS_MAX // 4
    assert step(seat(ANN), state, LetIn(DAN.endpoint), NOW_S).state.members.count(DAN.endpoint) == 1


def test_a_roster_with_more_than_its_rotators_share_is_refused() -> None:
    before = room(BEN, CAT)
    many = [let_in(key, BEN, before.roster.id) for key in made_up(MEMBERS_MAX // 4 + 1)]
    known = list(sponsorships_of(before).values())
    given = rogue(BEN, Epoch(1, FRESH), *known, *many, past=(before.roster.id,))
    with pytest.raises(WireError, match="has brought in as many"):
        handed(CAT, before, BEN, given)


def test_a_removal_can_take_along_all_that_the_removed_one_had_brought_in() -> None:
    state = room(BEN, DAN)
    state = step(seat(BEN), state, LetIn(CAT.endpoint), NOW_S).state
    state = step(seat(CAT), state, LetIn(ZED.endpoint), NOW_S).state
    assert brought_in(state, {BEN.endpoint}) == {CAT.endpoint, ZED.endpoint}
    assert brought_in(state, {DAN.endpoint}) == frozenset()
    after = rotated(ANN, state, BEN, CAT, ZED, secret=FRESH)
    assert (after.members, after.roster.gone) == (ids(ANN, DAN), ())


# Being told that one was left out


def test_who_is_shown_a_roster_without_it_believes_it_once_a_second_member_agrees() -> None:
    before = room(BEN, CAT, DAN)
    roster = rotated(BEN, before, CAT, secret=FRESH).roster
    doubts = shown(seat(CAT), before, Doubts(), BEN.endpoint, roster)
    assert not doubts.is_out(before, CAT.endpoint)
    assert set(doubts.to_ask(before, CAT.endpoint)) == {ANN.endpoint, DAN.endpoint}
    liar_again = doubts.answered(BEN.endpoint, knows_us=False)
    assert not liar_again.is_out(before, CAT.endpoint)
    agreed = doubts.answered(DAN.endpoint, knows_us=False)
    assert agreed.is_out(before, CAT.endpoint)
    denied = doubts.answered(ANN.endpoint, knows_us=True)
    assert denied == Doubts()


def test_in_a_room_of_two_there_is_nobody_else_to_ask() -> None:
    before = room(BEN)
    roster = rotated(ANN, before, BEN, secret=FRESH).roster
    doubts = shown(seat(BEN), before, Doubts(), ANN.endpoint, roster)
    assert doubts.is_out(before, BEN.endpoint)


def test_a_roster_that_proves_nothing_is_not_believed() -> None:
    before = room(BEN, CAT)
    once = rotated(BEN, before, CAT, secret=FRESH)
    ours = rotated(ANN, rotated(ANN, before, secret=b"1" * 32), secret=b"2" * 32)
    with pytest.raises(WireError):  # Of an epoch before ours: we came back since.
        shown(seat(CAT), ours, Doubts(), BEN.endpoint, once.roster)
    with pytest.raises(WireError):
        shown(seat(BEN), before, Doubts(), ANN.endpoint, once.roster)
    forged = replace(once.roster, signature=bytes(64))
    with pytest.raises(WireError):
        shown(seat(CAT), before, Doubts(), BEN.endpoint, forged)
    by_zed = rogue(ZED, Epoch(3, FRESH), *once.roster.entries, let_in(ZED, BEN, before.roster.id))
    for by in (BEN, ZED):
        with pytest.raises(NotAllowed):
            shown(seat(CAT), before, Doubts(), by.endpoint, by_zed.roster)


def test_that_members_don_t_know_this_node_is_a_hint_and_no_proof() -> None:
    before = room(BEN, CAT)
    once = Doubts().answered(ANN.endpoint, knows_us=False)
    twice = once.answered(BEN.endpoint, knows_us=False)
    assert not once.seems_out(before, (BEN.endpoint,))
    assert once.seems_out(before, (ANN.endpoint,))
    assert twice.seems_out(before, ())
    assert not twice.is_out(before, CAT.endpoint)
    assert not once.answered(ANN.endpoint, knows_us=True).seems_out(before, ())


# The keyring


def test_a_new_epoch_has_new_keys_and_no_doubts() -> None:
    before = room(BEN)
    keyring = Keyring(ROOM_ID, ANN.endpoint, before, ANN.sign)
    keyring.doubts = Doubts().answered(BEN.endpoint, knows_us=False)
    more = step(seat(ANN), before, LetIn(CAT.endpoint), NOW_S).state
    keyring.take(more)
    assert keyring.is_member(CAT.endpoint)
    assert keyring.doubts != Doubts()
    after = rotated(ANN, more, CAT, secret=FRESH)
    keyring.take(after)
    assert keyring.newest == epoch_keys(ROOM_ID, after.epoch)
    assert not keyring.is_member(CAT.endpoint)
    assert keyring.doubts == Doubts()


def test_no_secret_is_shown_by_accident() -> None:
    state = rotated(ANN, room(BEN), secret=b"SECRET" + bytes(26))
    keyring = Keyring(ROOM_ID, ANN.endpoint, state, ANN.sign)
    for it in (repr(keyring), repr(keyring.state), repr(keyring.newest), repr(keyring.seat)):
        assert "SECRET" not in it
        assert repr(keyring.newest.seal)[2:-1] not in it
        assert repr(keyring.newest.topic)[2:-1] not in it
