"""What an agent and a person wait for on one machine: calls of tools, commands, and the start."""

import itertools
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from grpc import aio
from grpc_health.v1 import health_pb2
from rocksdict import Rdict

from buddies_core.local_protocol import CHANNEL_OPTIONS, grpc_address
from buddies_core.paths import Paths, daemon_socket
from tests.bench.rows import Goal, Row, row
from tests.bench.timing import Work, each_ms, in_turn_ms
from tests.support.worlds.machines import Machine, some_machines
from tests.support.worlds.shims import Shim, shake_hands, shim_on

ROOM = "bench"
TEXT = "We keep the user table in PostgreSQL, and its migrations run before each release of the app"
VALUE = b"v" * 1500
"""As long as the record of a short memory with its proof."""
ECHO, PUT = "gRPC echo", "RocksDB put, synced"


async def calls(*, quick: bool) -> list[Row]:
    """Measure calls of tools by way of a relay and the host."""
    count = 100 if quick else 300
    with some_machines("alice") as (alice,), tempfile.TemporaryDirectory() as directory:
        async with shim_on(alice) as shim, an_echo(alice, shim) as echo:
            put = raw_put(Path(directory))
            await shim.result("join_room", room=ROOM)
            numbers = itertools.count()

            async def store() -> None:
                content = f"{next(numbers)}: {TEXT}"
                await shim.result("store_memory", room=ROOM, content=content)

            async def least() -> None:
                await echo()
                await put()

            await shim.result("search_memory", query="once, so that the model is loaded")
            await each_ms(20, store)
            listing, echoes = await in_turn_ms(count, lambda: shim.result("list_rooms"), echo)
            storing, floor = await in_turn_ms(count, store, least)
            puts = await each_ms(count, put)
        commands = await command_rows(alice, 5 if quick else 15)
    return [
        row(
            "store through MCP",
            "An agent calls store_memory with a line of text, and has the answer: it is on disk.",
            storing,
            goal=Goal(median=5, high=15),
            beside=(f"{ECHO} + {PUT}", floor),
        ),
        row(
            "list_rooms through MCP",
            "An agent calls list_rooms, with one room.",
            listing,
            goal=Goal(median=2.5),
            beside=(ECHO, echoes),
        ),
        row("gRPC echo", "The daemon's health check, by an open channel.", echoes),
        row("RocksDB put, synced", "1,500 bytes, in this process.", puts),
        *commands,
    ]


async def command_rows(machine: Machine, count: int) -> list[Row]:
    """Measure what a person waits for a command, beside an interpreter that does nothing."""

    async def nothing() -> None:
        await machine.run("-c", "pass", program=sys.executable)

    samples, floor = await in_turn_ms(count, lambda: machine.command("status"), nothing)
    return [
        row(
            "CLI status",
            "A person runs buddies-cli status, from the start of the process to its end.",
            samples,
            goal=Goal(median=250),
            beside=("Python's own start", floor),
        )
    ]


async def starts(*, quick: bool) -> list[Row]:
    """Measure how long a client waits for its agent's server, when the host runs already."""
    count = 3 if quick else 15
    with some_machines("alice") as (alice,):
        async with shim_on(alice) as first:
            await shake_hands(first)
            await first.result("list_rooms")

            async def start() -> None:
                async with shim_on(alice) as shim:
                    await shake_hands(shim)
                    await shim.result("list_rooms")

            samples = await each_ms(count, start)
    return [
        row(
            "start of an agent",
            "A client starts buddies and has the first result of a tool; the host runs already.",
            samples,
        )
    ]


@asynccontextmanager
async def an_echo(machine: Machine, shim: Shim) -> AsyncIterator[Work]:
    """Start the machine's daemon by the shim; yield a call of gRPC that does nothing there."""
    await shake_hands(shim)
    await shim.result("list_rooms")
    socket = daemon_socket(Paths.from_environment(machine.environment()))
    async with aio.insecure_channel(grpc_address(socket), options=CHANNEL_OPTIONS) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

        async def echo() -> None:
            await check(health_pb2.HealthCheckRequest())

        yield echo


def raw_put(directory: Path) -> Work:
    """Return what writes a value into a RocksDB of its own, and waits for the disk."""
    database = Rdict(str(directory / "raw"))
    numbers = itertools.count()

    async def put() -> None:
        database[b"%d" % next(numbers)] = VALUE
        database.flush_wal(True)

    return put
