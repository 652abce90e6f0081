"""The revoked identities, whose items this machine hides. One event loop owns this.

Nothing is deleted: hidden items are left out of results, so they are back as soon as their identity
is restored.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import InvalidInput, NotAllowed, NotFound
from buddies_core.identity.resolving import Resolved
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId
from buddies_core.model.memory import MemoryHead
from buddies_core.model.revocation import (
    PEER_SCHEME,
    Item,
    ItemCounts,
    Revocation,
    RevocationView,
    hiding,
    labels_of,
    peer_label,
)
from buddies_core.model.skill import SkillHead, SkillKey, Vote

_PEER_ID = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_MEMORIES_AT_ONCE = 500
_SKILLS_AT_ONCE = 100
"""Skills per batch, with their votes, which are read without a pause."""


class StorePort(Protocol):
    """What is kept on disk; see `store.rocks.RocksStore`."""

    async def put_revocation(self, revocation: Revocation) -> None:
        """Store a revocation, replacing one of the same label."""

    def revocations(self) -> tuple[Revocation, ...]:
        """Return all revocations."""

    async def delete_revocation(self, label: str) -> None:
        """Forget the revocation of this label."""

    async def heads_since(self, sequence: int, limit: int) -> tuple[tuple[int, MemoryHead], ...]:
        """Return the heads of what arrived after `sequence`, in order; none only at the end."""


class SkillsPort(Protocol):
    """The skills and votes on disk; see `store.skills.SkillStore`."""

    async def heads_since(self, sequence: int, limit: int) -> tuple[tuple[int, SkillHead], ...]:
        """Return the heads of what arrived after `sequence`, in order; none only at the end."""

    def votes(self, key: SkillKey) -> tuple[Vote, ...]:
        """Return the votes on a skill."""


class SignersPort(Protocol):
    """The signers of endpoints; see `trust.bindings.Bindings`."""

    def signer_of(self, endpoint: EndpointId) -> SignerIdentity | None:
        """Return the identity whose key vouches for this endpoint, if there is one."""


class ResolverPort(Protocol):
    """Finds the key that a label names; see `identity.resolving.Resolver`."""

    async def resolve(self, label: str) -> Resolved:
        """Return the key; raise InvalidInput, with what to do, if it is not exactly one."""


class Revocations:
    """The identities that a person has revoked on this machine."""

    def __init__(
        self,
        *,
        store: StorePort,
        skills: SkillsPort,
        signers: SignersPort,
        resolver: ResolverPort,
        endpoint: EndpointId,
        clock: Clock,
    ) -> None:
        self._store = store
        self._skills = skills
        self._signers = signers
        self._resolver = resolver
        self._endpoint = endpoint
        self._clock = clock
        # Replaced, never changed: the store's readers call `hides` from their threads.
        self._known = {revocation.label: revocation for revocation in store.revocations()}
        self.revision = 0
        """Changes with each revocation."""

    def hiding(self, item: Item) -> Revocation | None:
        """Return the revocation that hides this item, if one does."""
        known = self._known
        if not known:
            return None
        return hiding(known, labels_of(item, self._signers.signer_of), item.received_at_ms)

    def hides(self, item: Item) -> bool:
        """Return whether this item must not be shown or forwarded."""
        return self.hiding(item) is not None

    async def revoke(self, text: str, since_ms: int, *, own_too: bool) -> RevocationView:
        """Hide the items of an identity that arrived since then, and return what is hidden.

        This replaces an earlier revocation of it. It is on disk and in force before all items
        are counted.

        Raises:
            InvalidInput: the text names no identity, or the time is in the future.
            NotAllowed: the identity is this machine's, and `own_too` is not set.
            StoreError: the disk refused; nothing has changed.
        """
        label = await self._label(text)
        now_ms = self._clock.wall_ms()
        if since_ms > now_ms:
            raise InvalidInput(
                "--since names a time that has not come yet; give one that is over: what comes "
                "from now on is hidden in any case"
            )
        if self._is_own(label) and not own_too:
            raise NotAllowed(
                f"{label} is this machine's own identity: what is stored, published and voted here "
                "would be hidden from you and your agents, and no longer be handed on to peers; if "
                "you mean it, add --yes"
            )
        revocation = Revocation(label=label, since_ms=since_ms, revoked_at_ms=now_ms)
        await self._store.put_revocation(revocation)
        self._known = {**self._known, label: revocation}
        self.revision += 1
        (view,) = await self._views([revocation], lambda _: True)
        return view

    async def restore(self, text: str) -> RevocationView:
        """Show again what the revocation of an identity has hidden, and return it.

        Items that another revocation hides as well stay hidden, and are not counted.

        Raises:
            InvalidInput: the text names no identity.
            NotFound: it is not revoked.
            StoreError: the disk refused; nothing has changed.
        """
        # First as it is listed: the keyring may name the key differently by now.
        label = text if text in self._known else await self._label(text)
        revocation = self._known.get(label)
        if revocation is None:
            raise NotFound(f"{label} is not revoked here; buddies-cli identity list shows what is")
        await self._store.delete_revocation(label)
        self._known = {name: it for name, it in self._known.items() if name != label}
        self.revision += 1
        (view,) = await self._views([revocation], lambda item: not self.hides(item))
        return view

    async def revoked(self) -> tuple[RevocationView, ...]:
        """Return the revoked identities, by label, each with what it hides now."""
        known = [self._known[label] for label in sorted(self._known)]
        return tuple(await self._views(known, lambda _: True)) if known else ()

    async def _label(self, text: str) -> str:
        text = text.strip()
        scheme, _, value = text.partition(":")
        match scheme.lower():
            case "gpg" | "ssh":
                return (await self._resolver.resolve(text)).identity.label
            case "peer" if _PEER_ID.fullmatch(value):
                return f"{PEER_SCHEME}:{value.lower()}"
            case _:
                raise InvalidInput(
                    f"{text[:80]!r} is no identity; write gpg:FINGERPRINT, 'ssh:PUBLIC-KEY-LINE', "
                    "or peer:ENDPOINT-ID, which has 64 hex digits, for who has no key"
                )

    def _is_own(self, label: str) -> bool:
        own = self._signers.signer_of(self._endpoint)
        return label in (peer_label(self._endpoint), own.label if own else None)

    async def _views(
        self, revocations: Sequence[Revocation], counts: Callable[[Item], bool]
    ) -> list[RevocationView]:
        """Return each with its identity's shown items, and hidden ones that `counts` accepts."""
        hidden = {revocation.label: Counter[type[Item]]() for revocation in revocations}
        shown = {revocation.label: Counter[type[Item]]() for revocation in revocations}
        async for item in self._items():
            labels = set(labels_of(item, self._signers.signer_of))
            for revocation in revocations:
                if revocation.label not in labels:
                    continue
                if item.received_at_ms < revocation.since_ms:
                    shown[revocation.label][type(item)] += 1
                elif counts(item):
                    hidden[revocation.label][type(item)] += 1
        return [
            RevocationView(
                revocation=revocation,
                hidden=_counts(hidden[revocation.label]),
                shown=_counts(shown[revocation.label]),
                is_own=self._is_own(revocation.label),
            )
            for revocation in revocations
        ]

    async def _items(self) -> AsyncIterator[Item]:
        """Yield all that is on disk, in the order of arrival."""
        sequence = 0
        while memories := await self._store.heads_since(sequence, _MEMORIES_AT_ONCE):
            for _, memory in memories:
                yield memory
            sequence = memories[-1][0]
        sequence = 0
        while skills := await self._skills.heads_since(sequence, _SKILLS_AT_ONCE):
            for _, skill in skills:
                yield skill
                for vote in self._skills.votes(skill.key):
                    yield vote
            sequence = skills[-1][0]


def _counts(items: Counter[type[Item]]) -> ItemCounts:
    return ItemCounts(memories=items[MemoryHead], skills=items[SkillHead], votes=items[Vote])
