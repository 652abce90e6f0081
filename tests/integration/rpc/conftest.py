from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from buddies_core.client import DaemonClient
from buddies_core.paths import Paths
from tests.support.fakes.node import FakeNode, fake_node


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "data", tmp_path / "run")


@pytest.fixture
async def node(paths: Paths) -> AsyncIterator[FakeNode]:
    async with fake_node(paths) as node:
        yield node


@pytest.fixture
async def client(paths: Paths, node: FakeNode) -> AsyncIterator[DaemonClient]:
    async with DaemonClient.connect(paths) as client:
        yield client
