"""Reports and states of rooms, to protobuf and back."""

from collections.abc import Iterable

from buddies_core.model.bodies import AgentPresence
from buddies_core.model.contact import Path
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, RoomName, TopicId
from buddies_core.model.room import (
    AwayMember,
    CatchingUp,
    DialAttempt,
    JoinReport,
    KeptHistory,
    LeaveReport,
    Member,
    NamedPeer,
    NotifyReport,
    RoomList,
    RoomStatus,
    RotateReport,
    TicketReport,
)
from buddies_core.pb import room_pb2


def join_report_to_pb(report: JoinReport) -> room_pb2.JoinReply:
    """Return the report as the socket carries it."""
    return room_pb2.JoinReply(
        room=report.room,
        ticket=report.ticket,
        endpoint=report.endpoint,
        members=map(_member_to_pb, report.members),
        already_joined=report.already_joined,
        tried=[
            room_pb2.DialAttempt(
                endpoint=attempt.endpoint, reached=attempt.reached, outcome=attempt.outcome
            )
            for attempt in report.tried
        ],
        warnings=report.warnings,
        private=report.private,
        history=report.history,
        catching_up=catching_up_to_pb(report.catching_up),
    )


def join_report_from_pb(reply: room_pb2.JoinReply) -> JoinReport:
    """Return the report."""
    return JoinReport(
        room=RoomName(reply.room),
        ticket=reply.ticket,
        endpoint=EndpointId(reply.endpoint),
        members=tuple(map(_member_from_pb, reply.members)),
        already_joined=reply.already_joined,
        tried=tuple(
            DialAttempt(EndpointId(attempt.endpoint), attempt.reached, attempt.outcome)
            for attempt in reply.tried
        ),
        warnings=tuple(reply.warnings),
        private=reply.private,
        history=KeptHistory(reply.history or KeptHistory.ALL),
        catching_up=catching_up_from_pb(reply.catching_up),
    )


def catching_up_to_pb(exchanges: Iterable[CatchingUp]) -> list[room_pb2.CatchingUp]:
    """Return what is being fetched, as the socket carries it."""
    return [
        room_pb2.CatchingUp(room=it.room, name=it.name, received=it.received, expected=it.expected)
        for it in exchanges
    ]


def catching_up_from_pb(exchanges: Iterable[room_pb2.CatchingUp]) -> tuple[CatchingUp, ...]:
    """Return what is being fetched."""
    return tuple(
        CatchingUp(room=RoomName(it.room), name=it.name, received=it.received, expected=it.expected)
        for it in exchanges
    )


def ticket_report_to_pb(report: TicketReport) -> room_pb2.TicketReply:
    """Return the report as the socket carries it."""
    return room_pb2.TicketReply(room=report.room, ticket=report.ticket, warnings=report.warnings)


def ticket_report_from_pb(reply: room_pb2.TicketReply) -> TicketReport:
    """Return the report."""
    return TicketReport(RoomName(reply.room), reply.ticket, tuple(reply.warnings))


def leave_report_to_pb(report: LeaveReport) -> room_pb2.LeaveReply:
    """Return the report as the socket carries it."""
    return room_pb2.LeaveReply(
        room=report.room, node_left=report.node_left, still_joined_by=report.still_joined_by
    )


def leave_report_from_pb(reply: room_pb2.LeaveReply) -> LeaveReport:
    """Return the report."""
    return LeaveReport(RoomName(reply.room), reply.node_left, tuple(reply.still_joined_by))


def room_status_to_pb(status: RoomStatus) -> room_pb2.StatusReply:
    """Return the status as the socket carries it."""
    return room_pb2.StatusReply(
        room=status.room,
        topic=status.topic,
        members=map(_member_to_pb, status.members),
        neighbors=status.neighbors,
        joined_at_ms=status.joined_at_ms,
        private=status.private,
        warnings=status.warnings,
        next_cursor=status.next_cursor or "",
        members_total=status.members_total,
        history=status.history,
        catching_up=catching_up_to_pb(status.catching_up),
        away=[
            room_pb2.AwayMember(endpoint=it.endpoint, name=it.name, last_seen_ms=it.last_seen_ms)
            for it in status.away
        ],
    )


def room_status_from_pb(reply: room_pb2.StatusReply) -> RoomStatus:
    """Return the status."""
    return RoomStatus(
        room=RoomName(reply.room),
        topic=TopicId(reply.topic),
        members=tuple(map(_member_from_pb, reply.members)),
        neighbors=reply.neighbors,
        joined_at_ms=reply.joined_at_ms,
        private=reply.private,
        warnings=tuple(reply.warnings),
        next_cursor=reply.next_cursor or None,
        members_total=reply.members_total,
        history=KeptHistory(reply.history or KeptHistory.ALL),
        catching_up=catching_up_from_pb(reply.catching_up),
        away=tuple(
            AwayMember(EndpointId(it.endpoint), it.name, it.last_seen_ms) for it in reply.away
        ),
    )


def room_list_to_pb(rooms: RoomList) -> room_pb2.ListReply:
    """Return the list as the socket carries it."""
    return room_pb2.ListReply(rooms=rooms.rooms, next_cursor=rooms.next_cursor or "")


def room_list_from_pb(reply: room_pb2.ListReply) -> RoomList:
    """Return the list."""
    return RoomList(tuple(map(RoomName, reply.rooms)), reply.next_cursor or None)


def rotate_report_to_pb(report: RotateReport) -> room_pb2.RotateReply:
    """Return the report as the socket carries it."""
    return room_pb2.RotateReply(
        room=report.room,
        epoch=report.epoch,
        removed=map(_peer_to_pb, report.removed),
        told=map(_peer_to_pb, report.told),
        waiting=map(_peer_to_pb, report.waiting),
        brought=map(_peer_to_pb, report.brought),
    )


def rotate_report_from_pb(reply: room_pb2.RotateReply) -> RotateReport:
    """Return the report."""
    return RotateReport(
        room=RoomName(reply.room),
        epoch=reply.epoch,
        removed=tuple(map(_peer_from_pb, reply.removed)),
        told=tuple(map(_peer_from_pb, reply.told)),
        waiting=tuple(map(_peer_from_pb, reply.waiting)),
        brought=tuple(map(_peer_from_pb, reply.brought)),
    )


def _peer_to_pb(peer: NamedPeer) -> room_pb2.Peer:
    return room_pb2.Peer(endpoint=peer.endpoint, name=peer.name)


def _peer_from_pb(peer: room_pb2.Peer) -> NamedPeer:
    return NamedPeer(EndpointId(peer.endpoint), peer.name)


def notify_report_to_pb(report: NotifyReport) -> room_pb2.NotifyReply:
    """Return the report as the socket carries it."""
    return room_pb2.NotifyReply(room=report.room, text=report.text, members=report.members)


def notify_report_from_pb(reply: room_pb2.NotifyReply) -> NotifyReport:
    """Return the report."""
    return NotifyReport(RoomName(reply.room), reply.text, reply.members)


def _member_to_pb(member: Member) -> room_pb2.Member:
    return room_pb2.Member(
        endpoint=member.endpoint,
        name=member.name,
        agents=[
            room_pb2.Agent(
                name=agent.name,
                user=agent.user,
                status=agent.status,
                status_at_ms=agent.status_at_ms,
                capabilities=agent.capabilities,
            )
            for agent in member.agents
        ],
        is_self=member.is_self,
        speaks_direct=member.speaks_direct,
        heard_at_ms=member.heard_at_ms,
        verified=member.verified.value,
        signed_by=member.signed_by,
        silent_since_ms=member.silent_since_ms,
        path=member.path or "",
        round_trip_ms=member.round_trip_ms,
    )


def _member_from_pb(member: room_pb2.Member) -> Member:
    return Member(
        endpoint=EndpointId(member.endpoint),
        name=member.name,
        agents=tuple(
            AgentPresence(
                name=agent.name,
                user=agent.user,
                status=agent.status,
                status_at_ms=agent.status_at_ms,
                capabilities=tuple(agent.capabilities),
            )
            for agent in member.agents
        ),
        is_self=member.is_self,
        speaks_direct=member.speaks_direct,
        heard_at_ms=member.heard_at_ms,
        verified=Verified(member.verified),
        signed_by=member.signed_by,
        silent_since_ms=member.silent_since_ms,
        path=Path(member.path) if member.path else None,
        round_trip_ms=member.round_trip_ms if member.HasField("round_trip_ms") else None,
    )
