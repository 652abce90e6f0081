"""What a person's signature costs, by kind of key; and messages that are admitted in a second."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from os import urandom
from pathlib import Path

import pytest

from buddies_core.clock import SystemClock
from buddies_core.identity.binding import bind
from buddies_core.identity.choosing import open_signer
from buddies_core.identity.labels import canonical
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.verifying import Verifier
from buddies_core.legacy.members import LegacyMembers
from buddies_core.legacy.signing import MessageSigner
from buddies_core.model.bodies import Leave
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.model.policy import Policy
from buddies_core.model.private import Epoch
from buddies_core.rooms.composing import Composer
from buddies_core.trust.admission import Admission
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.gate import Gate
from buddies_core.trust.policies import Policies
from buddies_core.wire.private import epoch_keys, open_content, seal_content
from buddies_core.wire.room_messages import encode_room_message, open_envelope
from buddies_core.wire.shortening import LegacySignature
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.person import Person, an_ed25519_signer, needs, some_person

ENDPOINT = EndpointId(b"e" * 32)
ROOM = RoomName("demo")
ROOM_ID = open_room_id(ROOM)

pytestmark = [needs("ssh-keygen"), needs("gpg"), pytest.mark.timeout(120)]


async def each_ms(times: int, call: Callable[[int], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    for number in range(times):
        await call(number)
    return (time.perf_counter() - begun) * 1000 / times


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa", "gpg ed25519", "gpg rsa3072"])
async def test_sign_and_verify(kind: str) -> None:
    with some_person() as person:
        signer = (await open_signer(environment(person, kind), Path(person.home), ENDPOINT)).signer
        assert signer is not None
        times = 200 if kind == "ed25519" else 20
        signatures: list[bytes] = []

        async def sign(number: int) -> None:
            signatures.append(await signer.sign(b"%d" % number, "buddies"))

        verifier = Verifier(person.environ, SystemClock())

        async def verify(number: int) -> None:
            assert await verifier.is_good(
                signer.identity, b"%d" % number, signatures[number], "buddies"
            )

        signing = await each_ms(times, sign)
        verifying = await each_ms(times, verify)
        again = await each_ms(times, verify)
        print(  # noqa: T201 - a figure
            f"{kind}: sign {signing:.2f} ms, verify {verifying:.2f} ms, again {again:.3f} ms, "
            f"{len(signatures[0])} bytes"
        )


def environment(person: Person, kind: str) -> dict[str, str]:
    if kind.startswith("gpg "):
        key = person.gpg_key(kind.removeprefix("gpg "))
        return person.environ | {"BUDDIES_SIGNER": "gpg", "BUDDIES_GPG_KEY_ID": key}
    key_file = str(person.ssh_key(kind))
    return person.environ | {"BUDDIES_SIGNER": "ssh", "BUDDIES_SSH_PRIVATE_KEY": key_file}


@pytest.mark.parametrize("kind", ["ours", "ours, whitelisted and sealed", "0.1.4, signed"])
async def test_admit(kind: str) -> None:
    """Ours by the endpoint's signature; 0.1.4's by an Ed25519 signer's on each."""
    store, clock, signer = InMemoryStore(), SystemClock(), an_ed25519_signer(b"1")
    members = LegacyMembers(store, clock)
    if kind.startswith("0.1.4"):
        members.enter(ROOM_ID).heard(Leave("olga"), ENDPOINT, is_author=False)
    person = MessageSigner(signer, LegacySignature(signer.identity, 320), members)
    key, counters = NodeKey(b"a" * 32), Counter[str]()
    composer = Composer(key, store, clock, person)
    verify = Verifier({}, clock).verify
    policies = Policies(store)
    bindings = Bindings(store, verify, counters, ENDPOINT, None, policies)
    gate = Gate(policies, bindings, ENDPOINT, clock, counters)
    admission = Admission(store, verify, counters, gate)
    keys = epoch_keys(ROOM_ID, Epoch(0, b"s" * 32)) if "sealed" in kind else None
    if keys:
        await bindings.take(key.endpoint, await bind(signer, key.endpoint, 1))
        await policies.put(ROOM_ID, Policy((canonical(signer.identity),)))
    contents = []
    for number in range(2000):
        legacy = kind.startswith("0.1.4")
        raw = await composer.compose(ROOM_ID, Leave(f"ann {number}"))
        raw = encode_room_message(open_envelope(raw).message) if legacy else raw
        contents.append(seal_content(keys, raw, urandom(24)) if keys else raw)

    async def hear(number: int) -> None:
        content = contents[number]
        await admission.admit(ROOM, ROOM_ID, open_content(keys, content) if keys else content)

    each = await each_ms(2000, hear)
    print(f"{kind}: {1000 / each:,.0f} messages/s admitted")  # noqa: T201 - a figure
    assert not counters
