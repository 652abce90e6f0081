"""A small store with something of each kind in it.

`python -m tests.support.stores DIRECTORY` writes one with the code that is checked out. So were
those in `tests/data`, before the layout changed; tests compare them with the values here.
"""

import asyncio
import sys
import tarfile
from pathlib import Path

from buddies_core.model.bodies import Body, MemoryCreated, SkillPublished, SkillVoteCast
from buddies_core.model.identity import SshIdentity, Verified
from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.model.memory import Memory, Whole
from buddies_core.model.policy import Policy
from buddies_core.model.skill import Skill, Vote
from buddies_core.store.records import RoomRecord
from buddies_core.store.rocks import RocksStore
from buddies_core.wire.room_messages import RoomMessage, Trailer, encode_room_message, seal
from tests.support.in_memory.store import InMemoryStore
from tests.support.memories import BOB, DEMO, a_memory, an_entry, whole_of
from tests.support.skills import a_skill, a_skill_entry, a_vote

DATA = Path(__file__).parents[1] / "data"
OPS = RoomName("ops")
_SENDER = EndpointId(b"\1" * 32)
"""A point of the curve, which not every 32 bytes are."""
_START_MS = 1_700_000_000_000


def proof_of(body: Body, *, sent_at_ms: int, whole: Whole | None = None) -> bytes:
    """Return a proof in today's form, with a signature that is not one."""
    message = encode_room_message(RoomMessage(nonce=bytes(16), body=body))
    trailer = Trailer(sender=_SENDER, sent_at_ms=sent_at_ms, agent="claude", whole=whole)
    return seal(message, trailer, open_room_id(DEMO), lambda _: bytes(64))


def _memory(number: int, content: str, shown: str | None = None) -> Memory:
    entry = an_entry(number, content=content, tags=("db",), created_at_s=_START_MS // 1000 + number)
    told = an_entry(
        number, content=content if shown is None else shown, tags=("db",),
        created_at_s=entry.created_at_s,
    )  # fmt: skip
    whole = None if shown is None else whole_of(content)
    body = MemoryCreated(told)
    proof = proof_of(body, sent_at_ms=_START_MS + number, whole=whole)
    return a_memory(entry, whole=whole, proof=proof)


def _truncated() -> Memory:
    whole = whole_of("It began and never came")
    entry = an_entry(4, content="It began")
    proof = proof_of(MemoryCreated(entry), sent_at_ms=_START_MS + 4, whole=whole)
    return a_memory(entry, whole=whole, proof=proof)


def _unverified() -> Memory:
    entry = an_entry(5, author=BOB, room=OPS)
    message = RoomMessage(nonce=bytes(16), body=MemoryCreated(entry))
    return a_memory(entry, verified=Verified.UNVERIFIED, proof=encode_room_message(message))


def _skill() -> Skill:
    entry = a_skill_entry(signed_by=SshIdentity("ssh-ed25519 AAAA"), signature=b"s")
    return a_skill(entry, proof=proof_of(SkillPublished(entry), sent_at_ms=_START_MS + 6))


def _vote(skill: Skill) -> Vote:
    body = SkillVoteCast(skill.entry.hash, BOB.hex(), 1)
    vote = a_vote(skill, BOB, sent_at_ms=_START_MS + 7)
    proof = proof_of(body, sent_at_ms=vote.sent_at_ms)
    return Vote(
        skill=vote.skill, voter=vote.voter, verified=vote.verified, score=vote.score,
        sent_at_ms=vote.sent_at_ms, proof=proof, received_at_ms=vote.received_at_ms,
    )  # fmt: skip


MEMORIES = (
    _memory(1, "We're using PostgreSQL"),
    _memory(2, "日本語 " * 1000, shown="日本語 " * 300),
    _memory(3, "a" * 5000, shown="a" * 2000),
    _truncated(),
    _unverified(),
)
SKILL = _skill()
VOTE = _vote(SKILL)
ROOM = RoomRecord(name=DEMO, room_id=open_room_id(DEMO), joined_at_ms=5, bootstrap=())
POLICY = Policy(require_signed=True)


async def fill(store: InMemoryStore | RocksStore) -> None:
    """Put all of these values into a store."""
    for memory in MEMORIES:
        await store.put_memory(memory)
    await store.skills.put_skill(SKILL)
    await store.skills.put_vote(VOTE, BOB)
    await store.put_room(ROOM)
    await store.policies.put(ROOM.room_id, POLICY)
    await store.raise_watermark(b"sent", 7)


def unpack(name: str, to: Path) -> Path:
    """Return the directory of a store that an older buddies wrote, unpacked there."""
    with tarfile.open(DATA / name) as packed:
        packed.extractall(to, filter="data")
    return to / "store"


async def _write(path: Path) -> None:
    async with RocksStore.open(path) as store:
        await fill(store)


if __name__ == "__main__":
    asyncio.run(_write(Path(sys.argv[1])))
