from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from buddies_core.errors import StoreError
from buddies_core.model.ids import RoomName, open_room_id
from buddies_core.model.policy import Policy
from buddies_core.store.rocks import RocksStore
from buddies_core.trust.policies import Policies
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.person import an_ed25519_signer

DEMO, OTHER = open_room_id(RoomName("demo")), open_room_id(RoomName("other"))
ANN, BEN = an_ed25519_signer(b"1").identity, an_ed25519_signer(b"2").identity


async def test_a_room_is_open_until_it_has_a_policy_and_again_when_that_is_cleared() -> None:
    store = InMemoryStore()
    policies = Policies(store)
    assert (policies.is_open(DEMO), policies.of(DEMO)) == (True, Policy())

    await policies.put(DEMO, Policy((ANN,)))
    heard = [policies.allows(DEMO, signer) for signer in (ANN, BEN, None)]
    assert (policies.is_open(DEMO), heard) == (False, [True, False, False])
    assert policies.allows(OTHER, None)
    assert (policies.names(ANN), policies.names(BEN)) == (True, False)

    await policies.put(DEMO, Policy())
    assert (policies.is_open(DEMO), store.policies.all()) == (True, ())


async def test_a_restart_keeps_the_policy(tmp_path: Path) -> None:
    async with RocksStore.open(tmp_path) as store:
        await Policies(store).put(DEMO, Policy((ANN,)))
    async with RocksStore.open(tmp_path) as store:
        assert Policies(store).of(DEMO) == Policy((ANN,))


async def test_a_policy_that_cannot_be_read_lets_in_nobody(tmp_path: Path) -> None:
    async with RocksStore.open(tmp_path) as store:
        await Policies(store).put(DEMO, Policy((ANN,)))
    database = Rdict(str(tmp_path), Options(raw_mode=True))
    database[b"q" + DEMO] = b"\xff"
    database.close()
    async with RocksStore.open(tmp_path) as store:
        policies = Policies(store)
        heard = [policies.allows(DEMO, signer) for signer in (ANN, None)]
        assert (policies.is_open(DEMO), heard, policies.names(ANN)) == (
            False,
            [False, False],
            False,
        )
        with pytest.raises(StoreError, match="set the policy anew"):
            policies.of(DEMO)
        await policies.put(DEMO, Policy((BEN,)))
        assert policies.allows(DEMO, BEN)
