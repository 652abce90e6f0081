"""A person's key vouches for an endpoint: believed when it does, once, and kept."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from nacl.signing import SigningKey

from buddies_core.clock import Clock
from buddies_core.errors import InvalidInput
from buddies_core.identity.binding import bind, binding_payload
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signers import Ed25519Signer
from buddies_core.identity.verifying import Verdict, Verification, Verifier
from buddies_core.model.identity import Binding, GpgIdentity, SignerIdentity, Verified
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.model.policy import Policy
from buddies_core.model.room import Member
from buddies_core.trust import bindings as bindings_module
from buddies_core.trust.bindings import UNCHECKED_MAX, UNCHECKED_PER_NEIGHBOR_MAX, Bindings
from buddies_core.trust.policies import Policies
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.person import an_ed25519_signer

ALICE = NodeKey(b"a" * 32).endpoint
BOB = NodeKey(b"b" * 32).endpoint
CAROL = NodeKey(b"c" * 32).endpoint
DAVE = NodeKey(b"d" * 32).endpoint
MALLORY = NodeKey(b"m" * 32).endpoint


ANNS_KEY = an_ed25519_signer(b"1", "ann@home")
ANN = an_ed25519_signer(b"1").identity
BENS_KEY = an_ed25519_signer(b"2")


class CountingVerifier:
    """Verifies, and counts how often it was asked."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._verifier = Verifier({}, clock or ManualClock())
        self.asked = 0
        self.answer: Verification | None = None

    async def __call__(
        self,
        identity: SignerIdentity,
        payload: bytes,
        signature: bytes,
        namespace: str,
        told_by: EndpointId | None = None,
    ) -> Verification:
        self.asked += 1
        return self.answer or await self._verifier.verify(identity, payload, signature, namespace)


@pytest.fixture
def counters() -> Counter[str]:
    return Counter()


@pytest.fixture
def store() -> InMemoryStore:
    return InMemoryStore()


@pytest.fixture
def verify() -> CountingVerifier:
    return CountingVerifier()


@pytest.fixture
def bindings(store: InMemoryStore, verify: CountingVerifier, counters: Counter[str]) -> Bindings:
    return Bindings(store, verify, counters, BOB)


def test_what_is_signed_names_the_endpoint_and_the_time() -> None:
    assert binding_payload(ALICE, 258) == b"buddies/2 endpoint" + ALICE + b"\0\0\0\0\0\0\1\2"


async def test_an_endpoint_is_vouched_for_by_whose_key_signed_for_it(
    bindings: Bindings, counters: Counter[str]
) -> None:
    assert bindings.signer_of(ALICE) is None
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))
    assert bindings.signer_of(ALICE) == ANN  # without the comment, which anybody can choose
    assert bindings.signer_of(MALLORY) is None
    assert counters == {}


async def test_the_binding_of_another_endpoint_is_worth_nothing(
    bindings: Bindings, counters: Counter[str]
) -> None:
    await bindings.take(MALLORY, await bind(ANNS_KEY, ALICE, 5))
    assert bindings.signer_of(MALLORY) is None
    assert counters == {"bindings_rejected": 1}


@pytest.mark.parametrize("forged", ["signer", "signed_at_ms", "signature"])
async def test_no_part_of_a_binding_can_be_changed(
    forged: str, bindings: Bindings, counters: Counter[str]
) -> None:
    good = await bind(ANNS_KEY, ALICE, 5)
    await bindings.take(
        ALICE,
        {
            "signer": replace(good, signer=BENS_KEY.identity),
            "signed_at_ms": replace(good, signed_at_ms=6),
            "signature": replace(good, signature=b"none"),
        }[forged],
    )
    assert bindings.signer_of(ALICE) is None
    assert counters == {"bindings_rejected": 1}


async def test_a_binding_is_verified_once_however_often_it_comes(
    bindings: Bindings, verify: CountingVerifier
) -> None:
    binding = await bind(ANNS_KEY, ALICE, 5)
    for _ in range(3):
        await bindings.take(ALICE, binding)
    assert verify.asked == 1


async def test_the_newest_binding_counts(bindings: Bindings) -> None:
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))
    await bindings.take(ALICE, await bind(BENS_KEY, ALICE, 6))
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 4))
    assert bindings.signer_of(ALICE) == BENS_KEY.identity


async def test_a_binding_outlives_a_restart(
    bindings: Bindings, store: InMemoryStore, counters: Counter[str]
) -> None:
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))
    verify = CountingVerifier()
    assert Bindings(store, verify, counters, BOB).signer_of(ALICE) == ANN
    assert verify.asked == 0


async def test_a_binding_that_cannot_be_checked_is_looked_at_again(
    bindings: Bindings, verify: CountingVerifier, counters: Counter[str]
) -> None:
    binding = Binding(GpgIdentity("AB" * 20), 5, b"signature")
    verify.answer = Verification(Verdict.UNKNOWN, "the key is not in the keyring")
    await bindings.take(ALICE, binding)
    assert bindings.signer_of(ALICE) is None
    assert counters == {"bindings_unknown": 1}
    verify.answer = Verification(Verdict.GOOD, signer=binding.signer)
    await bindings.take(ALICE, binding)
    assert bindings.signer_of(ALICE) == binding.signer


async def test_our_own_key_vouches_for_us(
    store: InMemoryStore, verify: CountingVerifier, counters: Counter[str]
) -> None:
    own = await bind(ANNS_KEY, BOB, 5)
    assert Bindings(store, verify, counters, BOB, own).signer_of(BOB) == ANN


async def test_a_key_that_lapses_vouches_no_longer(
    bindings: Bindings, store: InMemoryStore, verify: CountingVerifier, counters: Counter[str]
) -> None:
    binding = Binding(GpgIdentity("AB" * 20), 5, b"signature")
    verify.answer = Verification(Verdict.GOOD, signer=binding.signer)
    await bindings.take(ALICE, binding)
    assert await bindings.signer_in_force(ALICE) == binding.signer
    verify.answer = Verification(Verdict.UNKNOWN, "gpg is busy")
    assert await bindings.signer_in_force(ALICE) == binding.signer
    verify.answer = Verification(Verdict.WRONG, "gpg says: signing key has expired")
    assert await bindings.signer_in_force(ALICE) is None
    assert (store.bindings(), counters) == ((), {"bindings_lapsed": 1})


async def test_an_ssh_key_is_not_looked_at_again(
    bindings: Bindings, verify: CountingVerifier
) -> None:
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))
    assert await bindings.signer_in_force(ALICE) == ANN
    assert verify.asked == 1


async def test_whom_a_policy_names_is_kept_when_strangers_have_filled_the_places(
    store: InMemoryStore,
    verify: CountingVerifier,
    counters: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bindings_module, "BINDINGS_MAX", 1)
    policies = Policies(store)
    await policies.put(open_room_id(RoomName("demo")), Policy((ANN,)))
    bindings = Bindings(store, verify, counters, BOB, None, policies)
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5), MALLORY)
    made_up = await strangers(bindings, 3, told_by=MALLORY)
    assert [bindings.signer_of(it) for it in (ALICE, *made_up)] == [
        *(ANN, None, None),
        BENS_KEY.identity,
    ]
    # What a policy names later keeps its place from then on.
    await policies.put(open_room_id(RoomName("other")), Policy((BENS_KEY.identity,)))
    (later,) = await strangers(bindings, 1, told_by=MALLORY, key=an_ed25519_signer(b"3"))
    assert bindings.signer_of(made_up[-1]) == BENS_KEY.identity
    assert {it.endpoint for it in store.bindings()} == {ALICE, made_up[-1], later}


async def test_a_new_signer_finds_a_place_after_made_up_ones_have_filled_all(
    store: InMemoryStore,
    verify: CountingVerifier,
    counters: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bindings_module, "BINDINGS_MAX", 6)
    monkeypatch.setattr(bindings_module, "BINDINGS_PER_NEIGHBOR_MAX", 3)
    bindings = Bindings(store, verify, counters, BOB)
    known = EndpointId(b"known".ljust(32))
    await bindings.take(known, await bind(ANNS_KEY, known, 5), CAROL)
    made_up = await strangers(bindings, 8, told_by=MALLORY)
    assert bindings.signer_of(known) == ANN  # One neighbor fills no more than its share.
    await strangers(bindings, 3, told_by=DAVE)
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5), CAROL)
    assert bindings.signer_of(ALICE) == ANN
    assert {it.endpoint for it in store.bindings()} >= {ALICE, *made_up[-1:]}
    assert len(store.bindings()) == 6
    again = Bindings(store, verify, counters, BOB)
    assert again.signer_of(ALICE) == ANN


async def test_who_brings_its_own_binding_is_not_pushed_out_by_any_number_of_neighbors(
    store: InMemoryStore,
    verify: CountingVerifier,
    counters: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bindings_module, "BINDINGS_MAX", 6)
    bindings = Bindings(store, verify, counters, BOB)
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5), ALICE)
    for neighbor in (CAROL, DAVE, MALLORY):
        await strangers(bindings, 6, told_by=neighbor)
    assert bindings.signer_of(ALICE) == ANN


async def test_an_older_binding_does_not_replace_a_newer_one_that_is_checked_sooner(
    store: InMemoryStore, counters: Counter[str]
) -> None:
    older, newer = await bind(ANNS_KEY, ALICE, 5), await bind(BENS_KEY, ALICE, 6)
    let_go = asyncio.Event()

    async def slow_for_the_older(
        identity: SignerIdentity, payload: bytes, signature: bytes, *_: object
    ) -> Verification:
        if signature == older.signature:
            await let_go.wait()
        return Verification(Verdict.GOOD, signer=identity)

    bindings = Bindings(store, slow_for_the_older, counters, BOB)
    async with asyncio.TaskGroup() as group:
        group.create_task(bindings.take(ALICE, older))
        await asyncio.sleep(0)
        await bindings.take(ALICE, newer)
        let_go.set()
    assert bindings.signer_of(ALICE) == BENS_KEY.identity
    assert [it.signed_at_ms for it in store.bindings()] == [6]


async def test_a_binding_that_gpg_is_too_busy_for_is_not_taken_for_one_without_a_key(
    bindings: Bindings, verify: CountingVerifier, counters: Counter[str]
) -> None:
    binding = Binding(GpgIdentity("AB" * 20), 5, b"signature")
    verify.answer = Verification(Verdict.BUSY, "too many signatures wait for gpg")
    assert not await bindings.take(ALICE, binding)
    assert bindings.unchecked_signer_of(ALICE) is None
    assert counters == {"bindings_not_checked": 1}
    verify.answer = Verification(Verdict.GOOD, signer=binding.signer)
    assert await bindings.take(ALICE, binding)
    assert bindings.signer_of(ALICE) == binding.signer


async def test_whose_key_is_missing_is_remembered_of_each_neighbor_for_so_many(
    bindings: Bindings, verify: CountingVerifier
) -> None:
    binding = Binding(GpgIdentity("AB" * 20), 5, b"signature")
    verify.answer = Verification(Verdict.UNKNOWN, "the key is not in the keyring")
    await bindings.take(ALICE, binding, CAROL)
    for number in range(UNCHECKED_MAX + 1):
        await bindings.take(EndpointId(number.to_bytes(32, "big")), binding, MALLORY)
    assert bindings.unchecked_signer_of(ALICE) == binding.signer
    assert len(bindings._unchecked) == 1 + UNCHECKED_PER_NEIGHBOR_MAX


async def strangers(
    bindings: Bindings, count: int, *, told_by: EndpointId, key: Ed25519Signer = BENS_KEY
) -> list[EndpointId]:
    """Take in so many made-up endpoints that a key vouches for; return them."""
    made_up = [
        EndpointId(
            told_by[:16] + bytes(key.identity.public_key[-8:], "ascii") + n.to_bytes(8, "big")
        )
        for n in range(count)
    ]
    for endpoint in made_up:
        await bindings.take(endpoint, await bind(key, endpoint, 5), told_by)
    return made_up


async def test_a_key_too_large_for_a_broadcast_cannot_vouch() -> None:
    class Large(Ed25519Signer):
        async def sign(self, payload: bytes, namespace: str) -> bytes:
            return bytes(2500)

    large = Large(ANNS_KEY.identity, SigningKey(b"1" * 32))
    with pytest.raises(InvalidInput, match="take an Ed25519 key"):
        await bind(large, ALICE, 5)


async def test_a_member_is_shown_with_the_signer_that_vouches_for_it(bindings: Bindings) -> None:
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))
    alice, carol, legacy = (
        Member(endpoint=ALICE, name="alice"),
        Member(endpoint=CAROL, name="carol"),
        Member(endpoint=ALICE, name="rusty", speaks_direct=False),
    )
    assert [bindings.shown(it) for it in (alice, carol, legacy)] == [
        replace(alice, verified=Verified.SIGNER, signed_by=ANN.label),
        replace(carol, verified=Verified.PEER),
        legacy,
    ]


async def test_only_an_endpoint_whose_signer_a_policy_names_is_named(
    store: InMemoryStore, verify: CountingVerifier, counters: Counter[str]
) -> None:
    policies = Policies(store)
    await policies.put(open_room_id(RoomName("demo")), Policy((ANN,)))
    bindings = Bindings(store, verify, counters, BOB, None, policies)
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))
    await bindings.take(CAROL, await bind(BENS_KEY, CAROL, 5))
    assert [bindings.is_named(it) for it in (ALICE, CAROL, DAVE)] == [True, False, False]
