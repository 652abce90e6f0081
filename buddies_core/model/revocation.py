"""Identities whose memories, skills and votes this machine does not show. Pure.

An item belongs to each identity behind it: the endpoint that sent it, the signer now bound to this
endpoint, and the key whose signature the item itself carries. If it is unverified, its claims count
as well: hiding an item that falsely names an identity does that identity no harm.
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
"""An item by any author that this machine keeps."""

PEER_SCHEME = "peer"
"""The scheme of an endpoint's label: `peer:` and its id in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """An identity that this machine no longer believes."""

    label: str
    """`ssh:…` or `gpg:…` as `identity.labels` writes it, or `peer:<endpoint id in hex>`."""
    since_ms: int
    """Items that first came to this machine then or later are hidden."""
    revoked_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCounts:
    """The number of items of each kind."""

    memories: int = 0
    skills: int = 0
    votes: int = 0

    @property
    def total(self) -> int:
        """The number of items of all kinds."""
        return self.memories + self.skills + self.votes


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationView:
    """A revocation, and the identity's items on this machine."""

    revocation: Revocation
    hidden: ItemCounts
    """The items that it hides; after undoing it, those that are shown again."""
    shown: ItemCounts
    """The identity's other items, which came earlier and are shown as before."""
    is_own: bool
    """Whether the identity is this machine's."""


def peer_label(endpoint: EndpointId) -> str:
    """Return an endpoint's label, for places where a signer's label may also appear."""
    return f"{PEER_SCHEME}:{endpoint.hex()}"


def labels_of(
    item: Item, signer_of: Callable[[EndpointId], SignerIdentity | None]
) -> Iterable[str]:
    """Yield the label of each identity that the item belongs to; a label may come twice.

    Args:
        item: The item.
        signer_of: Returns the signer that vouches for an endpoint now.
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
    """Return the revocation that hides an item of these identities, if one does.

    Args:
        revocations: All revocations, by label.
        labels: Labels of the identities that the item belongs to.
        received_at_ms: When the item first came to this machine.
    """
    found = (revocations[label] for label in labels if label in revocations)
    return next((one for one in found if one.since_ms <= received_at_ms), None)


def why_hidden(what: str, revocation: Revocation) -> str:
    """Return the text for a caller that asks for a hidden item, with what to do about it."""
    since = datetime.fromtimestamp(revocation.since_ms / 1000, tz=UTC)
    return (
        f"{what} is hidden on this machine: {revocation.label} is revoked, and what came from it "
        f"since {since:%Y-%m-%d %H:%M} UTC is not shown; a person can bring it back: "
        f"buddies-cli identity restore '{revocation.label}'"
    )


def _said_by(item: Item) -> tuple[str, str]:
    """Return the endpoint that the item names as its author, and the label of its own signer."""
    match item:
        case Memory() | MemoryHead():
            return item.entry.author, item.signed_by
        case Skill() | SkillHead():
            signer = item.entry.signed_by
            return item.entry.author, signer.label if signer else ""
        case Vote():
            return item.voter, ""
