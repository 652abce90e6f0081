"""Which memories replace or refer to which, as far as this machine knows and believes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from buddies_core.memory.ports import StorePort
from buddies_core.model.amendment import Amendment
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, MemoryId
from buddies_core.model.memory import (
    Memory,
    MemoryHead,
    MemoryKey,
    author_of_key,
    id_of_key,
    is_verified_key,
)
from buddies_core.model.views import LINKS_MAX, Link, Relation

TITLE_CHARS_MAX = 120
"""The most characters shown of the title of a linked memory."""


class SignersPort(Protocol):
    """The signers that vouch for endpoints; see `trust.bindings.Bindings`."""

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return the signer whose key vouches for this endpoint, if there is one."""


class HidesPort(Protocol):
    """The memories that must not be shown; see `memory.hidden.Hidden`."""

    def hides(self, item: Memory | MemoryHead) -> bool:
        """Return whether this memory must be neither shown nor handed on."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The ids of the memories that are directly linked with a given one."""

    supersedes: tuple[MemoryId, ...] = ()
    superseded_by: tuple[MemoryId, ...] = ()
    proposals: tuple[MemoryId, ...] = ()
    proposed_for: tuple[MemoryId, ...] = ()


def may_amend(
    amendment: Amendment, signer_of: Callable[[EndpointId], SignerIdentity | None]
) -> bool:
    """Return whether an amendment's sender may change the memory, not merely propose a change.

    Its author may, and so may an endpoint that the same person's key vouches for.
    """
    if amendment.is_by_author:
        return True
    if not is_verified_key(amendment.key):
        return False
    signer = signer_of(amendment.by)
    return signer is not None and signer == signer_of(author_of_key(amendment.key))


class Links:
    """The links between memories. They are in the store, and are read from it each time."""

    def __init__(self, store: StorePort, signers: SignersPort, hidden: HidesPort) -> None:
        self._store = store
        self._signers = signers
        self._hidden = hidden

    def is_superseded(self, memory: Memory | MemoryHead) -> bool:
        """Return whether another memory, which is shown here, has taken the place of this one."""
        return any(True for _ in self._successors(memory))

    def linked(self, memory: Memory | MemoryHead) -> Linked:
        """Return the memories directly linked with this one, at most `LINKS_MAX` of each kind."""
        before = self._before(memory)
        return Linked(
            supersedes=_ids(key for key, may in before if may),
            superseded_by=_ids(it.key for it in self._successors(memory)),
            proposals=_ids(it.key for it in self._after(memory, may=False)),
            proposed_for=_ids(key for key, may in before if not may),
        )

    def links(self, memory: Memory | MemoryHead) -> tuple[Link, ...]:
        """Return all links of a memory: the chain both ways, proposals and references.

        There are at most `LINKS_MAX` of each relation.
        """
        chain = {
            Relation.SUPERSEDES: self._chain(memory, self._predecessors),
            Relation.SUPERSEDED_BY: self._chain(memory, self._successors),
            Relation.PROPOSALS: list(self._after(memory, may=False)),
        }
        links = [
            self._link(relation, it.entry.id, it)
            for relation, found in chain.items()
            for it in found[:LINKS_MAX]
        ]
        for key, may in self._before(memory):
            if not may and is_verified_key(key):
                links.append(self._link(Relation.PROPOSED_FOR, id_of_key(key), self._head(key)))
        said = {link.id for link in links}
        for id in memory.entry.references:
            if id not in said:
                heads = (it for it in self._store.find_heads(id) if not self._hidden.hides(it))
                links.append(self._link(Relation.REFERS_TO, id, next(heads, None)))
        referring = self._store.amendments.referring_to(memory.entry.id, 2 * LINKS_MAX)
        shown = filter(None, map(self._head, referring))
        links += [
            self._link(Relation.REFERRED_BY, it.entry.id, it)
            for it in shown
            if it.entry.id not in said
        ]
        return tuple(
            link
            for relation in Relation
            for link in islice((it for it in links if it.relation is relation), LINKS_MAX)
        )

    def _link(self, relation: Relation, id: MemoryId, head: Memory | MemoryHead | None) -> Link:
        if head is None:
            return Link(relation, id)
        return Link(relation, id, head.entry.title[:TITLE_CHARS_MAX], head.author_name)

    def _chain(
        self,
        memory: Memory | MemoryHead,
        step: "Callable[[Memory | MemoryHead], Iterable[MemoryHead]]",
    ) -> list[MemoryHead]:
        """Return all memories reached by these steps, nearest first; a cycle is followed once."""
        found: dict[MemoryKey, MemoryHead] = {}
        reached: list[Memory | MemoryHead] = [memory]
        while reached and len(found) < LINKS_MAX:
            for it in step(reached.pop(0)):
                if it.key not in found and it.key != memory.key:
                    found[it.key] = it
                    reached.append(it)
        return list(found.values())

    def _successors(self, memory: Memory | MemoryHead) -> Iterator[MemoryHead]:
        return self._after(memory, may=True)

    def _predecessors(self, memory: Memory | MemoryHead) -> Iterator[MemoryHead]:
        heads = (self._head(key) for key, may in self._before(memory) if may)
        return (head for head in heads if head is not None)

    def _after(self, memory: Memory | MemoryHead, *, may: bool) -> Iterator[MemoryHead]:
        """Yield the memories shown here that replaced this one, or are proposed in its place."""
        for key, amendment in self._store.amendments.superseding(memory.key):
            is_of_room = amendment.room == memory.entry.room
            if is_of_room and may_amend(amendment, self._signers.signer_of) is may:
                head = self._head(key)
                if head is not None:
                    yield head

    def _before(self, memory: Memory | MemoryHead) -> list[tuple[MemoryKey, bool]]:
        """Return the memories that this one should replace, and whether its author may do so."""
        return [
            (key, may_amend(amendment, self._signers.signer_of))
            for key, amendment in self._store.amendments.superseded(memory.key)
            if amendment.room == memory.entry.room
        ]

    def _head(self, key: MemoryKey) -> MemoryHead | None:
        """Return the head of a memory, if it is shown here."""
        head = self._store.get_head(key)
        return None if head is None or self._hidden.hides(head) else head


def _ids(keys: Iterable[MemoryKey]) -> tuple[MemoryId, ...]:
    known = (id_of_key(key) for key in keys if is_verified_key(key))
    return tuple(islice(dict.fromkeys(known), LINKS_MAX))
