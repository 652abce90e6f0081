"""Policies and reports of their changes, to protobuf and back."""

from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.policy import AffectedMember, PolicyReport, PolicyView
from buddies_core.pb import policy_pb2 as pb


def policy_view_to_pb(view: PolicyView) -> pb.PolicyView:
    """Return the policy as the socket carries it."""
    return pb.PolicyView(
        room=view.room,
        require_signed=view.require_signed,
        identities=view.identities,
        local_identity=view.local_identity,
        warnings=view.warnings,
        private=view.private,
        left_out=view.left_out,
        next_cursor=view.next_cursor or "",
    )


def policy_view_from_pb(view: pb.PolicyView) -> PolicyView:
    """Return the policy."""
    return PolicyView(
        room=RoomName(view.room),
        require_signed=view.require_signed,
        identities=tuple(view.identities),
        local_identity=view.local_identity,
        warnings=tuple(view.warnings),
        private=view.private,
        left_out=view.left_out,
        next_cursor=view.next_cursor or None,
    )


def policy_report_to_pb(report: PolicyReport) -> pb.ChangeReply:
    """Return the report as the socket carries it."""
    return pb.ChangeReply(
        policy=policy_view_to_pb(report.view),
        shut_out=map(_member_to_pb, report.shut_out),
        shut_out_total=report.shut_out_total,
        admitted=map(_member_to_pb, report.admitted),
        admitted_total=report.admitted_total,
    )


def policy_report_from_pb(reply: pb.ChangeReply) -> PolicyReport:
    """Return the report."""
    return PolicyReport(
        view=policy_view_from_pb(reply.policy),
        shut_out=tuple(map(_member_from_pb, reply.shut_out)),
        shut_out_total=reply.shut_out_total,
        admitted=tuple(map(_member_from_pb, reply.admitted)),
        admitted_total=reply.admitted_total,
    )


def _member_to_pb(member: AffectedMember) -> pb.AffectedMember:
    return pb.AffectedMember(
        endpoint=member.endpoint,
        name=member.name,
        signed_by=member.signed_by,
        present=member.present,
    )


def _member_from_pb(member: pb.AffectedMember) -> AffectedMember:
    return AffectedMember(
        endpoint=EndpointId(member.endpoint),
        name=member.name,
        signed_by=member.signed_by,
        present=member.present,
    )
