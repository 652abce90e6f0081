"""Builds all parts of the daemon in order, and closes them in reverse."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buddies_core.daemon.config import Config
from buddies_core.daemon.keeping import Keeping
from buddies_core.daemon.legacy import LegacyPorts, message_signer
from buddies_core.daemon.outside import Outside
from buddies_core.daemon.service import DaemonSelf
from buddies_core.daemon.skills import open_skills
from buddies_core.errors import StoreError
from buddies_core.finding.embedder import MINILM, Embedder
from buddies_core.finding.local_search import LocalSearch
from buddies_core.history.service import History
from buddies_core.identity.choosing import open_signer
from buddies_core.identity.endpoint_checks import EndpointChecks
from buddies_core.identity.gpg import Gpg
from buddies_core.identity.node_key import load_or_create
from buddies_core.identity.resolving import Resolver
from buddies_core.identity.verifying import Verifier
from buddies_core.inbound import Inbound
from buddies_core.legacy.members import LegacyMembers
from buddies_core.legacy.service import Legacy
from buddies_core.memory.documents import MemoryDocuments
from buddies_core.memory.findings import RecentFinds
from buddies_core.memory.hidden import Hidden
from buddies_core.memory.links import Links
from buddies_core.memory.receipts import Receipts
from buddies_core.memory.search import Search
from buddies_core.memory.service import Memories
from buddies_core.model.ids import EndpointId, short
from buddies_core.net.network import NetConfig, Network
from buddies_core.rooms.composing import SENT_AT, Composer
from buddies_core.rooms.policy_changes import PolicyChanges
from buddies_core.rooms.ports import Host
from buddies_core.rooms.room_changes import RoomChanges
from buddies_core.rooms.rooms import Rooms
from buddies_core.rpc.agents import Agents
from buddies_core.rpc.server import Services
from buddies_core.skills.service import Skills
from buddies_core.skills.votes import KnownAndHeard
from buddies_core.store.rocks import RocksStore
from buddies_core.tasks.service import Tasks
from buddies_core.transfer.service import Transfer
from buddies_core.trust.admission import Admission
from buddies_core.trust.bindings import Bindings
from buddies_core.trust.clocks import PeerClocks
from buddies_core.trust.gate import Gate
from buddies_core.trust.held import HeldMessages
from buddies_core.trust.keyring_watch import KeyringWatch
from buddies_core.trust.policies import Policies
from buddies_core.trust.revocations import Revocations

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts that `run` starts: both doors, and the loops behind them."""

    inbound: Inbound
    history: History
    legacy: Legacy | None
    """None where BUDDIES_LEGACY is off."""
    services: Services
    store: RocksStore
    memories: Memories
    tasks: Tasks
    skills: Skills
    embedder: Embedder

    def loops(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return the loops that run for as long as the daemon does."""
        return (
            self.store.upgrade(),
            self.inbound.run(),
            self.memories.run(),
            self.tasks.run(),
            self.skills.run(),
            self.history.run(),
            *((self.legacy.run(),) if self.legacy else ()),
        )


@asynccontextmanager
async def build(
    config: Config, stop: asyncio.Event, outside: Outside | None = None
) -> AsyncIterator[Parts]:
    """Open the store, the endpoint, the rooms and all between them; close them in reverse.

    The caller holds the data directory's lock. Setting `stop` is left to the Stop request.

    Raises:
        InvalidInput: the signer that was chosen can't work, or the model can't be read.
        StoreError: the data directory or what is in it can't be used.
        BuddiesError: the endpoint can't be made.
    """
    outside = outside or Outside()
    clock, rng, counters = outside.clock, outside.rng, Counter[str]()
    started_s = clock.now_s()
    paths = config.paths
    async with AsyncExitStack() as stack:
        key = load_or_create(paths.node_key)
        store = await stack.enter_async_context(outside.open_store(paths.store, config.quotas))
        latest_ms = store.watermark(SENT_AT)
        signer = await open_signer(config.environ, paths.data_dir, key.endpoint, latest_ms)
        verifier = Verifier(config.environ, clock)
        problems: tuple[str, ...] = (signer.problem,) if signer.problem else ()
        for problem in problems:
            log.warning("signer_broken: %s", problem)
        problems += await _another_peer(store, key.endpoint)
        network = await stack.enter_async_context(
            Network.open(
                NetConfig(
                    secret_key=key.seed,
                    mode=config.network,
                    relay_url=config.relay_url,
                    udp_port=_remembered_port(paths.udp_port),
                ),
                clock,
                rng,
                outside.bind,
            )
        )
        _remember_port(paths.udp_port, network.udp_port)
        policies = Policies(store)
        bindings = Bindings(
            store, verifier.verify, counters, key.endpoint, signer.binding, policies
        )
        resolver = Resolver(Gpg(config.environ))
        revocations = Revocations(
            store=store,
            skills=store.skills,
            signers=bindings,
            resolver=resolver,
            endpoint=key.endpoint,
            clock=clock,
        )
        hidden = Hidden(store.amendments, revocations)
        links = Links(store, bindings, hidden)
        documents = MemoryDocuments(store, links)
        model = await asyncio.to_thread(config.model.choice) if config.model else MINILM
        embedder = await stack.enter_async_context(outside.open_embedder(model))
        index = await stack.enter_async_context(
            outside.open_index(paths.index, documents, embedder)
        )
        gate = Gate(policies, bindings, key.endpoint, clock, counters)
        members = LegacyMembers(store, clock) if config.legacy else None
        clocks = PeerClocks(clock)
        composer = Composer(key, store, clock, message_signer(signer, members))
        host = Host(
            endpoint=key.endpoint,
            user=config.user,
            network=network,
            store=store,
            composer=composer,
            admission=Admission(
                store,
                verifier.verify,
                counters,
                gate,
                composer.twin,
                clocks,
                EndpointChecks().check,
            ),
            clock=clock,
            rng=rng,
            counters=counters,
            bindings=bindings,
            gate=gate,
            legacy=members,
            history=config.history,
            warnings=(*problems, *store.warnings()),
        )
        rooms = await stack.enter_async_context(Rooms.open(host))
        old_peers = LegacyPorts.over(rooms, members, clock) if members else None
        finds = RecentFinds()
        receipts = Receipts(clock)
        memories = Memories(
            store=store,
            index=index,
            rooms=rooms,
            network=rooms,
            clock=clock,
            counters=counters,
            finds=finds,
            hidden=hidden,
            links=links,
            receipts=receipts,
            clocks=clocks,
        )
        search = Search(
            local=LocalSearch(index, embedder, documents, hidden),
            store=store,
            rooms=rooms,
            network=rooms,
            clock=clock,
            counters=counters,
            finds=finds,
            hidden=hidden,
            links=links,
            legacy=old_peers.questions if old_peers else None,
            compared_at_ms=receipts.compared_at_ms,
        )
        stack.callback(search.close)
        tasks = Tasks(
            store=store,
            rooms=rooms,
            clock=clock,
            rng=rng,
            counters=counters,
            legacy=old_peers.tasks if old_peers else None,
        )
        await tasks.load()
        skills = await stack.enter_async_context(
            open_skills(
                store=store.skills,
                index_directory=paths.index / "skills",
                open_index=outside.open_index,
                embedder=embedder,
                rooms=rooms,
                signer=signer.for_signing,
                verify=verifier.verify,
                electorate=KnownAndHeard(rooms),
                revocations=revocations,
                clock=clock,
                counters=counters,
                legacy=old_peers.skill_questions if old_peers else None,
                compared_at_ms=receipts.compared_at_ms,
            )
        )
        legacy = None
        if old_peers:
            legacy = old_peers.door(
                rooms=rooms,
                memories=memories,
                search=search,
                skills=skills.skills,
                skill_search=skills.search,
                tasks=tasks,
                clock=clock,
                rng=rng,
                counters=counters,
            )
        history = History(
            store=store,
            rooms=rooms,
            memories=memories,
            skills=skills.skills,
            legacy=legacy,
            clock=clock,
            rng=rng,
            counters=counters,
            receipts=receipts,
        )
        agents = Agents(config.user, rooms.agents, tasks)
        daemon = DaemonSelf(
            config=config,
            signer=signer,
            network=network,
            store=store,
            rooms=rooms,
            index=index,
            embedder=embedder,
            agents=agents,
            clock=clock,
            counters=counters,
            gate=gate,
            history=history,
            twin=composer.twin,
            clocks=clocks,
            started_s=started_s,
            warnings=(*network.warnings, *problems),
            stop=stop,
        )
        yield Parts(
            inbound=Inbound(
                network=network,
                rooms=rooms,
                gate=gate,
                held=HeldMessages(gate.fetcher, counters),
                keyring_watch=KeyringWatch(config.environ, verifier, bindings, clock),
                memories=memories,
                search=search,
                tasks=tasks,
                skills=skills.skills,
                skill_search=skills.search,
                history=history,
                legacy=legacy,
                clock=clock,
                counters=counters,
            ),
            history=history,
            legacy=legacy,
            services=Services(
                daemon=daemon,
                rooms=rooms,
                room_changes=RoomChanges(rooms, host),
                history=history,
                memories=memories,
                search=search,
                agents=agents,
                tasks=tasks,
                skills=skills.skills,
                skill_search=skills.search,
                revocations=revocations,
                transfer=Transfer(
                    store=store,
                    rooms=rooms,
                    memories=memories,
                    skills=skills.skills,
                    hidden=hidden,
                    counters=counters,
                ),
                keeping=Keeping(paths, store),
                policies=PolicyChanges(rooms, gate, bindings, resolver, key.endpoint),
            ),
            store=store,
            memories=memories,
            tasks=tasks,
            skills=skills.skills,
            embedder=embedder,
        )


async def _another_peer(store: RocksStore, endpoint: EndpointId) -> tuple[str, ...]:
    """Return the warning if this machine's key differs from that of its last start."""
    with contextlib.suppress(StoreError):  # A full disk is told where it matters.
        before = store.peer_before(endpoint)
        await store.note_peer(endpoint)
        if before is not None:
            log.warning("another_peer before=%s now=%s", short(before), short(endpoint))
            return (
                f"this machine is another peer than before: {short(endpoint)}, no longer "
                f"{short(before)}, as the key in node_key has changed. Tickets that name the old "
                "peer lead nowhere, and private rooms need a new invite. If that was not meant, "
                "put the old node_key back, then: buddies-cli daemon restart",
            )
    return ()


def _remembered_port(path: Path) -> int:
    """Return the port that tickets name, or 0 for any."""
    with contextlib.suppress(OSError, ValueError):
        port = int(path.read_text())
        if 0 < port < 1 << 16:
            return port
    return 0


def _remember_port(path: Path, port: int) -> None:
    try:
        path.write_text(f"{port}\n")
    except OSError as error:
        raise StoreError(
            f"can't write {path}: {error.strerror}; make room on the disk, or set BUDDIES_DATA_DIR "
            "to a directory that you may write to"
        ) from error
