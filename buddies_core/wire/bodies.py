"""Bodies ↔ bytes: the bodies of room messages, in postcard.

body := variant · its fields in the order of model/bodies.py, those of 0.1.4 as 0.1.4 has them
variant 13 on := variant · blob, so that a peer that doesn't know it can read on after it;
                 in Presence (13) the blob is protobuf, buddies.peer.Presence,
                 in amendments (14) it is buddies.peer.Amendment
"""

from google.protobuf.message import DecodeError

from buddies_core.errors import WireError
from buddies_core.model.bodies import (
    AgentPresence,
    Body,
    Join,
    Leave,
    MemoryCreated,
    MemoryDeleted,
    MemorySuperseded,
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
from buddies_core.model.identity import Binding, GpgIdentity, SignerIdentity, SshIdentity
from buddies_core.model.ids import MemoryId, RequestId, RoomName, TaskId
from buddies_core.model.memory import MemoryEntry, MemoryKind
from buddies_core.model.skill import RankedSkill, SkillEntry
from buddies_core.model.task import TaskFailed, TaskResult, TaskSucceeded
from buddies_core.pb import peer_pb2
from buddies_core.wire.amendments import decode_amendment, encode_amendment
from buddies_core.wire.postcard import (
    Reader,
    blob,
    i8,
    i64,
    option,
    seq,
    text,
    u32,
    u64,
    uuid,
    variant,
)

_KINDS = tuple(MemoryKind)


class BodyReader(Reader):
    """Reads the fields that bodies are made of."""

    __slots__ = ()

    def body(self) -> Body:
        """Read a body of any kind."""
        match self.u32():
            case 0:
                return Join(self.text(), self.text())
            case 1:
                return Leave(self.text())
            case 2:
                return MemoryCreated(self.memory_entry())
            case 3:
                return StatusUpdate(self.text(), self.text())
            case 4:
                return SearchRequest(self.request_id(), self.text(), self._search_filters())
            case 5:
                return SearchResponse(self.request_id(), self.seq(self.memory_entry), self.text())
            case 6:
                return TaskRequest(
                    task_id=self.task_id(),
                    source_peer=self.text(),
                    room=self.room(),
                    description=self.text(),
                    timeout_s=self.u32(),
                    created_at_s=self.u64(),
                )
            case 7:
                return TaskClaimed(self.task_id(), self.text())
            case 8:
                return TaskResponse(self.task_id(), self._task_result(), self.text())
            case 9:
                return SkillPublished(self.skill_entry())
            case 10:
                return SkillSearchRequest(self.request_id(), self.text(), self._skill_filters())
            case 11:
                return SkillSearchResponse(
                    self.request_id(), self.seq(self._ranked_skill), self.text()
                )
            case 12:
                return SkillVoteCast(self.text(), self.text(), self.i8())
            case 13:
                return _presence(self.blob())
            case 14:
                payload = self.blob()
                return decode_amendment(payload) or UnknownBody(14, payload)
            case newer:
                return UnknownBody(newer, self.blob())

    def memory_entry(self) -> MemoryEntry:
        """Read a memory."""
        return MemoryEntry(
            id=self.memory_id(),
            author=self.text(),
            created_at_s=self.u64(),
            room=self.room(),
            kind=_KINDS[self.variant(len(_KINDS))],
            title=self.text(),
            content=self.text(),
            tags=self.seq(self.text),
            references=self.seq(self.memory_id),
        )

    def skill_entry(self) -> SkillEntry:
        """Read one version of a skill."""
        return SkillEntry(
            hash=self.text(),
            author=self.text(),
            created_at_s=self.u64(),
            room=self.room(),
            title=self.text(),
            content=self.text(),
            tags=self.seq(self.text),
            version=self.u32(),
            parent_hash=self.option(self.text),
            signed_by=self.option(self.signer),
            signature=self.option(self.blob),
        )

    def signer(self) -> SignerIdentity:
        """Read the identity of a signer."""
        return SshIdentity(self.text()) if self.variant(2) else GpgIdentity(self.text())

    def room(self) -> RoomName:
        """Read a room's name."""
        return RoomName(self.text())

    def memory_id(self) -> MemoryId:
        """Read the id of a memory."""
        return MemoryId(self.uuid())

    def request_id(self) -> RequestId:
        """Read the id of a question."""
        return RequestId(self.uuid())

    def task_id(self) -> TaskId:
        """Read the id of a task."""
        return TaskId(self.uuid())

    def _search_filters(self) -> SearchFilters:
        return SearchFilters(
            room=self.option(self.room),
            kind=self.option(self.text),
            tags=self.option(lambda: self.seq(self.text)),
        )

    def _skill_filters(self) -> SkillSearchFilters:
        return SkillSearchFilters(
            room=self.option(self.room), tags=self.option(lambda: self.seq(self.text))
        )

    def _ranked_skill(self) -> RankedSkill:
        return RankedSkill(self.skill_entry(), self.i64())

    def _task_result(self) -> TaskResult:
        return TaskFailed(self.text()) if self.variant(2) else TaskSucceeded(self.text())


def encode_body(body: Body) -> bytes:
    """Return the bytes that `BodyReader.body` reads."""
    match body:
        case Join(name, agent):
            return variant(0) + text(name) + text(agent)
        case Leave(name):
            return variant(1) + text(name)
        case MemoryCreated(entry):
            return variant(2) + encode_entry(entry)
        case StatusUpdate(author, status):
            return variant(3) + text(author) + text(status)
        case SearchRequest(id, query, filters):
            return variant(4) + uuid(id) + text(query) + _search_filters(filters)
        case SearchResponse(id, results, peer_name):
            return variant(5) + uuid(id) + seq(results, encode_entry) + text(peer_name)
        case TaskRequest():
            return (
                variant(6)
                + uuid(body.task_id)
                + text(body.source_peer)
                + text(body.room)
                + text(body.description)
                + u32(body.timeout_s)
                + u64(body.created_at_s)
            )
        case TaskClaimed(id, claimed_by):
            return variant(7) + uuid(id) + text(claimed_by)
        case TaskResponse(id, result, completed_by):
            return variant(8) + uuid(id) + _task_result(result) + text(completed_by)
        case SkillPublished(entry):
            return variant(9) + encode_skill(entry)
        case SkillSearchRequest(id, query, filters):
            return variant(10) + uuid(id) + text(query) + _skill_filters(filters)
        case SkillSearchResponse(id, results, peer_name):
            return variant(11) + uuid(id) + seq(results, _ranked_skill) + text(peer_name)
        case SkillVoteCast(skill_hash, voter, score):
            return variant(12) + text(skill_hash) + text(voter) + i8(score)
        case Presence():
            return variant(13) + blob(_presence_to_protobuf(body))
        case MemorySuperseded() | MemoryDeleted():
            return variant(14) + blob(encode_amendment(body))
        case UnknownBody(index, payload):
            assert index > 13, "a variant that is known here"
            return variant(index) + blob(payload)


def encode_entry(entry: MemoryEntry) -> bytes:
    """Return a memory's bytes in messages; their hash is the key of an unverified memory."""
    return (
        uuid(entry.id)
        + text(entry.author)
        + u64(entry.created_at_s)
        + text(entry.room)
        + variant(_KINDS.index(entry.kind))
        + text(entry.title)
        + text(entry.content)
        + seq(entry.tags, text)
        + seq(entry.references, uuid)
    )


def encode_skill(entry: SkillEntry) -> bytes:
    """Return the bytes of one version of a skill in messages."""
    return (
        text(entry.hash)
        + text(entry.author)
        + u64(entry.created_at_s)
        + text(entry.room)
        + text(entry.title)
        + text(entry.content)
        + seq(entry.tags, text)
        + u32(entry.version)
        + option(entry.parent_hash, text)
        + encode_vouching(entry.signed_by, entry.signature)
    )


def encode_vouching(signed_by: SignerIdentity | None, signature: bytes | None) -> bytes:
    """Return the bytes of the signer's identity and the signature, each if there is one."""
    signer = b"\x00" if signed_by is None else b"\x01" + _signer(signed_by)
    return signer + option(signature, blob)


def _signer(signer: SignerIdentity) -> bytes:
    match signer:
        case GpgIdentity(key_id):
            return variant(0) + text(key_id)
        case SshIdentity(public_key):
            return variant(1) + text(public_key)


def _search_filters(filters: SearchFilters) -> bytes:
    return option(filters.room, text) + option(filters.kind, text) + option(filters.tags, _texts)


def _skill_filters(filters: SkillSearchFilters) -> bytes:
    return option(filters.room, text) + option(filters.tags, _texts)


def _texts(values: tuple[str, ...]) -> bytes:
    return seq(values, text)


def _ranked_skill(ranked: RankedSkill) -> bytes:
    return encode_skill(ranked.entry) + i64(ranked.rank)


def _task_result(result: TaskResult) -> bytes:
    match result:
        case TaskSucceeded(output):
            return variant(0) + text(output)
        case TaskFailed(message):
            return variant(1) + text(message)


def _presence(data: bytes) -> Presence:
    try:
        presence = peer_pb2.Presence.FromString(data)
    except DecodeError as error:
        raise WireError(f"a presence that is not protobuf: {error}") from error
    return Presence(
        presence.name,
        tuple(
            AgentPresence(
                name=agent.name,
                user=agent.user,
                status=agent.status,
                status_at_ms=agent.status_at_ms,
                capabilities=tuple(agent.capabilities),
            )
            for agent in presence.agents
        ),
        _binding(presence),
        tuple(presence.sponsorships),
    )


def _binding(presence: peer_pb2.Presence) -> Binding | None:
    binding = presence.binding
    signer: SignerIdentity
    match binding.WhichOneof("signer"):
        case "gpg":
            signer = GpgIdentity(binding.gpg)
        case "ssh":
            signer = SshIdentity(binding.ssh)
        case _:
            return None
    return Binding(signer, binding.signed_at_ms, binding.signature)


def _presence_to_protobuf(presence: Presence) -> bytes:
    agents = [
        peer_pb2.Agent(
            name=agent.name,
            user=agent.user,
            status=agent.status,
            status_at_ms=agent.status_at_ms,
            capabilities=agent.capabilities,
        )
        for agent in presence.agents
    ]
    binding = _binding_to_protobuf(presence.binding) if presence.binding else None
    told = peer_pb2.Presence(
        name=presence.name, agents=agents, binding=binding, sponsorships=presence.sponsorships
    )
    return told.SerializeToString()


def _binding_to_protobuf(binding: Binding) -> peer_pb2.Binding:
    encoded = peer_pb2.Binding(signed_at_ms=binding.signed_at_ms, signature=binding.signature)
    match binding.signer:
        case GpgIdentity(key_id):
            encoded.gpg = key_id
        case SshIdentity(public_key):
            encoded.ssh = public_key
    return encoded
