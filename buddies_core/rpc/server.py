"""The daemon's door on this machine: gRPC on a Unix socket that only its owner can open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from buddies_core.errors import StoreError
from buddies_core.local_protocol import CHANNEL_OPTIONS, grpc_address
from buddies_core.paths import Paths
from buddies_core.pb import (
    daemon_pb2_grpc,
    identity_pb2_grpc,
    memory_pb2_grpc,
    policy_pb2_grpc,
    room_pb2_grpc,
    skill_pb2_grpc,
    store_pb2_grpc,
    task_pb2_grpc,
)
from buddies_core.rpc.agents import Agents
from buddies_core.rpc.closing import Closing
from buddies_core.rpc.daemon import DaemonRpc, DaemonService
from buddies_core.rpc.errors import ErrorsToStatus
from buddies_core.rpc.identities import IdentitiesRpc, RevocationsService
from buddies_core.rpc.memories import MemoriesRpc, MemoriesService, SearchService
from buddies_core.rpc.policies import PoliciesRpc, PoliciesService
from buddies_core.rpc.rooms import HistoryService, RoomChangesService, RoomsRpc, RoomsService
from buddies_core.rpc.skills import SkillSearchService, SkillsRpc, SkillsService
from buddies_core.rpc.stores import KeepingService, StoresRpc, TransferService
from buddies_core.rpc.tasks import TasksRpc, TasksService
from buddies_core.rpc.waiting import WaitingWithAnswers

GRACE_S = 2.0
"""The time that calls in progress have when the server closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services that the socket offers."""

    daemon: DaemonService
    rooms: RoomsService
    room_changes: RoomChangesService
    history: HistoryService
    policies: PoliciesService
    memories: MemoriesService
    search: SearchService
    agents: Agents
    tasks: TasksService
    skills: SkillsService
    skill_search: SkillSearchService
    revocations: RevocationsService
    transfer: TransferService
    keeping: KeepingService


@asynccontextmanager
async def serve(paths: Paths, services: Services) -> AsyncIterator[None]:
    """Answer at the socket of `paths` until the block ends; its directory exists already.

    The caller holds the data lock, so whatever lies at the socket's place belongs to nobody. At the
    end agents are detached and waits cut short first, then calls that are being answered get a
    moment to finish.

    Raises:
        StoreError: the socket can't be made.
    """
    closing = Closing()
    server = aio.server(
        # The first is the outermost.
        interceptors=[
            ErrorsToStatus(paths.log),
            WaitingWithAnswers(services.tasks, services.agents),
        ],
        options=CHANNEL_OPTIONS,
    )
    daemon_pb2_grpc.add_DaemonServicer_to_server(
        DaemonRpc(services.daemon, services.tasks, services.agents, closing), server
    )
    room_pb2_grpc.add_RoomsServicer_to_server(
        RoomsRpc(services.rooms, services.room_changes, services.history, services.agents), server
    )
    policy_pb2_grpc.add_PoliciesServicer_to_server(
        PoliciesRpc(services.policies, services.rooms), server
    )
    memory_pb2_grpc.add_MemoriesServicer_to_server(
        MemoriesRpc(services.memories, services.search, services.agents, services.rooms), server
    )
    task_pb2_grpc.add_TasksServicer_to_server(
        TasksRpc(services.tasks, services.agents, closing, services.rooms), server
    )
    skill_pb2_grpc.add_SkillsServicer_to_server(
        SkillsRpc(services.skills, services.skill_search, services.agents, services.rooms), server
    )
    identity_pb2_grpc.add_IdentitiesServicer_to_server(IdentitiesRpc(services.revocations), server)
    store_pb2_grpc.add_StoresServicer_to_server(
        StoresRpc(services.transfer, services.keeping, services.agents, services.rooms), server
    )
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    await healthy.set(health.OVERALL_HEALTH, health_pb2.HealthCheckResponse.SERVING)
    _bind(server, paths)
    await server.start()
    try:
        yield
    finally:
        await healthy.enter_graceful_shutdown()
        closing.begin()
        await server.stop(GRACE_S)


def _bind(server: aio.Server, paths: Paths) -> None:
    try:
        paths.socket.unlink(missing_ok=True)
        server.add_insecure_port(grpc_address(paths.socket))
        # Until here the mode is the umask's, but nobody else gets into the directory. To set the
        # umask instead would hit the files that other threads make meanwhile.
        paths.socket.chmod(0o600)
    except (OSError, RuntimeError) as error:
        raise StoreError(
            f"can't listen at {paths.socket}: {error}; make {paths.runtime_dir} a directory that "
            "you may write to, or set XDG_RUNTIME_DIR to one"
        ) from error
