"""Revoked identities as JSON: as `json_view` is for all else."""

from collections.abc import Sequence

from buddies_core.model.json_view import JsonObject
from buddies_core.model.revocation import ItemCounts, RevocationView


def revocation_json(view: RevocationView) -> JsonObject:
    """Return a revocation, and what it hides."""
    return {
        "identity": view.revocation.label,
        "since_ms": view.revocation.since_ms,
        "revoked_at_ms": view.revocation.revoked_at_ms,
        "hidden": _counts(view.hidden),
        "shown": _counts(view.shown),
        "is_own": view.is_own,
    }


def restored_json(view: RevocationView) -> JsonObject:
    """Return what is shown again."""
    return {"identity": view.revocation.label, "shown_again": _counts(view.hidden)}


def revocations_json(views: Sequence[RevocationView]) -> JsonObject:
    """Return all that are revoked."""
    return {"results": [revocation_json(view) for view in views]}


def _counts(counts: ItemCounts) -> JsonObject:
    return {"memories": counts.memories, "skills": counts.skills, "votes": counts.votes}
