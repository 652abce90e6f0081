"""Shims, each with a client that has many calls under way at once."""

import asyncio
import itertools
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.support.worlds.machines import Machine

ANSWERS_WITHIN_S = 60.0
LINE_BYTES_MAX = 1 << 24


class Shim:
    """A shim, and a client that has many calls under way at once."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._ids = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._ended = False
        self._cut_off = False
        self.told: set[str] = set()
        """The methods of the notifications that have come."""
        self._heard = asyncio.Event()

    async def read(self) -> None:
        """Take in every answer until the shim ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if self._cut_off and not line.endswith(b"\n"):
                break  # We ended it while it was writing.
            message = json.loads(line)
            if "id" not in message:
                self.told.add(message["method"])
                self._heard.set()
            if (answer := self._answers.get(message.get("id", -1))) is not None:
                answer.set_result(message)
        self._ended = True
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(AssertionError("the shim has ended"))
                answer.exception()  # Without this, asyncio complains about those nobody awaits.

    async def hears(self) -> None:
        """Wait for the next notification."""
        await self._heard.wait()
        self._heard.clear()

    def tell(self, method: str, params: Mapping[str, Any], **more: Any) -> None:
        """Send a line; never waits, as what is sent here is short."""
        assert self.process.stdin is not None
        line = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more})
        self.process.stdin.write(line.encode() + b"\n")

    def ask(self, method: str, **params: Any) -> int:
        """Send a request and return its id."""
        assert not self._ended, "the shim has ended"
        number = next(self._ids)
        self._answers[number] = asyncio.get_running_loop().create_future()
        self.tell(method, params, id=number)
        return number

    def call(self, name: str, arguments: Mapping[str, Any]) -> int:
        """Send a call of a tool and return its id."""
        return self.ask("tools/call", name=name, arguments=arguments)

    def cancel(self, number: int) -> None:
        """Send the cancellation of a request, whose answer nobody waits for any more."""
        self.tell("notifications/cancelled", {"requestId": number, "reason": "Esc"})
        self._answers.pop(number, None)

    async def answer(self, number: int) -> Any:
        """Wait for the answer to a request and return its result."""
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            answer = await self._answers[number]
        del self._answers[number]
        assert "result" in answer, answer
        return answer["result"]

    async def result(self, name: str, **arguments: Any) -> Any:
        """Call a tool and return its result."""
        result = await self.answer(self.call(name, arguments))
        assert not result.get("isError"), result
        return result["structuredContent"]

    async def volley(self, calls: Mapping[str, dict[str, Any]], moment_s: float) -> None:
        """Make calls at once and cancel them all after a moment."""
        numbers = [self.call(name, arguments) for name, arguments in calls.items()]
        await asyncio.sleep(moment_s)
        for number in numbers:
            self.cancel(number)

    async def is_well(self) -> None:
        """Assert that it answers a ping and a call."""
        await self.answer(self.ask("ping"))
        await self.result("list_rooms")

    def kill(self) -> None:
        """Kill the process, wherever it is in what it does."""
        self._cut_off = True
        self.process.kill()

    def hang_up(self) -> None:
        """Close both pipes, as the kernel does for a client that is killed."""
        self._cut_off = True
        for descriptor in (0, 1):
            self.process._transport.get_pipe_transport(descriptor).close()  # type: ignore[attr-defined]


@asynccontextmanager
async def shim_on(machine: Machine, *command: str, agent: str = "claude") -> AsyncIterator[Shim]:
    """Start a shim as a client does, up to the handshake; it is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(command or ("buddies",)),
        env=os.environ | machine.environment(agent),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=machine.home,
        limit=LINE_BYTES_MAX,
    )
    shim = Shim(process)
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(shim.read())
            try:
                yield shim
            finally:
                reading.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def shake_hands(shim: Shim) -> None:
    client = {"name": "test", "version": "0"}
    await shim.answer(
        shim.ask("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
    )
    shim.tell("notifications/initialized", {})
