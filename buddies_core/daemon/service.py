"""Reports on the daemon itself, and ends it on request."""

import asyncio
import itertools
import os
from collections import Counter
from dataclasses import dataclass

from buddies_core import __version__
from buddies_core.clock import Clock
from buddies_core.daemon.config import Config
from buddies_core.finding.embedder import Embedder
from buddies_core.finding.index import Index
from buddies_core.history.service import History
from buddies_core.identity.choosing import SignerState
from buddies_core.local_protocol import PROTOCOL
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.views import AgentView, DaemonInfo, DaemonStatus, DiskUse, Used
from buddies_core.net.network import Network
from buddies_core.rooms.rooms import Rooms
from buddies_core.rpc.agents import Agents
from buddies_core.sizes import size_text
from buddies_core.store.rocks import RocksStore
from buddies_core.trust.clocks import PeerClocks
from buddies_core.trust.gate import Gate
from buddies_core.trust.twin import Twin

AUTHORS_SHOWN = 10
NEARLY_FULL = 0.9
"""The fraction of a quota from which a warning is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSelf:
    """Answers questions about the daemon."""

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
    history: History
    twin: Twin
    clocks: PeerClocks
    started_s: float
    warnings: tuple[str, ...]
    stop: asyncio.Event

    def info(self) -> DaemonInfo:
        """Return the identity of this daemon."""
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
        """Return the state of this daemon."""
        disk = await self._disk()
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
            catching_up=self.history.catching_up(),
            warnings=(
                *self.warnings,
                *self.store.warnings(),
                *self.index.warnings(),
                *self.twin.warnings(),
                *self.clocks.warnings(),
                *self._of_rooms(),
                *self.gate.warnings(),
                *disk_warnings(disk),
            ),
            disk=disk,
            relay=self.network.address().info.relay_url or "",
        )

    async def _disk(self) -> DiskUse:
        usage = await self.store.read(self.store.usage)
        authors = itertools.islice(usage.authors.items(), AUTHORS_SHOWN)
        return DiskUse(
            room_quota=usage.quotas.room,
            author_quota=usage.quotas.author,
            rooms=tuple(itertools.starmap(Used, usage.rooms.items())),
            authors=tuple(Used(self._author(author), size) for author, size in authors),
        )

    def _author(self, author: bytes) -> str:
        if author[:1] != b"v":
            return f"unproven:{author[1:6].hex()}"
        endpoint = EndpointId(author[1:])
        return f"{self.rooms.name_of(endpoint)} ({short(endpoint)})"

    def _of_rooms(self) -> tuple[str, ...]:
        return tuple(
            f"room {name!r}: {warning}"
            for name in self.rooms.joined()
            for warning in self.rooms.room(name).warnings()
        )

    def request_stop(self) -> None:
        """Start shutting the daemon down, and return at once."""
        self.stop.set()


def disk_warnings(disk: DiskUse) -> tuple[str, ...]:
    """Return warnings about rooms and authors that have nearly used up their quotas."""
    nearly_full = [
        (f"room {used.name!r}", used.bytes, "room_quota", disk.room_quota)
        for used in disk.rooms
        if used.bytes > NEARLY_FULL * disk.room_quota
    ] + [
        (f"what {used.name} has written", used.bytes, "author_quota", disk.author_quota)
        for used in disk.authors
        if used.bytes > NEARLY_FULL * disk.author_quota
    ]
    return tuple(
        f"{what} uses {size_text(used)} of this machine's disk and may use {size_text(quota)}; "
        "beyond that nothing of it is kept. Allow more with: buddies-cli config set "
        f"{setting} {size_text(2 * quota)}, then: buddies-cli daemon restart"
        for what, used, setting, quota in nearly_full
    )
