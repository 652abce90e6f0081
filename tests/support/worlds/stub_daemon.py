"""A daemon as a process, with nothing behind its socket: what the launcher starts in tests.

It is told what to be by STUB_PROTOCOL, STUB_VERSION and STUB_FAILS, and what its settings are worth
by STUB_CHECK. It writes its pid into `starts`, then waits for the file that STUB_WAITS_FOR names.
"""

import asyncio
import os
import sys
from pathlib import Path

from buddies_core import __version__
from buddies_core.local_protocol import PROTOCOL
from buddies_core.paths import Paths, hold_data_lock
from tests.support.fakes.node import fake_node
from tests.support.fakes.services import daemon_info

LIFE_S = 60.0
"""No test lasts that long; a forgotten stub ends by itself."""


async def main() -> None:
    if sys.argv[1:] == ["--check"]:
        raise SystemExit(os.environ.get("STUB_CHECK", 0))
    paths = Paths.from_environment(os.environ)
    with (paths.data_dir / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if reason := os.environ.get("STUB_FAILS"):
        raise SystemExit(reason)
    async with asyncio.timeout(LIFE_S):
        while not Path(os.environ.get("STUB_WAITS_FOR", "/")).exists():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.01)
    info = daemon_info(
        protocol=int(os.environ.get("STUB_PROTOCOL", PROTOCOL)),
        version=os.environ.get("STUB_VERSION", __version__),
        pid=os.getpid(),
    )
    with hold_data_lock(paths):
        async with fake_node(paths, info) as node:
            node.daemon.shows_attached = True
            async with asyncio.timeout(LIFE_S):
                await node.daemon.stop_requested.wait()


if __name__ == "__main__":
    asyncio.run(main())
