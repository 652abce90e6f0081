"""Revoking and restoring an identity over a real store and a real search index."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from buddies_core.finding.document import scope
from buddies_core.finding.index import Index
from buddies_core.finding.local_search import LocalSearch
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.resolving import Resolver
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId
from buddies_core.model.memory import MemoryHead
from buddies_core.model.revocation import ItemCounts
from buddies_core.model.skill import SkillHead
from buddies_core.skills.documents import SkillDocuments
from buddies_core.store.rocks import RocksStore
from buddies_core.trust.revocations import Revocations
from tests.support.fakes.clocks import ManualClock
from tests.support.fakes.embedder import ToyEmbedder
from tests.support.memories import ALICE, BOB, CAROL, DEMO, a_memory, an_entry
from tests.support.skills import a_skill, a_skill_entry
from tests.support.worlds.person import an_ed25519_signer
from tests.support.worlds.team import FakeEmbedder

ANN = an_ed25519_signer(b"1").identity
IN_DEMO = scope(room=DEMO)
QUESTION = "which database do we deploy"
ANNS = [
    a_memory(an_entry(number, author=ALICE, content=f"{QUESTION}: the database number {number}"))
    for number in range(250)
]
BOBS = [
    a_memory(
        an_entry(number, author=BOB, content=f"some day they deploy a database here: {number}")
    )
    for number in range(3)
]
SKILLS = [
    a_skill(a_skill_entry("deploy the database", author=ALICE, title="Ann's")),
    a_skill(a_skill_entry("deploy something else", author=BOB, title="Bob's")),
]


class Signers:
    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        return ANN if endpoint == ALICE else None


@dataclass(frozen=True)
class Findings:
    """What a daemon has of store, index and search."""

    revocations: Revocations
    memories: LocalSearch[MemoryHead]
    skills: LocalSearch[SkillHead]
    embedder: ToyEmbedder

    async def found(
        self,
        search: LocalSearch[MemoryHead] | LocalSearch[SkillHead],
        limit: int,
        *,
        by_meaning: bool,
    ) -> list[str]:
        vector = self.embedder.vector(QUESTION) if by_meaning else None
        ranked, damaged = await search.find(QUESTION, vector, IN_DEMO, limit, 10)
        assert damaged == 0
        return [head.entry.author for head, _ in ranked]

    async def everywhere(self, limit: int) -> list[str]:
        """Return whose memories and skills are found, by words and by meaning."""
        whose: set[str] = set()
        for by_meaning in (False, True):
            memories = await self.found(self.memories, limit, by_meaning=by_meaning)
            assert len(memories) == limit
            whose.update(memories, await self.found(self.skills, limit, by_meaning=by_meaning))
        return sorted(whose)


@asynccontextmanager
async def a_machine(directory: Path) -> AsyncIterator[Findings]:
    embedder = ToyEmbedder()
    async with RocksStore.open(directory / "store") as store:
        memories, documents = MemoryDocuments(store), SkillDocuments(store.skills)
        revocations = Revocations(
            store=store,
            skills=store.skills,
            signers=Signers(),
            resolver=Resolver(Gpg({})),
            endpoint=CAROL,
            clock=ManualClock(unix_ms=1_700_000_001_000),
        )
        for memory in () if store.count_memories() else (*ANNS, *BOBS):
            await store.put_memory(memory)
        for skill in SKILLS:
            await store.skills.put_skill(skill)
        async with (
            Index.open(directory / "memories", memories, embedder) as index,
            Index.open(directory / "skills", documents, embedder) as skill_index,
        ):
            assert await index.catch_up(60)
            assert await skill_index.catch_up(60)
            yield Findings(
                revocations,
                LocalSearch(index, FakeEmbedder(), memories, revocations),
                LocalSearch(skill_index, FakeEmbedder(), documents, revocations),
                embedder,
            )


async def test_what_is_hidden_takes_no_place_and_is_back_at_once_without_indexing_again(
    tmp_path: Path,
) -> None:
    async with a_machine(tmp_path) as machine:
        embedded = len(machine.embedder.texts)
        assert await machine.everywhere(3) == [ALICE.hex(), BOB.hex()]
        view = await machine.revocations.revoke(ANN.label, 0, own_too=False)
        assert view.hidden == ItemCounts(memories=len(ANNS), skills=1)
        assert await machine.everywhere(3) == [BOB.hex()]

    async with a_machine(tmp_path) as machine:
        assert await machine.everywhere(3) == [BOB.hex()]
        assert (await machine.revocations.restore(ANN.label)).hidden == view.hidden
        assert await machine.everywhere(3) == [ALICE.hex(), BOB.hex()]
        assert (embedded > 0, machine.embedder.texts) == (True, [])


async def test_only_what_came_since_is_left_out_of_a_search(tmp_path: Path) -> None:
    async with a_machine(tmp_path) as machine:
        late_ms = ANNS[0].received_at_ms + 1
        view = await machine.revocations.revoke(ANN.label, late_ms, own_too=False)
        assert (view.hidden, view.shown) == (
            ItemCounts(),
            ItemCounts(memories=len(ANNS), skills=1),
        )
        assert await machine.everywhere(3) == [ALICE.hex(), BOB.hex()]
