"""The part of the daemon that is about skills, made in order and closed backwards."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from buddies_core.asking.choosing import ComparedAt
from buddies_core.asking.ports import LegacyPort
from buddies_core.clock import Clock
from buddies_core.daemon.outside import OpenIndex
from buddies_core.finding.embedder import Embedder
from buddies_core.finding.index import Index
from buddies_core.finding.local_search import LocalSearch
from buddies_core.identity.verifying import Verify
from buddies_core.rooms.rooms import Rooms
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.copies import Copies
from buddies_core.skills.documents import SkillDocuments
from buddies_core.skills.ports import Signer
from buddies_core.skills.search import SkillSearch
from buddies_core.skills.service import Skills
from buddies_core.skills.votes import Electorate
from buddies_core.store.skills import SkillStore
from buddies_core.trust.revocations import Revocations


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillParts:
    """The parts that the doors need, and the loops behind them."""

    skills: Skills
    search: SkillSearch
    index: Index


@asynccontextmanager
async def open_skills(
    *,
    store: SkillStore,
    index_directory: Path,
    open_index: OpenIndex,
    embedder: Embedder,
    rooms: Rooms,
    signer: Signer | None,
    verify: Verify,
    electorate: Electorate,
    revocations: Revocations,
    clock: Clock,
    counters: Counter[str],
    legacy: LegacyPort | None,
    compared_at_ms: ComparedAt,
) -> AsyncIterator[SkillParts]:
    """Provide this node's skills, with a search index of their own.

    Raises:
        StoreError: the index's directory can't be written.
    """
    documents = SkillDocuments(store)
    async with open_index(index_directory, documents, embedder) as index:
        copies = Copies(rooms, verify, clock, counters)
        ballots = Ballots(store, electorate, rooms.endpoint, revocations, clock, counters)
        search = SkillSearch(
            local=LocalSearch(index, embedder, documents, revocations),
            store=store,
            rooms=rooms,
            network=rooms,
            copies=copies,
            ballots=ballots,
            hidden=revocations,
            clock=clock,
            counters=counters,
            legacy=legacy,
            compared_at_ms=compared_at_ms,
        )
        try:
            yield SkillParts(
                skills=Skills(
                    store=store,
                    index=index,
                    rooms=rooms,
                    network=rooms,
                    signer=signer,
                    copies=copies,
                    ballots=ballots,
                    hidden=revocations,
                    clock=clock,
                    counters=counters,
                ),
                search=search,
                index=index,
            )
        finally:
            search.close()
