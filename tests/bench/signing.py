"""What a person's signature costs, by kind of key; and what it takes to admit a message."""

import itertools
from collections import Counter
from os import urandom
from pathlib import Path

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
from tests.bench.rows import Row, row
from tests.bench.timing import each_ms
from tests.support.in_memory.store import InMemoryStore
from tests.support.worlds.person import Person, an_ed25519_signer, some_person

ENDPOINT = EndpointId(b"e" * 32)
ROOM = RoomName("demo")
ROOM_ID = open_room_id(ROOM)

KINDS = ("ed25519", "gpg ed25519")
MESSAGES = ("ours", "ours, whitelisted and sealed", "0.1.4, signed")


async def signing(*, quick: bool) -> list[Row]:
    """Measure signatures by ssh-keygen's and gpg's keys, and the admission of messages."""
    rows = []
    for kind in KINDS:
        rows += await sign_and_verify(kind, 5 if quick else 20)
    for kind in MESSAGES:
        rows.append(await admit(kind, 200 if quick else 1000))
    return rows


async def sign_and_verify(kind: str, times: int) -> list[Row]:
    with some_person() as person:
        signer = (await open_signer(environment(person, kind), Path(person.home), ENDPOINT)).signer
        assert signer is not None, f"{kind} signs"
        signatures: list[bytes] = []

        async def sign() -> None:
            signatures.append(await signer.sign(b"%d" % len(signatures), "buddies"))

        verifier, numbers = Verifier(person.environ, SystemClock()), itertools.count()

        async def verify() -> None:
            number = next(numbers)
            assert await verifier.is_good(
                signer.identity, b"%d" % number, signatures[number], "buddies"
            )

        signed, verified = await each_ms(times, sign), await each_ms(times, verify)
    return [
        row(f"sign, {kind}", "A person's key signs a short text.", signed),
        row(f"verify, {kind}", "A signature that was never seen before is checked.", verified),
    ]


def environment(person: Person, kind: str) -> dict[str, str]:
    if kind.startswith("gpg "):
        key = person.gpg_key(kind.removeprefix("gpg "))
        return person.environ | {"BUDDIES_SIGNER": "gpg", "BUDDIES_GPG_KEY_ID": key}
    key_file = str(person.ssh_key(kind))
    return person.environ | {"BUDDIES_SIGNER": "ssh", "BUDDIES_SSH_PRIVATE_KEY": key_file}


async def admit(kind: str, count: int) -> Row:
    """Admit ours by the endpoint's signature, and 0.1.4's by an Ed25519 signer's on each."""
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
    for number in range(count):
        legacy = kind.startswith("0.1.4")
        raw = await composer.compose(ROOM_ID, Leave(f"ann {number}"))
        raw = encode_room_message(open_envelope(raw).message) if legacy else raw
        contents.append(seal_content(keys, raw, urandom(24)) if keys else raw)

    left = iter(contents)

    async def hear() -> None:
        content = next(left)
        await admission.admit(ROOM, ROOM_ID, open_content(keys, content) if keys else content)

    samples = await each_ms(count, hear)
    assert not counters, f"all is admitted: {counters}"
    return row(f"admit a message: {kind}", "A received message is opened and believed.", samples)
