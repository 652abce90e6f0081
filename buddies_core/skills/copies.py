"""Reads skills and votes from peers' messages, checks them, and counts those not believed."""

import hashlib
import logging
from collections import Counter
from dataclasses import replace

from buddies_core.asking.ports import RoomsPort
from buddies_core.clock import Clock
from buddies_core.identity.verifying import Verdict, Verify
from buddies_core.model.bodies import SkillPublished, SkillVoteCast
from buddies_core.model.identity import SignerIdentity, Verified
from buddies_core.model.ids import EndpointId, RoomName, endpoint_in
from buddies_core.model.memory import Whole
from buddies_core.model.skill import Skill, SkillEntry, SkillHead, Vote, is_hash, skill_key
from buddies_core.skills.content import (
    NAMESPACE,
    SkillRejected,
    check_hash,
    check_received,
    signing_payload,
)
from buddies_core.trust.admitted import Admitted
from buddies_core.wire.room_messages import RoomMessage, encode_room_message

NAME_CHARS_MAX = 64
"""The most characters that are shown of a name that anyone may have written."""

_log = logging.getLogger(__name__)


class Copies:
    """Reads skills and votes out of admitted messages."""

    def __init__(
        self, rooms: RoomsPort, verify: Verify, clock: Clock, counters: Counter[str]
    ) -> None:
        self._rooms = rooms
        self._verify = verify
        self._clock = clock
        self._counters = counters

    async def skill(self, admitted: Admitted) -> Skill:
        """Return the skill in a message, in the room it came in by.

        Its hash and its signature have been checked, except for the hash of a truncated skill.

        Raises:
            SkillRejected: one of them is wrong, or the message holds no skill, or too large a one.
        """
        try:
            return await self._skill(admitted)
        except SkillRejected as error:
            self._count("skills", error, admitted.room)
            raise

    async def signer_now(self, skill: SkillHead) -> SignerIdentity | None:
        """Return the signer of a skill, if it can be verified now but could not when it came.

        Its signer's key may have been imported since.
        """
        entry = skill.entry
        if skill.verified is Verified.SIGNER or entry.signed_by is None or entry.signature is None:
            return None
        found = await self._verify(
            entry.signed_by, signing_payload(entry), entry.signature, NAMESPACE
        )
        return (found.signer or entry.signed_by) if found.good else None

    def vote(self, admitted: Admitted) -> Vote:
        """Return the vote in a message.

        Raises:
            SkillRejected: it holds no vote, or a score other than −1 or +1.
        """
        try:
            return self._vote(admitted)
        except SkillRejected as error:
            self._count("votes", error, admitted.room)
            raise

    def with_content(self, skill: Skill, content: bytes) -> Skill:
        """Return a truncated skill with its content, if the content has the skill's hash.

        Raises:
            SkillRejected: it is not.
        """
        try:
            return _with_content(skill, content)
        except SkillRejected as error:
            self._count("skills", error, skill.entry.room)
            raise

    async def _skill(self, admitted: Admitted) -> Skill:
        body, trailer = admitted.message.body, admitted.trailer
        if not isinstance(body, SkillPublished):
            raise SkillRejected("form", f"a copy holds {type(body).__name__} instead of a skill")
        entry = replace(body.entry, room=admitted.room)
        whole = trailer.whole if trailer else None
        if whole is not None and whole.size <= len(entry.content.encode()):
            whole = None  # Nothing is missing, whatever the author says.
        check_received(entry, whole)
        if whole is None:
            check_hash(entry)
        # In a 0.1.4 message the skill's own signature counts, not the one around it.
        verified = admitted.verified if trailer else Verified.UNVERIFIED
        if entry.signed_by is None:
            entry = replace(entry, signature=None)
        elif (signer := await self._signer(entry, admitted.told_by)) is not None:
            entry, verified = replace(entry, signed_by=signer), Verified.SIGNER
        name = self._author_name(entry) if trailer is None else trailer.user or ""
        if trailer is not None and not name:
            name = self._rooms.name_of(trailer.sender)
        return Skill(
            key=skill_key(entry.hash, entry.room),
            entry=entry,
            author_name=name[:NAME_CHARS_MAX],
            agent=((trailer.agent if trailer else None) or "")[:NAME_CHARS_MAX],
            verified=verified,
            whole=whole,
            proof=admitted.raw,
            received_at_ms=self._clock.wall_ms(),
        )

    async def _signer(self, entry: SkillEntry, told_by: EndpointId | None) -> SignerIdentity | None:
        """Return the signer whose valid signature the entry carries, for this room and this hash.

        None if it can't be verified here: its key is not in the keyring, or gpg is busy. Dropping
        such a skill would put those who sign by gpg at a disadvantage to those who don't sign.
        """
        assert entry.signed_by is not None, "the caller has looked"
        if entry.signature is None:
            raise SkillRejected("signature", f"skill {entry.hash} names a signer and is not signed")
        payload = signing_payload(entry)
        found = await self._verify(entry.signed_by, payload, entry.signature, NAMESPACE, told_by)
        match found.verdict:
            case Verdict.GOOD:
                return found.signer or entry.signed_by
            case Verdict.WRONG:
                raise SkillRejected("signature", f"skill {entry.hash}: {found.reason}")
            case Verdict.UNKNOWN:
                self._counters["skills_signer_unknown"] += 1
                return None
            case Verdict.BUSY:
                self._counters["skills_signer_not_checked"] += 1
                return None

    def _vote(self, admitted: Admitted) -> Vote:
        body, trailer = admitted.message.body, admitted.trailer
        if not isinstance(body, SkillVoteCast):
            raise SkillRejected("form", f"a copy holds {type(body).__name__} instead of a vote")
        if not is_hash(body.skill_hash):
            raise SkillRejected("form", f"a vote for {body.skill_hash[:80]!r}, which is no hash")
        if body.score not in (-1, 1):
            raise SkillRejected("score", f"a vote of {body.score}; there are −1 and +1 alone")
        now_ms = self._clock.wall_ms()
        return Vote(
            skill=skill_key(body.skill_hash, admitted.room),
            voter=trailer.sender.hex() if trailer else body.voter[:NAME_CHARS_MAX],
            # A 0.1.4 peer's signature does not identify the voter.
            verified=admitted.verified if trailer else Verified.UNVERIFIED,
            score=body.score,
            sent_at_ms=trailer.sent_at_ms if trailer else now_ms,
            proof=admitted.raw,
            received_at_ms=now_ms,
        )

    def _author_name(self, entry: SkillEntry) -> str:
        author = endpoint_in(entry.author)
        return self._rooms.name_of(author) if author else entry.author

    def _count(self, what: str, error: SkillRejected, room: RoomName) -> None:
        self._counters[f"{what}_rejected_{error.reason}"] += 1
        _log.info("%s_rejected room=%s: %s", what, room, error)


def unsigned_copy(entry: SkillEntry) -> bytes:
    """Return an entry that came without its author's bytes as 0.1.4 would have broadcast it.

    So it is admitted by the same rules, and never as more than its own signature says.
    """
    return encode_room_message(RoomMessage(nonce=bytes(16), body=SkillPublished(entry)))


def _with_content(skill: Skill, content: bytes) -> Skill:
    if skill.whole != Whole(hashlib.sha256(content).digest(), len(content)):
        raise SkillRejected(
            "hash", f"skill {skill.entry.hash}: not the content that its author announced"
        )
    try:
        entry = replace(skill.entry, content=content.decode())
    except UnicodeDecodeError as error:
        raise SkillRejected(
            "form", f"skill {skill.entry.hash}: its content is not UTF-8"
        ) from error
    check_received(entry, None)
    check_hash(entry)
    return replace(skill, entry=entry)
