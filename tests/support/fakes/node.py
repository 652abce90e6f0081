"""A real server on a real socket, with fakes behind it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from buddies_core.model.task import InboxChange
from buddies_core.model.views import DaemonInfo
from buddies_core.paths import Paths
from buddies_core.rpc.agents import Agents
from buddies_core.rpc.server import Services, serve
from tests.support.fakes.identities import FakeRevocations
from tests.support.fakes.policies import FakePolicies
from tests.support.fakes.services import (
    FakeDaemon,
    FakeHistory,
    FakeMemories,
    FakeRooms,
    FakeSearch,
    daemon_info,
)
from tests.support.fakes.skills import FakeSkills
from tests.support.fakes.stores import FakeKeeping, FakeTransfer
from tests.support.fakes.tasks import FakeTasks


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeNode:
    """What a test looks at behind the socket."""

    daemon: FakeDaemon
    rooms: FakeRooms
    memories: FakeMemories
    search: FakeSearch
    tasks: FakeTasks
    skills: FakeSkills
    policies: FakePolicies
    history: FakeHistory
    revocations: FakeRevocations
    agents: Agents


@asynccontextmanager
async def fake_node(
    paths: Paths, info: DaemonInfo | None = None, inbox: tuple[InboxChange, ...] = ()
) -> AsyncIterator[FakeNode]:
    """Serve fakes at the socket of `paths` until the block ends."""
    paths.create()
    rooms = FakeRooms()
    agents = Agents("alice", rooms)
    node = FakeNode(
        daemon=FakeDaemon(info or daemon_info(), agents),
        rooms=rooms,
        memories=FakeMemories(),
        search=FakeSearch(),
        tasks=FakeTasks(inbox=inbox),
        skills=FakeSkills(),
        policies=FakePolicies(),
        history=FakeHistory(),
        revocations=FakeRevocations(),
        agents=agents,
    )
    services = Services(
        daemon=node.daemon,
        rooms=rooms,
        room_changes=rooms,
        history=node.history,
        memories=node.memories,
        search=node.search,
        tasks=node.tasks,
        skills=node.skills,
        skill_search=node.skills,
        policies=node.policies,
        revocations=node.revocations,
        transfer=FakeTransfer(),
        keeping=FakeKeeping(),
        agents=agents,
    )
    async with serve(paths, services):
        yield node
