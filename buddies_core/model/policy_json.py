"""Policies as JSON: as `json_view` is for all else."""

from collections.abc import Sequence

from buddies_core.model.json_view import JsonObject, JsonValue
from buddies_core.model.policy import AffectedMember, PolicyReport, PolicyView


def policy_json(view: PolicyView) -> JsonObject:
    """Return what get_identity_policy answers; `meaning` says in words who is heard."""
    return {
        "room": view.room,
        "require_signed": view.require_signed,
        "identities": list(view.identities),
        "left_out": view.left_out,
        "next_cursor": view.next_cursor,
        "local_identity": view.local_identity or None,
        "meaning": view.meaning,
        "warnings": list(view.warnings),
    }


def policy_report_json(report: PolicyReport) -> JsonObject:
    """Return what the tools that change a policy answer."""
    return policy_json(report.view) | {
        "shut_out": _members(report.shut_out),
        "shut_out_total": report.shut_out_total,
        "admitted": _members(report.admitted),
        "admitted_total": report.admitted_total,
    }


def _members(members: Sequence[AffectedMember]) -> list[JsonValue]:
    return [affected_json(member) for member in members]


def affected_json(member: AffectedMember) -> JsonObject:
    """Return a member that a change of policy shuts out or lets in."""
    return {
        "name": member.name,
        "endpoint_id": member.endpoint.hex(),
        "signed_by": member.signed_by or None,
        "present": member.present,
    }
