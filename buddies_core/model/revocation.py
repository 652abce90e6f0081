"""Identities whose memories, skills and votes this machine does not show. Pure.

An item belongs to every identity that stands behind it: the endpoint that said it, the signer that
is bound to this endpoint now, and the key whose signature it carries itself. Where it is unverified
its claims count as well: to hide what falsely names somebody takes nothing from them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, endpoint_in
from buddies_core.model.memory import Memory, MemoryHead
from buddies_core.model.skill import Skill, SkillHead, Vote

Item: TypeAlias = Memory | MemoryHead | Skill | SkillHead | Vote
"""What somebody said and this machine keeps."""

PEER_SCHEME = "peer"
"""Of the label of an endpoint: `peer:` and its id in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """An identity that is not to be believed any more, here."""

    label: str
    """`ssh:…` or `gpg:…` as `identity.labels` writes it, or `peer:<endpoint id in hex>`."""
    since_ms: int
    """What came to this machine for the first time then or later is hidden."""
    revoked_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCounts:
    """How many of each there are."""

    memories: int = 0
    skills: int = 0
    votes: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.memories + self.skills + self.votes


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationView:
    """A revocation, and what there is of the identity on this machine."""

    revocation: Revocation
    hidden: ItemCounts
    """What it hides; of one that was undone, what is shown again."""
    shown: ItemCounts
    """What else there is of the identity: it came earlier, and is shown as before."""
    is_own: bool
    """Whether the identity is this machine's."""


def peer_label(endpoint: EndpointId) -> str:
    """Return how an endpoint is written where a signer could stand as well."""
    return f"{PEER_SCHEME}:{endpoint.hex()}"


def labels_of(
    item: Item, signer_of: Callable[[EndpointId], SignerIdentity | None]
) -> Iterable[str]:
    """Yield the label of each identity that the item belongs to; one may come twice.

    Args:
        item: What was said.
        signer_of: Returns whose key vouches for an endpoint now.
    """
    author, signed_by = _said_by(item)
    if signed_by:
        yield signed_by
    endpoint = endpoint_in(author)
    if endpoint is not None:
        yield peer_label(endpoint)
        bound = signer_of(endpoint)
        if bound is not None:
            yield bound.label


def hiding(
    revocations: Mapping[str, Revocation], labels: Iterable[str], received_at_ms: int
) -> Revocation | None:
    """Return the revocation that hides what these identities said, if one does.

    Args:
        revocations: All there are, by label.
        labels: Of the identities that the item belongs to.
        received_at_ms: When the item first came to this machine.
    """
    found = (revocations[label] for label in labels if label in revocations)
    return next((one for one in found if one.since_ms <= received_at_ms), None)


def why_hidden(what: str, revocation: Revocation) -> str:
    """Return what is told to who asks for something by its name, and what to do."""
    since = datetime.fromtimestamp(revocation.since_ms / 1000, tz=UTC)
    return (
        f"{what} is hidden on this machine: {revocation.label} is revoked, and what came from it "
        f"since {since:%Y-%m-%d %H:%M} UTC is not shown; a person can bring it back: "
        f"buddies-cli identity restore '{revocation.label}'"
    )


def _said_by(item: Item) -> tuple[str, str]:
    """Return the endpoint that it names as its author, and the label of who signed it itself."""
    match item:
        case Memory() | MemoryHead():
            return item.entry.author, item.signed_by
        case Skill() | SkillHead():
            signer = item.entry.signed_by
            return item.entry.author, signer.label if signer else ""
        case Vote():
            return item.voter, ""
