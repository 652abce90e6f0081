"""A person's key vouches for an endpoint: believed when it does, once, and kept."""

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
from buddies_core.model.identity import Binding, GpgIdentity, SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.model.policy import Policy
from buddies_core.store.in_memory import InMemoryStore
from buddies_core.trust import bindings as bindings_module
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.policies import Policies
from tests.support.fakes.clocks import ManualClock
from tests.support.worlds.person import an_ed25519_signer

ALICE = NodeKey(b"a" * 32).endpoint
BOB = NodeKey(b"b" * 32).endpoint
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
        self, identity: SignerIdentity, payload: bytes, signature: bytes, namespace: str
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


async def test_whom_a_policy_names_is_kept_also_when_strangers_have_filled_the_place(
    store: InMemoryStore,
    verify: CountingVerifier,
    counters: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bindings_module, "BINDINGS_MAX", 0)
    policies = Policies(store)
    await policies.put(open_room_id(RoomName("demo")), Policy((ANN,)))
    bindings = Bindings(store, verify, counters, BOB, None, policies)
    await bindings.take(ALICE, await bind(ANNS_KEY, ALICE, 5))
    await bindings.take(MALLORY, await bind(BENS_KEY, MALLORY, 5))
    assert (bindings.signer_of(ALICE), bindings.signer_of(MALLORY)) == (ANN, None)
    assert counters == {"bindings_too_many": 1}


async def test_strangers_cannot_fill_the_disk(
    bindings: Bindings,
    store: InMemoryStore,
    counters: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bindings_module, "BINDINGS_MAX", 2)
    for number in range(3):
        endpoint = EndpointId(bytes([number]) * 32)
        await bindings.take(endpoint, await bind(ANNS_KEY, endpoint, 5))
    await bindings.take(EndpointId(bytes(32)), await bind(ANNS_KEY, EndpointId(bytes(32)), 6))
    assert [record.signed_at_ms for record in store.bindings()] == [6, 5]
    assert counters == {"bindings_too_many": 1}


async def test_a_key_too_large_for_a_broadcast_cannot_vouch() -> None:
    class Large(Ed25519Signer):
        async def sign(self, payload: bytes, namespace: str) -> bytes:
            return bytes(2500)

    large = Large(ANNS_KEY.identity, SigningKey(b"1" * 32))
    with pytest.raises(InvalidInput, match="take an Ed25519 key"):
        await bind(large, ALICE, 5)
