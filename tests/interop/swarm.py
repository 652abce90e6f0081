"""The peers of one test, and their end."""

from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from buddies_core.gossip.config import OURS, GossipConfig
from buddies_core.model.ids import TopicId
from tests.interop.peers import (
    TELLING_FRAMES,
    DoomedPythonPeer,
    Peer,
    PythonPeer,
    RustConfig,
    RustPeer,
)


class Swarm:
    """Makes peers, and ends them in the end: ours in good order, then the others at once."""

    def __init__(
        self, binary: Path, tasks: TaskGroup, processes: AsyncExitStack, networks: AsyncExitStack
    ) -> None:
        self._binary = binary
        self._tasks = tasks
        self._processes = processes
        self._networks = networks
        self._seed = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, rust_binary: Path) -> AsyncIterator["Swarm"]:
        async with (
            TaskGroup() as tasks,
            AsyncExitStack() as processes,
            AsyncExitStack() as networks,
        ):
            yield cls(rust_binary, tasks, processes, networks)

    async def python(self, name: str = "python", gossip: GossipConfig = OURS) -> PythonPeer:
        started = PythonPeer.started(name, self._next_seed(), gossip, self._tasks)
        return await self._networks.enter_async_context(started)

    async def rust(self, name: str = "rust", config: RustConfig = TELLING_FRAMES) -> RustPeer:
        started = RustPeer.started(name, self._binary, config, self._tasks)
        return await self._processes.enter_async_context(started)

    async def doomed_python(self, topic: TopicId, by_way_of: Peer) -> DoomedPythonPeer:
        started = DoomedPythonPeer.started(self._next_seed(), topic, by_way_of)
        return await self._processes.enter_async_context(started)

    def _next_seed(self) -> int:
        self._seed += 1
        return self._seed
