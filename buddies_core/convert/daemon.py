"""What the daemon says of itself, to protobuf and back."""

from uuid import UUID

from buddies_core.convert.rooms import catching_up_from_pb, catching_up_to_pb
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.views import AgentView, DaemonInfo, DaemonStatus, DiskUse, Used
from buddies_core.pb import daemon_pb2


def info_to_pb(info: DaemonInfo, agents: int) -> daemon_pb2.HandshakeReply:
    """Return the daemon's info, and how many agents are attached, as the socket carries it."""
    return daemon_pb2.HandshakeReply(
        protocol=info.protocol,
        version=info.version,
        pid=info.pid,
        endpoint=info.endpoint,
        user=info.user,
        network=info.network,
        relay_url=info.relay_url,
        data_dir=info.data_dir,
        agents=agents,
        signer=info.signer,
        identity=info.identity,
        signer_problem=info.signer_problem,
        legacy=info.legacy,
    )


def info_from_pb(reply: daemon_pb2.HandshakeReply) -> DaemonInfo:
    """Return the daemon's info."""
    return DaemonInfo(
        protocol=reply.protocol,
        version=reply.version,
        pid=reply.pid,
        endpoint=EndpointId(reply.endpoint),
        user=reply.user,
        network=reply.network,
        relay_url=reply.relay_url,
        data_dir=reply.data_dir,
        signer=reply.signer,
        identity=reply.identity,
        signer_problem=reply.signer_problem,
        legacy=reply.legacy,
    )


def status_to_pb(status: DaemonStatus) -> daemon_pb2.StatusReply:
    """Return the daemon's status as the socket carries it."""
    return daemon_pb2.StatusReply(
        info=info_to_pb(status.info, len(status.agents)),
        uptime_s=status.uptime_s,
        rooms=status.rooms,
        agents=[
            daemon_pb2.AttachedAgent(
                id=str(agent.id),
                name=agent.name,
                user=agent.user,
                pid=agent.pid,
                rooms=agent.rooms,
            )
            for agent in status.agents
        ],
        addresses=status.addresses,
        peers_connected=status.peers_connected,
        memories=status.memories,
        index=status.index,
        model=status.model,
        counters=dict(status.counters),
        warnings=status.warnings,
        catching_up=catching_up_to_pb(status.catching_up),
        room_quota=status.disk.room_quota,
        author_quota=status.disk.author_quota,
        rooms_used=map(_used_to_pb, status.disk.rooms),
        authors_used=map(_used_to_pb, status.disk.authors),
        relay=status.relay,
    )


def status_from_pb(reply: daemon_pb2.StatusReply) -> DaemonStatus:
    """Return the daemon's status."""
    return DaemonStatus(
        info=info_from_pb(reply.info),
        uptime_s=reply.uptime_s,
        rooms=tuple(map(RoomName, reply.rooms)),
        agents=tuple(
            AgentView(
                id=UUID(agent.id),
                name=agent.name,
                user=agent.user,
                pid=agent.pid,
                rooms=tuple(map(RoomName, agent.rooms)),
            )
            for agent in reply.agents
        ),
        addresses=tuple(reply.addresses),
        peers_connected=reply.peers_connected,
        memories=reply.memories,
        index=reply.index,
        model=reply.model,
        counters=tuple(sorted(reply.counters.items())),
        warnings=tuple(reply.warnings),
        catching_up=catching_up_from_pb(reply.catching_up),
        disk=DiskUse(
            room_quota=reply.room_quota,
            author_quota=reply.author_quota,
            rooms=tuple(Used(it.name, it.bytes) for it in reply.rooms_used),
            authors=tuple(Used(it.name, it.bytes) for it in reply.authors_used),
        ),
        relay=reply.relay,
    )


def _used_to_pb(used: Used) -> daemon_pb2.Used:
    return daemon_pb2.Used(name=used.name, bytes=used.bytes)
