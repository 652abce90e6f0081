"""Stores skills on disk, with their votes, in their line of versions."""

from contextlib import suppress

from buddies_core.asking.ports import RoomsPort
from buddies_core.errors import StoreError
from buddies_core.model.ids import EndpointId
from buddies_core.model.provenance import Origin, Trust
from buddies_core.model.skill import Skill, SkillHead, skill_key
from buddies_core.skills.ballots import Ballots
from buddies_core.skills.fetching import Fetched
from buddies_core.skills.ports import IndexPort
from buddies_core.skills.publishers import publisher_of
from buddies_core.store.skills import SkillStore
from buddies_core.store.succession import OWN


class Keeper:
    """Keeps skills. One event loop owns this."""

    def __init__(
        self, store: SkillStore, index: IndexPort, rooms: RoomsPort, ballots: Ballots
    ) -> None:
        self._store = store
        self._index = index
        self._rooms = rooms
        self._ballots = ballots

    async def keep(self, skill: Skill, neighbor: EndpointId | None = None) -> bool:
        """Keep a skill that this neighbor brought in; return False if a better copy is here.

        Raises:
            StoreError: the disk refused.
        """
        head = skill.head()
        kept = await self._store.put_skill(skill, Origin(self._rank(head), neighbor))
        if kept:
            self._index.notice()
            await self._ballots.skill_came(skill.key)
            await self._find_updates(head)
        return kept

    async def keep_fetched(self, fetched: Fetched) -> None:
        """Store a skill that a peer gave; raises StoreError if the disk refuses."""
        await self.keep(fetched.skill, fetched.source)
        await self._ballots.take_all(fetched.votes, fetched.source)

    def _rank(self, skill: SkillHead) -> int:
        """Return how far the publisher of a successor is known; see `store.succession`."""
        publisher = publisher_of(skill, self._rooms)
        if skill.entry.parent_hash is not None:
            key = skill_key(skill.entry.parent_hash, skill.entry.room)
            with suppress(StoreError):
                parent = self._store.get_head(key)
                if parent and publisher.is_same_as(publisher_of(parent, self._rooms)):
                    return OWN
        trust = Trust.VOUCHED if publisher.signer else Trust.STRANGER
        if publisher.endpoint:
            endpoint = EndpointId(bytes.fromhex(publisher.endpoint))
            trust = max(trust, self._rooms.trust(skill.entry.room, endpoint))
        return trust

    async def _find_updates(self, skill: SkillHead) -> None:
        """Record updates by the same publisher that came before the skill itself."""
        publisher = publisher_of(skill, self._rooms)
        for key in self._store.successors(skill.key):
            with suppress(StoreError):
                successor = self._store.get_head(key)
                if successor and publisher_of(successor, self._rooms).is_same_as(publisher):
                    await self._store.rank_successor(successor, Origin(OWN))
