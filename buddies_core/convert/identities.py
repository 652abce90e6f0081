"""Revoked identities, to protobuf and back."""

from buddies_core.model.revocation import ItemCounts, Revocation, RevocationView
from buddies_core.pb import identity_pb2 as pb


def revocation_to_pb(view: RevocationView) -> pb.RevocationView:
    """Return the revocation as the socket carries it."""
    return pb.RevocationView(
        label=view.revocation.label,
        since_ms=view.revocation.since_ms,
        revoked_at_ms=view.revocation.revoked_at_ms,
        hidden=_counts_to_pb(view.hidden),
        shown=_counts_to_pb(view.shown),
        is_own=view.is_own,
    )


def revocation_from_pb(view: pb.RevocationView) -> RevocationView:
    """Return the revocation."""
    return RevocationView(
        revocation=Revocation(
            label=view.label, since_ms=view.since_ms, revoked_at_ms=view.revoked_at_ms
        ),
        hidden=_counts_from_pb(view.hidden),
        shown=_counts_from_pb(view.shown),
        is_own=view.is_own,
    )


def _counts_to_pb(counts: ItemCounts) -> pb.ItemCounts:
    return pb.ItemCounts(memories=counts.memories, skills=counts.skills, votes=counts.votes)


def _counts_from_pb(counts: pb.ItemCounts) -> ItemCounts:
    return ItemCounts(memories=counts.memories, skills=counts.skills, votes=counts.votes)
