"""Skills and votes on disk, as versioned protobuf.

Decoding raises ValueError for whatever it can't take; the store adds which record it was.
"""

from collections.abc import Callable

from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity, Verified
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.memory import SNIPPET_CHARS_MAX, Whole
from buddies_core.model.skill import (
    Skill,
    SkillEntry,
    SkillHead,
    Vote,
    hash_of_key,
    room_of_key,
    skill_key,
)
from buddies_core.pb import records_pb2 as pb
from buddies_core.store.contents import VERSION_LEAN, beside_proof, held_in, split
from buddies_core.store.records import VERSION, parse


def encode_skill(skill: Skill, sequence: int) -> bytes:
    """Return the record of a skill that arrived as the `sequence`-th.

    Of a long content it holds the beginning; see `contents`.
    """
    entry = skill.entry
    held, content_size = split(entry.content)
    content, content_at, content_bytes = beside_proof(held, skill.proof)
    signer = entry.signed_by
    return pb.SkillRecord(
        version=VERSION_LEAN,
        sequence=sequence,
        hash=entry.hash,
        room=entry.room,
        author=entry.author,
        created_at_s=entry.created_at_s,
        title=entry.title,
        content=content,
        content_size=content_size,
        content_at=content_at,
        content_bytes=content_bytes,
        tags=entry.tags,
        skill_version=entry.version,
        parent_hash=entry.parent_hash,
        gpg_key_id=signer.key_id if isinstance(signer, GpgIdentity) else None,
        ssh_public_key=signer.public_key if isinstance(signer, SshIdentity) else None,
        signature=entry.signature,
        author_name=skill.author_name,
        agent=skill.agent,
        verified=skill.verified,
        whole_sha256=skill.whole.sha256 if skill.whole else b"",
        whole_size=skill.whole.size if skill.whole else 0,
        proof=skill.proof,
        received_at_ms=skill.received_at_ms,
    ).SerializeToString()


def decode_skill(data: bytes, content: Callable[[str, int], str]) -> tuple[int, Skill]:
    """Return the sequence and the skill that `encode_skill` wrote.

    Args:
        data: The record.
        content: Returns the whole content for what the record holds of it; see `contents.joined`.

    Raises:
        ValueError: these bytes are not such a record.
        StoreError: the disk could not be read.
    """
    record = _skill_record(data)
    skill = Skill(
        key=skill_key(record.hash, RoomName(record.room)),
        entry=_entry(record, content(_held(record), record.content_size)),
        author_name=record.author_name,
        agent=record.agent,
        verified=Verified(record.verified),
        whole=_whole(record),
        proof=record.proof,
        received_at_ms=record.received_at_ms,
    )
    return record.sequence, skill


def decode_skill_head(data: bytes) -> tuple[int, SkillHead]:
    """Return the sequence and the head of the skill that `encode_skill` wrote.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = _skill_record(data)
    held = _held(record)
    head = SkillHead(
        key=skill_key(record.hash, RoomName(record.room)),
        entry=_entry(record, held[:SNIPPET_CHARS_MAX]),
        author_name=record.author_name,
        agent=record.agent,
        verified=Verified(record.verified),
        whole=_whole(record),
        proof=record.proof,
        received_at_ms=record.received_at_ms,
        size=record.content_size or len(held.encode()),
    )
    return record.sequence, head


def _skill_record(data: bytes) -> pb.SkillRecord:
    record = pb.SkillRecord()
    parse(record, data, VERSION_LEAN)
    return record


def _held(record: pb.SkillRecord) -> str:
    return held_in(record.content, record.proof, record.content_at, record.content_bytes)


def _entry(record: pb.SkillRecord, content: str) -> SkillEntry:
    return SkillEntry(
        hash=record.hash,
        author=record.author,
        created_at_s=record.created_at_s,
        room=RoomName(record.room),
        title=record.title,
        content=content,
        tags=tuple(record.tags),
        version=record.skill_version,
        parent_hash=record.parent_hash if record.HasField("parent_hash") else None,
        signed_by=_signer(record),
        signature=record.signature if record.HasField("signature") else None,
    )


def _whole(record: pb.SkillRecord) -> Whole | None:
    return Whole(record.whole_sha256, record.whole_size) if record.whole_sha256 else None


def encode_vote(vote: Vote, neighbor: EndpointId | None) -> bytes:
    """Return the record of a vote that this neighbor brought in."""
    return pb.VoteRecord(
        version=VERSION,
        hash=hash_of_key(vote.skill),
        room=room_of_key(vote.skill),
        voter=vote.voter,
        verified=vote.verified,
        score=vote.score,
        sent_at_ms=vote.sent_at_ms,
        proof=vote.proof,
        received_at_ms=vote.received_at_ms,
        neighbor=neighbor or b"",
    ).SerializeToString()


def decode_vote(data: bytes) -> tuple[Vote, EndpointId | None]:
    """Return the vote that `encode_vote` wrote, and who brought it in.

    Raises:
        ValueError: these bytes are not such a record.
    """
    record = pb.VoteRecord()
    parse(record, data)
    vote = Vote(
        skill=skill_key(record.hash, RoomName(record.room)),
        voter=record.voter,
        verified=Verified(record.verified),
        score=record.score,
        sent_at_ms=record.sent_at_ms,
        proof=record.proof,
        received_at_ms=record.received_at_ms,
    )
    return vote, EndpointId(record.neighbor) if record.neighbor else None


def _signer(record: pb.SkillRecord) -> SignerIdentity | None:
    if record.HasField("gpg_key_id"):
        return GpgIdentity(record.gpg_key_id)
    return SshIdentity(record.ssh_public_key) if record.HasField("ssh_public_key") else None
