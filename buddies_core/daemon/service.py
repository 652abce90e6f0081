"""What the daemon says of itself, and the way to end it."""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass

from buddies_core import __version__
from buddies_core.clock import Clock
from buddies_core.daemon.config import Config
from buddies_core.finding.embedder import Embedder
from buddies_core.finding.index import Index
from buddies_core.identity.choosing import SignerState
from buddies_core.local_protocol import PROTOCOL
from buddies_core.model.views import AgentView, DaemonInfo, DaemonStatus
from buddies_core.net.network import Network
from buddies_core.rooms.rooms import Rooms
from buddies_core.rpc.agents import Agents
from buddies_core.store.rocks import RocksStore
from buddies_core.trust.gate import Gate
from buddies_core.trust.twin import Twin


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSelf:
    """The daemon as a thing that can be asked about."""

    config: Config
    signer: SignerState
    network: Network
    store: RocksStore
    rooms: Rooms
    index: Index
    embedder: Embedder
    agents: Agents
    clock: Clock
    counters: Counter[str]
    gate: Gate
    twin: Twin
    started_s: float
    warnings: tuple[str, ...]
    stop: asyncio.Event

    def info(self) -> DaemonInfo:
        """Return who this is."""
        return DaemonInfo(
            protocol=PROTOCOL,
            version=__version__,
            pid=os.getpid(),
            endpoint=self.network.endpoint,
            user=self.config.user,
            network=self.config.network.value,
            relay_url=self.config.relay_url or "",
            data_dir=str(self.config.paths.data_dir),
            signer=self.signer.kind.value,
            identity=self.signer.signer.label if self.signer.signer else "",
            signer_problem=self.signer.problem,
            legacy=self.config.legacy,
        )

    async def status(self) -> DaemonStatus:
        """Return how it is."""
        return DaemonStatus(
            info=self.info(),
            uptime_s=self.clock.now_s() - self.started_s,
            rooms=self.rooms.joined(),
            agents=tuple(
                AgentView(
                    id=agent.id,
                    name=agent.name,
                    user=agent.user or self.config.user,
                    pid=agent.pid,
                    rooms=self.rooms.agents.rooms_of(agent.id),
                )
                for agent in self.agents.attached()
            ),
            addresses=tuple(str(address) for address in self.network.address().info.direct),
            peers_connected=self.network.connected_peers(),
            memories=self.store.count_memories(),
            index=self.index.state(),
            model=self.embedder.state(),
            counters=tuple(sorted((self.counters + self.network.counters).items())),
            warnings=(
                *self.warnings,
                *self.twin.warnings(),
                *self._of_rooms(),
                *self.gate.warnings(),
            ),
        )

    def _of_rooms(self) -> tuple[str, ...]:
        return tuple(
            f"room {name!r}: {warning}"
            for name in self.rooms.joined()
            for warning in self.rooms.room(name).warnings()
        )

    def request_stop(self) -> None:
        """Begin to end the daemon, and return at once."""
        self.stop.set()
