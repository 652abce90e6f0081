"""Keys that are revoked stop counting once gpg has written its keyring, also after a restart."""

from collections import Counter
from pathlib import Path

import pytest

from buddies_core.identity.verifying import Verdict, Verification
from buddies_core.model.identity import GpgIdentity, SignerIdentity
from buddies_core.model.ids import EndpointId
from buddies_core.store.records import BindingRecord
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.keyring_watch import RECHECK_EVERY_S, KeyringWatch
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import ALICE, BOB

KEY = GpgIdentity("A" * 40)


class AtGpg:
    """gpg, and what is remembered of what it said."""

    def __init__(self) -> None:
        self.verdict, self.known, self.asked = Verdict.GOOD, Verdict.GOOD, 0

    def forget_gpg(self) -> None:
        self.known = self.verdict

    async def verify(
        self,
        identity: SignerIdentity,
        payload: bytes,
        signature: bytes,
        namespace: str,
        told_by: EndpointId | None = None,
    ) -> Verification:
        self.asked += 1
        return Verification(self.known, signer=identity)


@pytest.fixture
async def store() -> InMemoryStore:
    store = InMemoryStore()
    await store.put_binding(
        BindingRecord(endpoint=BOB, signer=KEY, signed_at_ms=1, signature=b"signature")
    )
    return store


async def test_a_key_that_was_revoked_vouches_for_nobody_once_the_keyring_has_changed(
    store: InMemoryStore, tmp_path: Path
) -> None:
    gpg, clock = AtGpg(), ManualClock()
    bindings = Bindings(store, gpg.verify, Counter(), ALICE)
    watch = KeyringWatch({"GNUPGHOME": str(tmp_path)}, gpg, bindings, clock)
    await watch.look()
    assert bindings.signer_of(BOB) == KEY

    gpg.verdict = Verdict.WRONG
    asked = gpg.asked
    await watch.look()
    assert (bindings.signer_of(BOB), gpg.asked) == (KEY, asked), "nothing has changed on disk"
    (tmp_path / "pubring.kbx").write_bytes(b"with the revocation")
    await watch.look()
    assert (bindings.signer_of(BOB), bindings.lapsed) == (None, 1)
    assert store.bindings() == ()


async def test_a_key_that_was_revoked_while_the_daemon_was_off_vouches_for_nobody(
    store: InMemoryStore, tmp_path: Path
) -> None:
    gpg = AtGpg()
    gpg.verdict = Verdict.WRONG
    bindings = Bindings(store, gpg.verify, Counter(), ALICE)
    await KeyringWatch({"GNUPGHOME": str(tmp_path)}, gpg, bindings, ManualClock()).look()
    assert bindings.signer_of(BOB) is None


async def test_a_user_without_a_home_has_no_keyring_to_watch(
    store: InMemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)  # who is in no list of users
    gpg = AtGpg()
    bindings = Bindings(store, gpg.verify, Counter(), ALICE)
    await KeyringWatch({}, gpg, bindings, ManualClock()).look()
    assert bindings.signer_of(BOB) == KEY


async def test_a_key_that_expires_is_noticed_though_no_file_changes(
    store: InMemoryStore, tmp_path: Path
) -> None:
    gpg, clock = AtGpg(), ManualClock()
    bindings = Bindings(store, gpg.verify, Counter(), ALICE)
    watch = KeyringWatch({"HOME": str(tmp_path)}, gpg, bindings, clock)
    await watch.look()
    gpg.verdict = Verdict.WRONG
    clock.monotonic_s += RECHECK_EVERY_S
    await watch.look()
    assert bindings.signer_of(BOB) is None
