"""An identity is revoked and restored: what that hides, what it counts, what it refuses."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from buddies_core.errors import BuddiesError, InvalidInput, NotAllowed, NotFound
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.resolving import Resolver
from buddies_core.model.identity import SignerIdentity, Verified
from buddies_core.model.ids import EndpointId
from buddies_core.model.revocation import ItemCounts, Revocation, RevocationView, peer_label
from buddies_core.store.rocks import RocksStore
from buddies_core.trust.revocations import Revocations
from tests.support.fakes.clocks import ManualClock
from tests.support.memories import ALICE, BOB, CAROL, a_memory, an_entry
from tests.support.skills import a_skill, a_skill_entry, a_vote
from tests.support.worlds.person import an_ed25519_signer

ANN = an_ed25519_signer(b"1").identity
BEN = an_ed25519_signer(b"2").identity
OUR_KEY = an_ed25519_signer(b"3").identity
NOBODY = an_ed25519_signer(b"4").identity
SIGNERS = {ALICE: ANN, CAROL: OUR_KEY}
"""Carol is this machine."""

OLD = a_memory(an_entry(1, author=ALICE), received_at_ms=99)
NEW = a_memory(an_entry(2, author=ALICE), received_at_ms=100)
BENS = replace(a_memory(an_entry(3, author=BOB), received_at_ms=100), signed_by=BEN.label)
SKILL = replace(
    a_skill(a_skill_entry(author=ALICE, signed_by=BEN, signature=b"s"), verified=Verified.SIGNER),
    received_at_ms=100,
)
VOTE = replace(a_vote(SKILL, ALICE), received_at_ms=100)
ALL = (OLD, NEW, BENS, SKILL, VOTE)


@dataclass
class Signers:
    known: dict[EndpointId, SignerIdentity] = field(default_factory=lambda: dict(SIGNERS))

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        return self.known.get(endpoint)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def signers() -> Signers:
    return Signers()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RocksStore]:
    async with RocksStore.open(tmp_path / "store") as store:
        for memory in (OLD, NEW, BENS):
            await store.put_memory(memory)
        await store.skills.put_skill(SKILL)
        await store.skills.put_vote(VOTE)
        yield store


def opened(store: RocksStore, signers: Signers, clock: ManualClock) -> Revocations:
    """Return the revocations of a daemon that has just started."""
    return Revocations(
        store=store,
        skills=store.skills,
        signers=signers,
        resolver=Resolver(Gpg({"PATH": "/no"})),
        endpoint=CAROL,
        clock=clock,
    )


@pytest.fixture
def revocations(store: RocksStore, signers: Signers, clock: ManualClock) -> Revocations:
    return opened(store, signers, clock)


def hidden(revocations: Revocations) -> tuple[object, ...]:
    return tuple(item for item in ALL if revocations.hides(item))


async def test_a_signer_takes_with_it_what_came_since_from_every_endpoint_it_is_bound_to(
    revocations: Revocations, signers: Signers, clock: ManualClock
) -> None:
    assert hidden(revocations) == ()
    view = await revocations.revoke(f"{ANN.label} ann@home", 100, own_too=False)
    assert view == RevocationView(
        revocation=Revocation(label=ANN.label, since_ms=100, revoked_at_ms=clock.wall_ms()),
        hidden=ItemCounts(memories=1, skills=1, votes=1),
        shown=ItemCounts(memories=1),
        is_own=False,
    )
    assert hidden(revocations) == (NEW, SKILL, VOTE)
    signers.known[BOB] = ANN
    assert hidden(revocations) == (NEW, BENS, SKILL, VOTE)
    assert (await revocations.revoked())[0].hidden == ItemCounts(memories=2, skills=1, votes=1)


async def test_a_key_takes_with_it_what_carries_its_signature_whoever_said_it(
    revocations: Revocations,
) -> None:
    await revocations.revoke(BEN.label, 100, own_too=False)
    assert hidden(revocations) == (BENS, SKILL)


async def test_an_endpoint_is_revoked_by_its_id_whoever_is_bound_to_it(
    revocations: Revocations,
) -> None:
    view = await revocations.revoke(f" Peer:{ALICE.hex().upper()}", 0, own_too=False)
    assert view.revocation.label == peer_label(ALICE)
    assert hidden(revocations) == (OLD, NEW, SKILL, VOTE)


async def test_restoring_shows_all_of_it_again_at_once(
    revocations: Revocations, store: RocksStore
) -> None:
    revoked = await revocations.revoke(ANN.label, 100, own_too=False)
    assert await revocations.restore(ANN.label) == revoked
    assert hidden(revocations) == ()
    assert await revocations.revoked() == ()
    assert store.revocations() == ()
    with pytest.raises(NotFound, match="is not revoked here; buddies-cli identity list"):
        await revocations.restore(ANN.label)


@pytest.mark.parametrize("given_back", [ANN, BEN])
async def test_giving_back_one_identity_gives_back_no_other(
    revocations: Revocations, given_back: SignerIdentity
) -> None:
    for identity in (ANN, BEN):
        await revocations.revoke(identity.label, 0, own_too=False)
    before = revocations.revision
    await revocations.restore(given_back.label)
    [left] = await revocations.revoked()
    assert {left.revocation.label, given_back.label} == {ANN.label, BEN.label}
    assert revocations.revision > before


async def test_what_came_after_the_time_is_hidden_too(revocations: Revocations) -> None:
    view = await revocations.revoke(ANN.label, 1, own_too=False)
    assert (view.hidden.memories, view.shown) == (2, ItemCounts())


async def test_what_two_revoked_identities_stand_behind_is_back_with_the_second(
    revocations: Revocations,
) -> None:
    await revocations.revoke(ANN.label, 100, own_too=False)
    await revocations.revoke(BEN.label, 100, own_too=False)
    assert (await revocations.restore(ANN.label)).hidden == ItemCounts(memories=1, votes=1)
    assert hidden(revocations) == (BENS, SKILL)
    await revocations.restore(BEN.label)
    assert hidden(revocations) == ()


async def test_a_daemon_that_starts_again_hides_the_same(
    revocations: Revocations, store: RocksStore, signers: Signers, clock: ManualClock
) -> None:
    await revocations.revoke(ANN.label, 100, own_too=False)
    again = opened(store, signers, clock)
    assert hidden(again) == hidden(revocations) == (NEW, SKILL, VOTE)
    assert await again.revoked() == await revocations.revoked()


async def test_the_later_word_on_an_identity_holds(revocations: Revocations) -> None:
    await revocations.revoke(ANN.label, 0, own_too=False)
    await revocations.revoke(ANN.label, 100, own_too=False)
    assert hidden(revocations) == (NEW, SKILL, VOTE)
    assert len(await revocations.revoked()) == 1


async def test_an_identity_that_nothing_is_known_of_is_revoked_all_the_same(
    revocations: Revocations,
) -> None:
    view = await revocations.revoke(NOBODY.label, 100, own_too=False)
    assert (view.hidden, view.shown) == (ItemCounts(), ItemCounts())
    assert hidden(revocations) == ()
    assert [it.revocation.label for it in await revocations.revoked()] == [NOBODY.label]


@pytest.mark.parametrize("own", [OUR_KEY.label, peer_label(CAROL)])
async def test_this_machines_own_identity_is_revoked_only_if_that_is_meant(
    revocations: Revocations, own: str
) -> None:
    with pytest.raises(NotAllowed, match=r"is this machine's own identity.*add --yes"):
        await revocations.revoke(own, 100, own_too=False)
    assert await revocations.revoked() == ()
    assert (await revocations.revoke(own, 100, own_too=True)).is_own


@pytest.mark.parametrize(
    ("label", "wrong"),
    [
        ("", "is no identity; write gpg:FINGERPRINT"),
        ("alice", "is no identity"),
        (ALICE.hex(), "or peer:ENDPOINT-ID"),
        ("peer:abcd", "which has 64 hex digits"),
        (f"peer:{'ab ' * 32}", "is no identity"),
        ("ssh:nonsense", "is no kind of SSH key"),
        (f"{ANN.label}\nssh:ssh-ed25519 AAAA", "is one line"),
        ("gpg:DEADBEEF", "too short to tell keys apart"),
    ],
)
async def test_what_names_no_identity_is_refused(
    revocations: Revocations, label: str, wrong: str
) -> None:
    for refused in (revocations.revoke(label, 0, own_too=True), revocations.restore(label)):
        with pytest.raises(InvalidInput, match=wrong):
            await refused
    assert await revocations.revoked() == ()


async def test_a_time_that_has_not_come_is_refused(
    revocations: Revocations, clock: ManualClock
) -> None:
    with pytest.raises(InvalidInput, match="has not come yet"):
        await revocations.revoke(ANN.label, clock.wall_ms() + 1, own_too=False)
    assert await revocations.revoked() == ()


async def test_a_fingerprint_is_restored_as_it_was_written_when_it_was_revoked(
    revocations: Revocations,
) -> None:
    await revocations.revoke("gpg:" + "ab" * 20, 0, own_too=False)
    assert (await revocations.restore("gpg:" + "AB" * 20)).revocation.since_ms == 0


async def test_a_disk_that_refuses_leaves_all_as_it_was(
    revocations: Revocations, store: RocksStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise BuddiesError("the disk is full")

    monkeypatch.setattr(store, "put_revocation", refuse)
    with pytest.raises(BuddiesError, match="the disk is full"):
        await revocations.revoke(ANN.label, 0, own_too=False)
    assert hidden(revocations) == ()
