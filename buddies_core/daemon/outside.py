"""A daemon's surroundings: clock, randomness, disk, network and model. Tests replace them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random, SystemRandom
from typing import TypeAlias

from buddies_core.clock import Clock, SystemClock
from buddies_core.finding.embedder import Embedder, ModelChoice
from buddies_core.finding.feeding import DocumentSource
from buddies_core.finding.index import Index
from buddies_core.net.endpoint import bind
from buddies_core.net.network import Bind
from buddies_core.store.quotas import Quotas
from buddies_core.store.rocks import RocksStore

OpenStore: TypeAlias = Callable[[Path, Quotas], AbstractAsyncContextManager[RocksStore]]
OpenIndex: TypeAlias = Callable[
    [Path, DocumentSource, Embedder], AbstractAsyncContextManager[Index]
]
OpenEmbedder: TypeAlias = Callable[[ModelChoice], AbstractAsyncContextManager[Embedder]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The real ones, unless told otherwise."""

    clock: Clock = field(default_factory=SystemClock)
    rng: Random = field(default_factory=SystemRandom)
    open_store: OpenStore = RocksStore.open
    bind: Bind = bind
    open_embedder: OpenEmbedder = Embedder.open
    open_index: OpenIndex = Index.open
