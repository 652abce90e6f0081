"""Whether to believe a message: decode, verify, decide; alike for broadcasts and copies."""

import logging
from collections import Counter
from dataclasses import replace

from buddies_core.errors import StoreError, WireError
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.identity.endpoint_checks import CheckEndpoint, check_at_once
from buddies_core.identity.verifying import Verdict, Verify
from buddies_core.model.bodies import (
    MemoryCreated,
    MemoryDeleted,
    MemorySuperseded,
    Presence,
    SkillPublished,
    SkillVoteCast,
    StatusUpdate,
    UnknownBody,
)
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomId, RoomName, short
from buddies_core.trust.admitted import Admitted, Rejected
from buddies_core.trust.clocks import PeerClocks
from buddies_core.trust.gate import Gate
from buddies_core.trust.speakers import MarksPort, Speakers
from buddies_core.trust.twin import Twin
from buddies_core.wire.room_messages import (
    Envelope,
    RoomMessage,
    legacy_signed_payload,
    open_envelope,
)

LEGACY_NAMESPACE = "buddies"
"""The namespace of 0.1.4's SSH signatures."""
MESSAGE_BYTES_MAX = CONTENT_BYTES_MAX + 512
"""A copy has the bytes of its broadcast; an entry in a 0.1.4 peer's answer becomes its own copy."""

_OURS = Presence | MemorySuperseded | MemoryDeleted | UnknownBody

log = logging.getLogger(__name__)


class Admission:
    """Admits peers' messages; counts rejected ones by reason."""

    def __init__(
        self,
        marks: MarksPort,
        verify: Verify,
        counters: Counter[str],
        gate: Gate | None = None,
        twin: Twin | None = None,
        clocks: PeerClocks | None = None,
        check_endpoint: CheckEndpoint = check_at_once,
    ) -> None:
        """Admit what `gate` admits; without a gate, every authentic message."""
        self._check_endpoint = check_endpoint
        self.speakers = Speakers(marks)
        self._verify_signer = verify
        self._counters = counters
        self._gate = gate
        self._twin = twin
        self._clocks = clocks

    async def admit(
        self, room: RoomName, room_id: RoomId, raw: bytes, told_by: EndpointId | None = None
    ) -> Admitted:
        """Return the message in these bytes, once its signature and author are checked.

        A 0.1.4 message is checked by its own signature, if it has one: by a person's key, and
        for no room. For newer messages only the trailer's signature counts.

        Raises:
            Rejected: it does not decode, its signature is wrong, it names another as its author, or
                the room's policy does not admit it.
            SignerUnknown: the policy first needs to know the sender's signer.
        """
        try:
            admitted = await self._admit(room, room_id, raw, told_by)
            if self._twin is not None and admitted.trailer is not None:
                self._twin.heard(admitted.trailer.sender, admitted.trailer.sent_at_ms)
            self._note_clock(admitted, told_by)
            if admitted.trailer is None:
                admitted = await self._signed(admitted)
            if self._gate is not None:
                await self._gate.check_message(room_id, admitted)
        except Rejected as rejected:
            self._counters[f"rejected_{rejected.reason}"] += 1
            raise
        if admitted.trailer is not None:
            await self._note_speaker(admitted.trailer.sender, told_by)
        return admitted

    def _note_clock(self, admitted: Admitted, told_by: EndpointId | None) -> None:
        trailer = admitted.trailer
        if self._clocks is None or trailer is None or trailer.sender != told_by:
            return
        # Other messages may be old although the sender delivers them itself, from its history.
        if isinstance(admitted.message.body, Presence):
            self._clocks.heard(trailer.sender, trailer.sent_at_ms)

    async def _note_speaker(self, sender: EndpointId, told_by: EndpointId | None) -> None:
        """Record that this endpoint signs, so that unsigned messages in its name are rejected."""
        try:
            await self.speakers.note(sender, told_by=told_by)
        except StoreError as error:
            # The message is still good; the next one is another chance to note it.
            log.warning("speaker_not_noted peer=%s: %s", short(sender), error)

    async def _admit(
        self, room: RoomName, room_id: RoomId, raw: bytes, told_by: EndpointId | None
    ) -> Admitted:
        if len(raw) > MESSAGE_BYTES_MAX:
            raise Rejected("too_long", f"it has {len(raw)} bytes, more than a broadcast carries")
        try:
            envelope = open_envelope(raw)
        except WireError as error:
            raise Rejected("undecodable", str(error)) from error
        verified = await self._verify(envelope, room_id)
        return Admitted(
            room=room,
            message=envelope.message,
            trailer=envelope.trailer,
            verified=verified,
            raw=raw,
            told_by=told_by,
        )

    async def _signed(self, admitted: Admitted) -> Admitted:
        """Return a 0.1.4 message with its signer, if it has one."""
        message = admitted.message
        if message.signed_by is None:
            return admitted  # A stray signature is ignored, as 0.1.4 does.
        if message.signature is None:
            raise Rejected("signer", "it names a signer and is not signed")
        payload = legacy_signed_payload(message)
        found = await self._verify_signer(
            message.signed_by, payload, message.signature, LEGACY_NAMESPACE, admitted.told_by
        )
        match found.verdict:
            case Verdict.GOOD:
                return replace(admitted, verified=Verified.SIGNER, signer=found.signer)
            case Verdict.WRONG:
                raise Rejected("signer", found.reason)
            case Verdict.UNKNOWN:
                # Dropping it would treat signers with gpg worse than peers that do not sign.
                self._counters["signers_unknown"] += 1
                return admitted
            case Verdict.BUSY:
                # Do not report that its key is missing here.
                self._counters["signers_not_checked"] += 1
                unsigned = replace(message, signed_by=None, signature=None)
                return replace(admitted, message=unsigned)

    async def _verify(self, envelope: Envelope, room_id: RoomId) -> Verified:
        author = _claimed_author(envelope.message)
        if envelope.trailer is None:
            if isinstance(envelope.message.body, _OURS):
                raise Rejected("unsigned", "a message of our own kind came without a trailer")
            if author is not None and self._claims_signer(author):
                raise Rejected("impersonation", f"{author[:10]} signs its messages; this is not")
            return Verified.UNVERIFIED
        sender = envelope.trailer.sender
        signed = envelope.signing_input(room_id)
        if not await self._check_endpoint(sender, signed, envelope.signature):
            raise Rejected("bad_signature", f"not signed by {sender.hex()[:10]} for this room")
        if author is not None and author != sender.hex():
            raise Rejected("author_is_not_sender", f"{sender.hex()[:10]} speaks for {author[:10]}")
        return Verified.PEER

    def _claims_signer(self, author: str) -> bool:
        try:
            endpoint = EndpointId(bytes.fromhex(author))
        except ValueError:
            return False
        return endpoint in self.speakers


def _claimed_author(message: RoomMessage) -> str | None:
    """Return the endpoint id in hex that the body claims as its author, if it claims one."""
    match message.body:
        case MemoryCreated(entry) | SkillPublished(entry):
            return entry.author
        case StatusUpdate(author, _):
            return author
        case SkillVoteCast(voter=voter):
            return voter
        case _:
            return None
