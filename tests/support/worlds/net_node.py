"""A node in a process of its own, for tests that stop or kill it.

usage: python -m tests.support.worlds.net_node NUMBER UDP_PORT [PEER_ID PEER_PORT]

Opens a network on loopback and joins `TOPIC`, by way of the peer if one is given. Prints a line
with its UDP port, then a line for each content that it hears, until it is killed.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from buddies_core.model.address import PeerAddress
from tests.support.worlds.networks import TOPIC, a_network, at_port, contents

_ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def a_node_process(
    number: int, *, udp_port: int = 0, by_way_of: PeerAddress | None = None
) -> AsyncIterator[tuple[Process, PeerAddress]]:
    """Yield a node in a process and its address, once it listens; killed at the end."""
    contact = [by_way_of.endpoint.hex(), str(by_way_of.info.direct[0].port)] if by_way_of else []
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.worlds.net_node",
        str(number),
        str(udp_port),
        *contact,
        stdout=PIPE,
        cwd=_ROOT,
    )
    try:
        yield process, at_port(number, int(await line_of(process)))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(process: Process) -> str:
    """Return the next line that the process prints."""
    assert process.stdout is not None
    return (await process.stdout.readline()).decode().strip()


async def _run(number: int, udp_port: int, contact: tuple[str, int] | None) -> None:
    async with a_network(number, udp_port=udp_port) as network:
        if contact is None:
            await network.join(TOPIC, ())
        else:
            peer = at_port(bytes.fromhex(contact[0]), contact[1])
            await network.reach(peer, 5)
            await network.join(TOPIC, (peer.endpoint,))
        print(network.udp_port, flush=True)  # noqa: T201 - what the test waits for
        while True:
            for content in await contents(network, 1):
                print(content.decode(), flush=True)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    number, udp_port, *contact = sys.argv[1:]
    asyncio.run(
        _run(int(number), int(udp_port), (contact[0], int(contact[1])) if contact else None)
    )
