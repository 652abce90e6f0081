"""Whom a room's policy lets in: every message, every copy, every request."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest

from buddies_core.errors import NotAllowed, Unreachable
from buddies_core.identity.binding import bind
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signers import Signer
from buddies_core.identity.verifying import Verifier
from buddies_core.model.bodies import (
    Body,
    Join,
    Leave,
    MemoryCreated,
    Presence,
    SearchFilters,
    SearchRequest,
    SearchResponse,
    SkillPublished,
    SkillSearchFilters,
    SkillSearchRequest,
    SkillSearchResponse,
    SkillVoteCast,
    StatusUpdate,
    TaskClaimed,
    TaskRequest,
    TaskResponse,
    UnknownBody,
)
from buddies_core.model.identity import Binding, GpgIdentity, SignerIdentity
from buddies_core.model.ids import EndpointId, MemoryId, RequestId, RoomName, TaskId, open_room_id
from buddies_core.model.memory import MemoryEntry, MemoryKind
from buddies_core.model.policy import Policy
from buddies_core.model.task import TaskSucceeded
from buddies_core.pb.peer_pb2 import (
    BindingsReply,
    FetchBindings,
    Hello,
    PeerReply,
    PeerRequest,
    Search,
)
from buddies_core.rooms.composing import Composer
from buddies_core.trust.admission import Admission
from buddies_core.trust.admitted import Admitted, Rejected
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.gate import Gate, SignerUnknown
from buddies_core.trust.policies import Policies
from buddies_core.wire.room_messages import RoomMessage, encode_room_message, legacy_signed_payload
from tests.support.fakes.clocks import ManualClock
from tests.support.in_memory.store import InMemoryStore
from tests.support.skills import a_skill_entry
from tests.support.worlds.person import Person, an_ed25519_signer, needs, some_person

ALICE, BOB, MALLORY = (NodeKey(name * 32) for name in (b"a", b"b", b"m"))
DEMO = RoomName("demo")
ROOM_ID = open_room_id(DEMO)
ANNS_KEY, BENS_KEY = an_ed25519_signer(b"1", "ann@home"), an_ed25519_signer(b"2")
ANN, BEN = an_ed25519_signer(b"1").identity, BENS_KEY.identity
UUID_1 = UUID(int=1)


def memory_by(author: EndpointId) -> MemoryCreated:
    entry = MemoryEntry(
        id=MemoryId(UUID_1),
        author=author.hex(),
        created_at_s=1,
        room=DEMO,
        kind=MemoryKind.CONTEXT,
        title="t",
        content="c",
    )
    return MemoryCreated(entry)


@dataclass
class Speaker:
    """A machine, and whose key vouches for it."""

    key: NodeKey
    signer: Signer | None = None
    clock: ManualClock = field(default_factory=ManualClock)
    knows: "tuple[Speaker, ...]" = ()

    def __post_init__(self) -> None:
        self.composer = Composer(self.key, InMemoryStore(), self.clock)

    @property
    def endpoint(self) -> EndpointId:
        return self.key.endpoint

    async def binding(self, signed_at_ms: int = 5) -> Binding | None:
        return await bind(self.signer, self.endpoint, signed_at_ms) if self.signer else None

    async def say(self, body: Body) -> bytes:
        return await self.composer.compose(ROOM_ID, body)

    async def presence(self) -> bytes:
        return await self.say(Presence("x", (), await self.binding()))


class Listener:
    """Bob's room: what he believes, whom he hears, and whom he asks."""

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        self.store, self.clock = InMemoryStore(), ManualClock()
        self.counters: Counter[str] = Counter()
        self.policies = Policies(self.store)
        verify = Verifier(environ or {}, self.clock).verify
        self.bindings = Bindings(
            self.store, verify, self.counters, BOB.endpoint, None, self.policies
        )
        self.gate = Gate(self.policies, self.bindings, BOB.endpoint, self.clock, self.counters)
        self.admission = Admission(self.store, verify, self.counters, self.gate)
        self.room_id = ROOM_ID
        self.asked: list[EndpointId] = []
        self.peers: dict[EndpointId, Speaker] = {}
        self.source: EndpointId | None = None
        """Who hands on what is heard."""

    async def ask(
        self, peer: EndpointId, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        self.asked.append(peer)
        if peer not in self.peers:
            raise Unreachable("nobody there")
        known = {it.endpoint: it for it in (self.peers[peer], *self.peers[peer].knows)}
        asked_of = [EndpointId(endpoint) for endpoint in request.fetch_bindings.endpoints]
        presences = [await known[it].presence() for it in asked_of if it in known]
        return [PeerReply(bindings=BindingsReply(presences=presences))]

    async def presence_of(self, endpoint: EndpointId) -> bytes | None:
        return None

    async def admit(self, proof: bytes, told_by: EndpointId | None = None) -> Admitted:
        return await self.admission.admit(DEMO, ROOM_ID, proof, told_by)

    async def allow(self, *signers: SignerIdentity, require_signed: bool = False) -> None:
        await self.policies.put(ROOM_ID, Policy(signers, require_signed))

    async def hears(self, raw: bytes) -> bool:
        """Return whether a message gets in, who vouches for it being fetched if need be."""
        try:
            await self.gate.admit_copy(self, raw, self.source)
        except Rejected as rejected:
            if rejected.reason != "policy":
                raise
            return False
        return True


@pytest.fixture
def bob() -> Listener:
    return Listener()


@pytest.fixture
def ann() -> Speaker:
    return Speaker(ALICE, ANNS_KEY)


@pytest.fixture
def mallory() -> Speaker:
    return Speaker(MALLORY, BENS_KEY)


def every_kind_by(sender: EndpointId) -> list[Body]:
    hexed, request = sender.hex(), RequestId(UUID_1)
    return [
        memory_by(sender),
        Join("ann", "claude"),
        Leave("ann"),
        StatusUpdate(hexed, "busy"),
        SearchRequest(request, "query", SearchFilters()),
        SearchResponse(request, (), "ann"),
        TaskRequest(
            task_id=TaskId(UUID_1),
            source_peer="ann",
            room=DEMO,
            description="d",
            timeout_s=1,
            created_at_s=1,
        ),
        TaskClaimed(TaskId(UUID_1), "ann"),
        TaskResponse(TaskId(UUID_1), TaskSucceeded("done"), "ann"),
        SkillPublished(a_skill_entry(author=sender)),
        SkillVoteCast("ab" * 32, hexed, 1),
        SkillSearchRequest(request, "query", SkillSearchFilters()),
        SkillSearchResponse(request, (), "ann"),
        UnknownBody(15, b"what a newer peer says"),
    ]


@pytest.mark.parametrize("index", range(len(every_kind_by(ALICE.endpoint))))
async def test_of_every_kind_of_message_those_of_the_whitelisted_alone_get_in(
    bob: Listener, ann: Speaker, mallory: Speaker, index: int
) -> None:
    await bob.allow(ANN)
    for speaker in (ann, mallory):
        assert await bob.hears(await speaker.presence()) == (speaker is ann)
        said = await speaker.say(every_kind_by(speaker.endpoint)[index])
        assert await bob.hears(said) == (speaker is ann)
    assert bob.counters["rejected_policy"] == 2
    assert bob.asked == []  # Their presences have brought who vouches for them.


async def test_a_broadcast_waits_and_of_a_copy_who_handed_it_on_is_asked(
    bob: Listener, ann: Speaker, mallory: Speaker
) -> None:
    await bob.allow(ANN)
    said = await ann.say(memory_by(ann.endpoint))
    with pytest.raises(SignerUnknown) as waiting:
        await bob.admit(said)
    assert waiting.value.sender == ann.endpoint
    assert bob.counters == {}

    bob.peers[ann.endpoint] = ann
    bob.source = mallory.endpoint
    for knows in ((), (ann,)):
        bob.peers[mallory.endpoint] = replace(mallory, knows=knows)
        assert await bob.hears(said) == bool(knows)
        bob.clock.monotonic_s += 61
    assert bob.asked == [mallory.endpoint, mallory.endpoint]
    assert bob.counters == {"rejected_policy": 1}


async def test_who_has_no_signer_is_asked_once_and_not_heard(bob: Listener) -> None:
    nobody = Speaker(ALICE)
    bob.peers[nobody.endpoint] = nobody
    await bob.allow(require_signed=True)
    for _ in range(3):
        assert not await bob.hears(await nobody.say(memory_by(nobody.endpoint)))
    assert bob.asked == [nobody.endpoint]
    assert not await bob.hears(await nobody.presence())
    assert bob.counters["rejected_policy"] == 4


async def test_whoever_signs_is_heard_where_a_signature_is_all_that_is_wanted(
    bob: Listener, mallory: Speaker
) -> None:
    await bob.allow(require_signed=True)
    assert await bob.hears(await mallory.presence())
    assert await bob.hears(await mallory.say(memory_by(mallory.endpoint)))


async def test_in_an_open_room_nobody_is_asked_who_vouches_for_them(
    bob: Listener, mallory: Speaker
) -> None:
    assert await bob.hears(await mallory.say(memory_by(mallory.endpoint)))
    assert bob.asked == []


async def test_this_node_is_always_heard(bob: Listener) -> None:
    await bob.allow(ANN)
    assert await bob.hears(await Speaker(BOB).say(memory_by(BOB.endpoint)))


async def test_nobody_gets_in_by_another_s_name_or_binding(
    bob: Listener, ann: Speaker, mallory: Speaker
) -> None:
    await bob.allow(ANN)
    await bob.admit(await ann.presence())
    with pytest.raises(Rejected, match="speaks for"):
        await bob.admit(await mallory.say(memory_by(ann.endpoint)))
    said = await ann.say(Leave("ann"))
    with pytest.raises(Rejected, match="not signed by"):
        await bob.admit(said[:-1] + bytes([said[-1] ^ 1]))
    assert not await bob.hears(await mallory.say(Presence("ann", (), await ann.binding())))
    assert not await bob.hears(await mallory.say(Leave("ann")))
    unsigned = encode_room_message(RoomMessage(nonce=bytes(16), body=Leave("ann")))
    assert not await bob.hears(unsigned)
    assert bob.counters == {
        "rejected_author_is_not_sender": 1,
        "rejected_bad_signature": 1,
        "bindings_rejected": 1,
        "rejected_policy": 3,
    }


async def test_a_0_1_4_message_is_heard_by_who_has_signed_it(bob: Listener) -> None:
    await bob.allow(ANN)
    for key, heard in ((ANNS_KEY, True), (BENS_KEY, False)):
        message = RoomMessage(nonce=bytes(16), body=Leave("ann"))
        signature = await key.sign(legacy_signed_payload(message), "buddies")
        raw = encode_room_message(replace(message, signed_by=key.identity, signature=signature))
        assert await bob.hears(raw) == heard


# Direct requests

ASKS = PeerRequest(search=Search(query="q"))


async def test_a_caller_is_asked_who_vouches_for_it_and_answered_if_it_is_let_in(
    bob: Listener, ann: Speaker, mallory: Speaker
) -> None:
    await bob.allow(ANN)
    bob.peers = {speaker.endpoint: speaker for speaker in (ann, mallory)}
    for _ in range(2):
        await bob.gate.check_caller(bob, ann.endpoint, ASKS)
        with pytest.raises(NotAllowed, match=r"buddies-cli whoami.*vouched for by ssh:"):
            await bob.gate.check_caller(bob, mallory.endpoint, ASKS)
    assert bob.asked == [ann.endpoint, mallory.endpoint]
    assert bob.counters == {"requests_refused_policy": 2}


async def test_an_open_room_answers_everybody(bob: Listener, mallory: Speaker) -> None:
    await bob.gate.check_caller(bob, mallory.endpoint, ASKS)
    assert bob.asked == []


async def test_who_vouches_for_whom_is_told_to_strangers_too(
    bob: Listener, mallory: Speaker
) -> None:
    await bob.allow(ANN)
    request = PeerRequest(fetch_bindings=FetchBindings(endpoints=[BOB.endpoint]))
    await bob.gate.check_caller(bob, mallory.endpoint, request)


async def test_a_hello_brings_a_new_signer_along(bob: Listener) -> None:
    await bob.bindings.take(ALICE.endpoint, await bind(BENS_KEY, ALICE.endpoint, 1))
    await bob.allow(ANN)
    hello = PeerRequest(hello=Hello(presence=await Speaker(ALICE, ANNS_KEY).presence()))
    await bob.gate.check_caller(bob, ALICE.endpoint, hello)
    assert bob.asked == []


# This node itself


async def test_a_policy_that_locks_this_node_out_is_warned_of(bob: Listener) -> None:
    assert bob.gate.warnings_of(ROOM_ID) == ()
    await bob.allow(ANN)
    (warning,) = bob.gate.warnings_of(ROOM_ID)
    assert "does not let in this machine's own messages: no key vouches for them" in warning
    bob.bindings._own_signer = BEN
    (warning,) = bob.gate.warnings_of(ROOM_ID)
    assert f"own identity ({BEN.label[:60]})" in warning
    await bob.allow(ANN, BEN)
    assert bob.gate.warnings_of(ROOM_ID) == ()


# OpenPGP


def gpg_speaker(person: Person, fingerprint: str) -> Speaker:
    return Speaker(ALICE, person.gpg_signer(fingerprint))


@needs("gpg")
async def test_a_gpg_key_is_heard_by_its_fingerprint() -> None:
    with some_person() as person:
        fingerprint = person.gpg_key()
        bob = Listener(person.environ)
        await bob.allow(GpgIdentity(fingerprint))
        assert await bob.hears(await gpg_speaker(person, fingerprint).presence())


async def test_no_process_is_spent_on_a_gpg_key_that_is_not_on_the_whitelist() -> None:
    """Else a flood of strangers' keys would keep gpg too busy for those who are on it."""
    bob = Listener({"PATH": "/no"})
    for whitelist, looked_at in (
        ((ANN,), 0),
        ((ANN, GpgIdentity("CD" * 20)), 0),
        ((GpgIdentity("AB" * 20),), 2),
        ((), 4),
    ):
        await bob.allow(*whitelist, require_signed=True)
        for claimed in ("AB" * 20, "AB" * 8):
            binding = Binding(GpgIdentity(claimed), 5, b"signature")
            assert not await bob.hears(await Speaker(ALICE).say(Presence("x", (), binding)))
        assert bob.counters["bindings_unknown"] == looked_at


@needs("gpg")
async def test_a_key_that_is_revoked_meanwhile_is_not_heard_any_more() -> None:
    with some_person() as person:
        fingerprint = person.gpg_key()
        bob, ann = Listener(person.environ), gpg_speaker(person, fingerprint)
        presence = await ann.presence()
        await bob.allow(require_signed=True)
        assert await bob.hears(presence)

        revocation = (person.home / f"gnupg/openpgp-revocs.d/{fingerprint}.rev").read_bytes()
        revocation = revocation.replace(b":-----BEGIN", b"-----BEGIN")
        person.run("gpg", "--batch", "--import", given=revocation)
        bob.clock.monotonic_s += 601
        assert not await bob.hears(presence)
        assert not await bob.hears(await ann.say(Leave("ann")))
        assert bob.counters["bindings_lapsed"] == 1


@needs("gpg")
async def test_a_key_that_has_expired_is_not_heard() -> None:
    with some_person() as person:
        past = ("gpg", "--batch", "--passphrase", "", "--faked-system-time", "20200101T000000")
        person.run(*past, "--quick-gen-key", "A <a@b>", "ed25519", "sign", "20200201T000000")
        (fingerprint,) = person.fingerprints()
        payload = b"buddies/2 endpoint" + ALICE.endpoint + (5).to_bytes(8, "big")
        signature = person.run(*past, "--detach-sign", given=payload)
        bob = Listener(person.environ)
        await bob.allow(GpgIdentity(fingerprint))
        binding = Binding(GpgIdentity(fingerprint), 5, signature)
        assert not await bob.hears(await Speaker(ALICE).say(Presence("x", (), binding)))
        assert bob.counters == {"bindings_rejected": 1, "rejected_policy": 1}


@needs("gpg")
async def test_a_key_that_is_not_in_the_keyring_is_not_heard_and_a_person_is_told() -> None:
    with some_person() as person, some_person() as other:
        fingerprint = person.gpg_key()
        bob, ann = Listener(other.environ), gpg_speaker(person, fingerprint)
        presence = await ann.presence()
        await bob.allow(ANN)
        assert not await bob.hears(presence)
        assert bob.gate.warnings() == ()  # It would not be let in either way.

        await bob.allow(GpgIdentity(fingerprint))
        bob.clock.monotonic_s += 61
        assert not await bob.hears(presence)
        (warning,) = bob.gate.warnings()
        assert warning.startswith(f"messages of gpg:{fingerprint} are dropped: its key is not in")
        assert "gpg --import" in warning

        other.trusts(person)
        bob.clock.monotonic_s += 61
        assert await bob.hears(presence)
        bob.clock.monotonic_s += 600
        assert bob.gate.warnings() == ()
