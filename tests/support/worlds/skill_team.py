"""Nodes of a team that share skills: real stores, signatures and services; no disk, no model."""

import hashlib
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass

from buddies_core.finding.local_search import LocalSearch
from buddies_core.identity.verifying import Verdict, Verification, Verify
from buddies_core.legacy.answering import SkillAnswers
from buddies_core.legacy.asking import SkillQuestions
from buddies_core.model.bodies import SkillPublished, SkillVoteCast
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.skill_views import SkillView, VoteReport
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.copies import Copies
from buddies_core.skills.documents import SkillDocuments
from buddies_core.skills.ports import Signer
from buddies_core.skills.search import SkillSearch
from buddies_core.skills.service import Skills
from buddies_core.skills.votes import Electorate, EverybodyKnown
from tests.support.memories import DEMO
from tests.support.worlds.team import FakeIndex, Node, Team


@dataclass(frozen=True)
class FakeSigner:
    """Signs by a hash that anybody could make; `check` knows it."""

    name: str

    @property
    def identity(self) -> SignerIdentity:
        digest = hashlib.sha256(self.name.encode()).digest()
        key = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", digest))
        return SshIdentity(f"ssh-ed25519 {b64encode(key).decode()}")

    async def sign(self, payload: bytes, namespace: str) -> bytes:
        return _signature(self.identity, payload, namespace)


def _signature(identity: SignerIdentity, payload: bytes, namespace: str) -> bytes:
    return hashlib.sha256(repr((identity, payload, namespace)).encode()).digest()


async def check(
    identity: SignerIdentity,
    payload: bytes,
    signature: bytes,
    namespace: str,
    told_by: EndpointId | None = None,
) -> Verification:
    """Verify what a FakeSigner has signed; of a gpg key nothing is known."""
    if isinstance(identity, GpgIdentity):
        return Verification(Verdict.UNKNOWN, "its key is not in the keyring")
    if signature != _signature(identity, payload, namespace):
        return Verification(Verdict.WRONG, "its signature is wrong")
    return Verification(Verdict.GOOD, signer=identity)


class SkillNode(Node):
    """One machine's skills."""

    def __init__(
        self,
        team: Team,
        name: str,
        rooms: tuple[RoomName, ...],
        signer: Signer | None,
        verify: Verify,
        electorate: Electorate | None,
    ) -> None:
        super().__init__(team, name, rooms)
        self.skill_questions = SkillQuestions(self.rooms, self.clock)
        documents = SkillDocuments(self.kept)
        self.skill_index = FakeIndex(documents)
        self.ballots = Ballots(
            self.kept,
            electorate or EverybodyKnown(self.rooms),
            self.endpoint,
            self.revocations,
            self.clock,
            self.counters,
        )
        self.copies = Copies(self.rooms, verify, self.clock, self.counters)
        self.skills = Skills(
            store=self.kept,
            index=self.skill_index,
            rooms=self.rooms,
            network=self.network,
            signer=signer,
            copies=self.copies,
            ballots=self.ballots,
            hidden=self.revocations,
            clock=self.clock,
            counters=self.counters,
        )
        self.skill_search = SkillSearch(
            local=LocalSearch(self.skill_index, self.embedder, documents, self.revocations),
            store=self.kept,
            rooms=self.rooms,
            network=self.network,
            copies=self.copies,
            ballots=self.ballots,
            hidden=self.revocations,
            clock=self.clock,
            counters=self.counters,
            legacy=self.skill_questions,
        )
        self.skill_answers = SkillAnswers(self.rooms, self.skill_search)

    async def answer(
        self, caller: EndpointId, room: RoomName, request: PeerRequest
    ) -> list[PeerReply]:
        if request.HasField("search_skills"):
            return await self.skill_search.answer(
                caller, room, request.search_skills, self.more(request)
            )
        if request.HasField("fetch_skill"):
            return self.skills.answer_fetch(caller, room, request.fetch_skill)
        return await super().answer(caller, room, request)

    async def hear(self, room: RoomName, raw: bytes) -> None:
        admitted = await self.rooms.admit(room, raw)
        match admitted.message.body:
            case SkillPublished():
                await self.skills.receive(admitted)
            case SkillVoteCast():
                await self.skills.receive_vote(admitted)
            case _:
                await super().hear(room, raw)

    async def publish(
        self,
        content: str = "1. run make release\n2. tag it",
        *,
        room: RoomName = DEMO,
        title: str = "Release",
        tags: tuple[str, ...] = (),
        version: int = 0,
        parent: str | None = None,
    ) -> SkillView:
        return await self.skills.publish(
            room, title, content, tags, version, parent, agent="claude", user=""
        )

    async def vote(self, hash: str, score: int, room: RoomName = DEMO) -> VoteReport:
        return await self.skills.vote(room, hash, score, agent="claude", user="")

    async def shown(self, hash: str) -> SkillView:
        """Return the skill as `get` shows it."""
        return (await self.skills.get(hash, 0, 10_000)).skill

    def rejected(self) -> Counter[str]:
        """Return what was not believed, by reason."""
        return Counter({k: n for k, n in self.counters.items() if "rejected" in k})


class SkillTeam(Team):
    """SkillNodes that are all present in the rooms they share."""

    def skilled(
        self,
        name: str,
        *rooms: RoomName,
        signer: Signer | None = None,
        verify: Verify = check,
        electorate: Electorate | None = None,
    ) -> SkillNode:
        """Return a new node that is in these rooms, with everybody who is there."""
        node = SkillNode(self, name, rooms or (DEMO,), signer, verify, electorate)
        self.place(node)
        return node
