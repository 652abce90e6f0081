"""A private room among honest and hostile members: who is let in, removed, away, deceived. Seeded.

    python -m tests.simulation.private_rooms [--seeds N | --seed N]

Honest members follow `rooms.private.membership`. Hostile ones share all they know, sign whatever
they like with any number of keys, and speak to anybody who is on. They know the id of every epoch,
but only the secrets that they were handed. Signatures are stand-ins, as true ones take most of the
time: nobody makes one without the key.
"""

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from buddies_core.errors import BuddiesError
from buddies_core.model.ids import EndpointId, EpochId, RoomId, RoomName
from buddies_core.model.private import (
    Epoch,
    Founding,
    PrivateState,
    Roster,
    Sponsorship,
    private_room_id,
)
from buddies_core.rooms.private.doubts import Doubts, shown
from buddies_core.rooms.private.membership import (
    NUMBER_ALWAYS_TAKEN,
    NUMBERS_BEGIN_S,
    Dismiss,
    Event,
    Handed,
    LetIn,
    Presented,
    RotationAsked,
    Seat,
    Tell,
    founded,
    invited,
    step,
)
from buddies_core.rooms.private.sponsors import chain_of, sponsors_of, sponsorships_of
from buddies_core.wire.private import sign_roster, sign_sponsorship

BEGIN_S = 1_800_000_000.0
HEALED_WITHIN_ROUNDS = 6
"""In a round each honest member asks each other one that is a member to it, in any order."""


class Broken(AssertionError):
    """An invariant does not hold."""


def _stamp(key: EndpointId, payload: bytes) -> bytes:
    return hashlib.sha512(b"stand-in for a key" + key + payload).digest()


def verify(key: EndpointId, payload: bytes, signature: bytes) -> bool:
    """Whether the stand-in for a signature is this key's."""
    return _stamp(key, payload) == signature


def sign_as(key: EndpointId) -> Callable[[bytes], bytes]:
    return lambda payload: _stamp(key, payload)


@dataclass
class Member:
    """An honest member."""

    name: str
    seat: Seat
    state: PrivateState
    doubts: Doubts = field(default_factory=Doubts)
    is_on: bool = True
    side: int = 0
    """Members on different sides of a partition don't reach each other."""
    is_free: bool = False
    """Whether it has removed all hostile ones, or was let in by one that had."""
    been_in: set[EpochId] = field(default_factory=set)

    @property
    def me(self) -> EndpointId:
        return self.seat.me

    @property
    def members(self) -> frozenset[EndpointId]:
        return frozenset(self.state.members)


@dataclass
class Coven:
    """The hostile ones: members, former members, and keys that they make."""

    keys: list[EndpointId] = field(default_factory=list)
    secrets: dict[EpochId, Epoch] = field(default_factory=dict)
    rosters: list[Roster] = field(default_factory=list)
    sponsorships: dict[EndpointId, Sponsorship] = field(default_factory=dict)


class World:
    """One room, one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now_s = BEGIN_S
        self.log: list[str] = []
        self.coven = Coven()
        self.ids: list[EpochId] = []
        self._names: dict[EndpointId, str] = {}
        self.room_id = RoomId(b"")
        self.founding = Founding(self._key("founder"), self._secret())
        self.room_id = private_room_id(RoomName("secret"), self.founding)
        seat = self._seat(self.founding.founder)
        self.honest = [Member("founder", seat, founded(seat, self.founding, self._secret()))]
        self._note(self.honest[0])
        for number in range(self.rng.randint(1, 8)):
            self._join(f"honest{number}")
        for number in range(self.rng.randint(0, 3)):
            self._let_in_hostile(self.rng.choice(self.honest), f"hostile{number}")
        self._all_hear()

    # What the seed decides

    def run(self, events: int) -> None:
        """Let so many things happen, and check the invariants after each."""
        happenings = (
            [self._meet] * 8
            + [self._attack] * 8
            + [self._rotate, self._remove_hostile, self._newcomer, self._hear, self._redeem] * 2
            + [self._come_or_go] * 3
            + [self._remove_anybody, self._partition]
        )
        for _ in range(events):
            self.now_s += 1
            before = {it.me: it.state for it in self.honest}
            self.rng.choice(happenings)()
            self._check(before)

    def heal(self) -> None:
        """Have everybody on and in reach, and check that those who count each other in agree."""
        for one in self.honest:
            one.is_on, one.side = True, 0
        self._say("healed")
        for _ in range(HEALED_WITHIN_ROUNDS):
            self.now_s += 60
            pairs = [(a, b) for a in self.honest for b in self.honest if a is not b]
            self.rng.shuffle(pairs)
            for one, other in pairs:
                before = {it.me: it.state for it in self.honest}
                self._catch_up(one, other)
                self._check(before)
            self._all_hear()
        for one in self.honest:
            for other in self.honest:
                mutual = other.me in one.members and one.me in other.members
                if mutual and one.state.roster.id != other.state.roster.id:
                    raise Broken(f"{one.name} and {other.name} are members of each other, apart")
                here = {it.me for it in self.honest if it.state.roster.id == one.state.roster.id}
                if mutual and (one.members ^ other.members) & here:
                    raise Broken(f"{one.name} and {other.name} don't hear the same members")

    # Honest members

    def _meet(self) -> None:
        one, other = self._two()
        self._catch_up(one, other)

    def _rotate(self) -> None:
        one = self.rng.choice(self.honest)
        self._step(one, RotationAsked(frozenset(), self._secret()), "rotates")

    def _remove_hostile(self) -> None:
        one = self.rng.choice(self.honest)
        hostile = frozenset(it for it in one.members if it in self.coven.keys)
        if hostile and one.is_on:
            self._step(one, RotationAsked(hostile, self._secret()), "removes all hostile ones")

    def _remove_anybody(self) -> None:
        one = self.rng.choice(self.honest)
        others = sorted(one.members - {one.me})
        if others and one.is_on:
            gone = self.rng.choice(others)
            asked = RotationAsked(frozenset({gone}), self._secret())
            self._step(one, asked, f"removes {self._names[gone]}")

    def _newcomer(self) -> None:
        if len(self.honest) < 9:
            self._join(f"honest{len(self.honest)}")

    def _join(self, name: str) -> None:
        inviter = self.rng.choice(self.honest)
        key = self._key(name)
        if self.coven.secrets and self.rng.random() < 0.3:
            self._join_by_hostile(name, key)
            return
        if not inviter.is_on or not self._try(inviter, LetIn(key), f"lets in {name}"):
            return
        seat = self._seat(key)
        given = inviter.state
        chain = chain_of(given, key)
        args = (seat, self.founding, inviter.me, given.epoch, given.roster, chain, self.now_s)
        try:
            state = invited(*args)
        except BuddiesError as error:
            self._say(f"{name} refuses: {error}")
            return
        one = Member(name, seat, state, side=inviter.side, is_free=inviter.is_free)
        # Whom the inviter has let in is heard soon.
        self.honest.append(one)
        self._note(one)

    def _join_by_hostile(self, name: str, key: EndpointId) -> None:
        """Come in by the invite of one that others know to be hostile, or don't know yet."""
        by = self.rng.choice(self.coven.keys)
        roster = self.rng.choice([it for it in self.coven.rosters if it.id in self.coven.secrets])
        entry = sign_sponsorship(self.room_id, roster.id, key, by, sign_as(by))
        chain = (*self._hostile_chain(self.coven.sponsorships[by])[:4], entry)
        seat, epoch = self._seat(key), self.coven.secrets[roster.id]
        with suppress(BuddiesError):
            state = invited(seat, self.founding, by, epoch, roster, chain, self.now_s)
            one = Member(name, seat, state)
            self.honest.append(one)
            self._note(one)
            self._say(f"{self._names[by]} lets in {name}: {self._shown(one)}")

    def _hear(self) -> None:
        one, other = self._two()
        self._hears(one, other)

    def _hears(self, one: Member, other: Member) -> None:
        """Hear another's presence, which opens in the same epoch alone."""
        if self._reach(one, other) and one.state.roster.id == other.state.roster.id:
            chain = chain_of(other.state, other.me)
            if other.me not in one.members:
                self._try(one, Presented(chain), f"hears {other.name}")

    def _all_hear(self) -> None:
        """Hear everybody's presence, also of the hostile ones."""
        for one in self.honest:
            for other in self.honest:
                if one is not other:
                    self._hears(one, other)
            for entry in list(self.coven.sponsorships.values()):
                if entry.during == one.state.roster.id and entry.member not in one.members:
                    with suppress(BuddiesError):
                        chain = self._hostile_chain(entry)
                        one.state = step(one.seat, one.state, Presented(chain), self.now_s).state

    def _hostile_chain(self, entry: Sponsorship) -> tuple[Sponsorship, ...]:
        chain = [entry]
        known = self.coven.sponsorships
        while (before := known.get(chain[0].by)) and before not in chain:
            chain.insert(0, before)
        for one in self.honest:
            if found := chain_of(one.state, chain[0].by):
                return (*found, *chain)
        return tuple(chain)

    def _come_or_go(self) -> None:
        one = self.rng.choice(self.honest)
        one.is_on = not one.is_on
        self._say(f"{one.name} is {'on' if one.is_on else 'off'}")

    def _partition(self) -> None:
        for one in self.honest:
            one.side = self.rng.randrange(2)
        self._say("partition: " + " ".join(it.name for it in self.honest if it.side))

    def _catch_up(self, one: Member, other: Member) -> None:
        """Ask a member for its epoch, as `Epochs.catch_up` does."""
        if not self._reach(one, other) or other.me not in one.members:
            return
        if one.me not in other.members:
            one.doubts = one.doubts.answered(other.me, knows_us=False)
            return
        one.doubts = one.doubts.answered(other.me, knows_us=True)
        self._say(f"{one.name} asks {other.name}")
        if not self._is_handed(one, other) and one.state.roster.id != other.state.roster.id:
            self._hand_to(one, other)

    def _is_handed(self, one: Member, by: Member) -> bool:
        before = one.state
        handed = Handed(by.me, by.state.epoch, by.state.roster, by.state.past, self._secret())
        self._try(one, handed, f"is handed an epoch by {by.name}")
        return one.state is not before

    def _hand_to(self, one: Member, other: Member) -> None:
        if one.me in other.members and self._reach(one, other):
            self._is_handed(other, one)
            if one.state.roster.id != other.state.roster.id and other.me in one.members:
                self._is_handed(one, other)

    def _step(self, one: Member, event: Event, what: str) -> None:
        if one.is_on:
            self._try(one, event, what)

    def _try(self, one: Member, event: Event, what: str) -> bool:
        """Have an event change a member's state, and carry out what follows."""
        try:
            taken = step(one.seat, one.state, event, self.now_s)
        except BuddiesError as error:
            self._say(f"{one.name} {what}: refused: {error}")
            return False
        if taken.state is one.state:
            return True
        if taken.state.roster.id != one.state.roster.id:
            one.doubts = Doubts()
        one.state = taken.state
        self._note(one)
        self._say(f"{one.name} {what}: {self._shown(one)}")
        for effect in taken.effects:
            match effect:
                case Tell(members):
                    self._tell(one, members)
                case Dismiss(former):
                    self._dismiss(one, former)
        return True

    def _tell(self, one: Member, members: tuple[EndpointId, ...]) -> None:
        known = {it.me: it for it in self.honest}
        for key in members:
            if key not in one.members:
                continue  # The one before has handed over an epoch without it.
            if key in self.coven.keys:
                self._learn(one.state.epoch, one.state.roster)
            elif key in known:
                self._hand_to(one, known[key])

    def _dismiss(self, one: Member, former: tuple[EndpointId, ...]) -> None:
        roster = one.state.roster
        self.coven.rosters.append(roster)
        for other in self.honest:
            if other.me in former and self._reach(one, other):
                self._show(other, one.me, roster)

    def _show(self, one: Member, by: EndpointId, roster: Roster) -> None:
        """Show a member a roster without it; it asks others whether that is so."""
        try:
            one.doubts = shown(one.seat, one.state, one.doubts, by, roster)
        except BuddiesError:
            return
        self._say(f"{one.name} is shown a roster without it by {self._names[by]}")
        honest = {it.me: it for it in self.honest}
        for peer in one.doubts.to_ask(one.state, one.me)[:4]:
            if peer in self.coven.keys:
                knows_us = self.rng.random() < 0.5
                one.doubts = one.doubts.answered(peer, knows_us=knows_us)
            elif peer in honest:
                self._catch_up(one, honest[peer])
            if one.doubts.shown is None or one.doubts.is_out(one.state, one.me):
                break

    # Hostile ones

    def _redeem(self) -> None:
        """Come in by an invite that was made while the hostile ones were members."""
        inviter = self.rng.choice(self.honest)
        if inviter.is_on and not self._is_clean(inviter):
            self._let_in_hostile(inviter, f"fresh{len(self.coven.keys)}")

    def _let_in_hostile(self, inviter: Member, name: str) -> None:
        key = self._key(name)
        if not self._try(inviter, LetIn(key), f"lets in {name}"):
            return
        self.coven.keys.append(key)
        self.coven.sponsorships[key] = sponsorships_of(inviter.state)[key]
        self._learn(inviter.state.epoch, inviter.state.roster)

    def _attack(self) -> None:
        if not self.coven.keys:
            return
        attacks = [self._rogue_epoch] * 4 + [self._hoard, self._lie, self._replay, self._ask]
        self.rng.choice(attacks)()

    def _victim(self) -> tuple[Member, EndpointId]:
        """Return somebody who is on, and a hostile key, if possible one that they still believe."""
        victim = self.rng.choice([it for it in self.honest if it.is_on] or self.honest)
        believed = [it for it in self.coven.keys if it in victim.members]
        return victim, self.rng.choice(believed or self.coven.keys)

    def _rogue_epoch(self) -> None:
        """Hand somebody an epoch of one's own making: any number, any members, any claim."""
        rng = self.rng
        victim, by = self._victim()
        signer = rng.choice([by, self._fresh_key(by, victim)])
        known = {**self._all_known(victim), **self.coven.sponsorships}
        if signer not in known:
            return
        some = [it for it in known if rng.random() < rng.choice((0.3, 0.7, 1.0))]
        stay = {signer, *some, *((victim.me,) if rng.random() < 0.9 else ())} & set(known)
        number = rng.choice(
            (
                victim.state.epoch.number,
                victim.state.epoch.number + 1,
                victim.state.epoch.number + rng.randint(2, 50),
                NUMBER_ALWAYS_TAKEN,
                NUMBERS_BEGIN_S,
                int(self.now_s - NUMBERS_BEGIN_S) + rng.choice((-1, 0, 1)),
                2**32 - 2,
            )
        )
        epoch = Epoch(number, self._secret())
        roster = self._signed(epoch, stay, known, signer)
        if roster is None:
            return
        self._learn(epoch, roster)
        past = tuple(rng.sample(self.ids, rng.choice((0, min(3, len(self.ids)), len(self.ids)))))
        if rng.random() < 0.5:
            past = (*past, victim.state.roster.id)
        handed = Handed(by, epoch, roster, past, self._secret())
        self._step(victim, handed, f"is handed an epoch of {self._names[signer]}'s making")

    def _signed(
        self,
        epoch: Epoch,
        stay: set[EndpointId],
        known: dict[EndpointId, Sponsorship],
        signer: EndpointId,
    ) -> Roster | None:
        gone: set[EndpointId] = set()
        for member in stay:
            with suppress(BuddiesError):
                gone |= set(sponsors_of(member, known, self.founding.founder)) - stay
        if not gone <= known.keys():
            return None
        return sign_roster(
            self.room_id,
            epoch,
            [known[it] for it in stay],
            signer,
            sign_as(signer),
            gone=[known[it] for it in gone],
        )

    def _fresh_key(self, by: EndpointId, victim: Member) -> EndpointId:
        """Make a key, and let it in by a hostile one."""
        key = self._key(f"fresh{len(self.coven.keys)}")
        during = self.rng.choice((victim.state.roster.id, self.rng.choice(self.ids)))
        self.coven.keys.append(key)
        self.coven.sponsorships[key] = sign_sponsorship(self.room_id, during, key, by, sign_as(by))
        return key

    def _hoard(self) -> None:
        """Let in as many as one can, by way of each other."""
        victim, by = self._victim()
        for _ in range(self.rng.choice((5, 5, 20, 40))):
            key = self._fresh_key(by, victim)
            entry = sign_sponsorship(self.room_id, victim.state.roster.id, key, by, sign_as(by))
            self.coven.sponsorships[key] = entry
            if victim.is_on:
                with suppress(BuddiesError):
                    victim.state = step(
                        victim.seat, victim.state, Presented((entry,)), self.now_s
                    ).state
            if self.rng.random() < 0.2:
                by = key
        self._say(f"hoarded at {victim.name}: {len(victim.members)} members")

    def _lie(self) -> None:
        """Tell somebody that it was left out."""
        victim, by = self._victim()
        without = [it for it in self.coven.rosters if victim.me not in it.members]
        epoch = Epoch(victim.state.epoch.number + 1, self._secret())
        known = {**self._all_known(victim), **self.coven.sponsorships}
        if by in known:
            made = self._signed(epoch, {by, *known} - {victim.me}, known, by)
            without += [made] if made else []
        if without and victim.is_on:
            self._show(victim, by, self.rng.choice(without))

    def _replay(self) -> None:
        """Hand over an old epoch that one was handed oneself."""
        victim, by = self._victim()
        known = [it for it in self.coven.rosters if it.id in self.coven.secrets]
        if known:
            roster = self.rng.choice(known)
            past = (victim.state.roster.id,) if self.rng.random() < 0.5 else ()
            epoch = self.coven.secrets[roster.id]
            handed = Handed(by, epoch, roster, past, self._secret())
            self._step(victim, handed, f"is handed an old epoch by {self._names[by]}")

    def _ask(self) -> None:
        """Ask for the epoch of somebody that still counts one in."""
        victim, by = self._victim()
        if victim.is_on and by in victim.members:
            self._learn(victim.state.epoch, victim.state.roster)

    def _learn(self, epoch: Epoch, roster: Roster) -> None:
        self.coven.secrets[roster.id] = epoch
        self.coven.rosters.append(roster)
        self.ids.append(roster.id)

    # Invariants

    def _check(self, before: dict[EndpointId, PrivateState]) -> None:
        for one in self.honest:
            was = before.get(one.me)
            hostile = one.members & set(self.coven.keys)
            if one.is_free and hostile:
                raise Broken(f"{self._names[min(hostile)]} is a member again to {one.name}")
            if was and not hostile and not set(was.members).isdisjoint(self.coven.keys):
                one.is_free = True
            if one.is_free and one.state.epoch in self.coven.secrets.values():
                raise Broken(f"{one.name} is read by those it has removed")
            self._check_shares(one)
            if was and was.roster.id != one.state.roster.id:
                if one.state.roster.id in one.been_in:
                    raise Broken(f"{one.name} has gone back to an old secret")
                if one.state.epoch.number < was.epoch.number:
                    raise Broken(f"{one.name} has gone back to a lower number")
            one.been_in.add(one.state.roster.id)
            self._check_out(one)

    def _check_shares(self, one: Member) -> None:
        """Count anew, without the code that is tested, how many each has brought in."""
        known = sponsorships_of(one.state)
        brought = Counter[EndpointId]()
        depths = {}
        for member in known:
            way = [member]
            while way[-1] != self.founding.founder:
                way.append(known[way[-1]].by)
            depths[member] = len(way) - 1
            brought.update(way[1:])
        for sponsor, count in brought.items():
            if count > max(16, 500 // 4 ** depths[sponsor]):
                raise Broken(f"{self._names[sponsor]} has brought in {count} to {one.name}")

    def _check_out(self, one: Member) -> None:
        if not one.doubts.is_out(one.state, one.me):
            return
        liars = one.members & set(self.coven.keys)
        others = [it for it in self.honest if it.me in one.members and it is not one]
        if len(liars) <= 1 and others and all(one.me in it.members for it in others):
            raise Broken(f"{one.name} believes one liar that it was left out")

    def _is_clean(self, one: Member) -> bool:
        return one.members.isdisjoint(self.coven.keys)

    # Odds and ends

    def _two(self) -> tuple[Member, Member]:
        one = self.rng.choice(self.honest)
        return one, self.rng.choice([it for it in self.honest if it is not one] or [one])

    def _reach(self, one: Member, other: Member) -> bool:
        return one is not other and one.is_on and other.is_on and one.side == other.side

    def _all_known(self, victim: Member) -> dict[EndpointId, Sponsorship]:
        known: dict[EndpointId, Sponsorship] = {}
        for roster in self.coven.rosters:
            known |= {it.member: it for it in (*roster.entries, *roster.gone)}
        return known | sponsorships_of(victim.state)

    def _key(self, name: str) -> EndpointId:
        key = EndpointId(hashlib.sha256(name.encode() + self.rng.randbytes(8)).digest())
        self._names[key] = name
        return key

    def _seat(self, key: EndpointId) -> Seat:
        return Seat(room_id=self.room_id, me=key, sign=sign_as(key), verify=verify)

    def _secret(self) -> bytes:
        return self.rng.randbytes(32)

    def _note(self, one: Member) -> None:
        self.ids.append(one.state.roster.id)

    def _say(self, what: str) -> None:
        self.log.append(what)

    def _shown(self, one: Member) -> str:
        state = one.state
        names = " ".join(sorted(self._names[it] for it in state.members)[:14])
        return f"epoch {state.epoch.number} {state.roster.id.hex()[:6]}: {names}"


def play(seed: int, events: int = 60) -> World:
    """Return the world after a seed's events and its healing.

    Raises:
        Broken: an invariant does not hold; the text says how to replay it.
    """
    world = World(seed)
    try:
        world.run(events)
        world.heal()
    except Broken as broken:
        tail = "\n".join(world.log[-40:])
        raise Broken(f"{broken}\nreplay: make sim-private SEED={seed}\n{tail}") from None
    return world


def main() -> int:
    """Play what the arguments say; return 1 if an invariant is broken."""
    parser = argparse.ArgumentParser(prog="make sim-private", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        world = World(arguments.seed)
        try:
            world.run(60)
            world.heal()
        finally:
            sys.stdout.writelines(line + "\n" for line in world.log)
        return 0
    for seed in range(arguments.seeds):
        play(seed)
    print(f"{arguments.seeds} seeds: all invariants hold")  # noqa: T201 - a program, not a test
    return 0


if __name__ == "__main__":
    sys.exit(main())
