"""The lines of a client and the SDK's server, over a real socket in one process."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_core.model.room import JoinReport
from buddies_mcp.link import DaemonLink
from buddies_mcp.server import serve
from buddies_mcp.splitting import Lines
from buddies_mcp.transport import BATCH_MAX, CALLS_MAX, TOO_MANY_CALLS, Outgoing, messages
from tests.support.callers import a_session
from tests.support.fakes.client import FakeClient

ANSWERS_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Wire:
    """A client's end of the socket."""

    answers: asyncio.StreamReader
    to_server: asyncio.StreamWriter

    async def write(self, line: bytes) -> None:
        self.to_server.write(line)
        await self.to_server.drain()

    async def read(self) -> Any:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            return json.loads(await self.answers.readline())

    async def ask(self, value: object) -> Any:
        await self.write(json.dumps(value).encode() + b"\n")
        return await self.read()

    async def shake_hands(self, version: str) -> None:
        hello = {"capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
        answer = await self.ask(call("initialize", "i", protocolVersion=version, **hello))
        assert answer["result"]["protocolVersion"] == version


def call(method: str, id: object, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def tell(method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def error(code: int, text: str, id: object = None) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}}


def result(id: object, **content: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "result": content}


@asynccontextmanager
async def served(daemon: FakeClient, version: str = "2025-11-25") -> AsyncIterator[Wire]:
    """Serve a client that has shaken hands; at the end it closes its side, and the server ends."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[FakeClient]:
        yield daemon

    ours, theirs = socket.socketpair()
    answers, to_server = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
    server_end = await asyncio.open_unix_connection(sock=theirs)
    async with (
        DaemonLink.open(connect) as link,
        asyncio.TaskGroup() as tasks,
        messages(*server_end) as streams,
    ):
        serving = tasks.create_task(serve(a_session(link), *streams))
        wire = Wire(answers, to_server)
        try:
            await wire.shake_hands(version)
            yield wire
        finally:
            to_server.write_eof()
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            await serving
    to_server.close()


class Waiting(FakeClient):
    """Joins no room before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_to_join = asyncio.Event()
        self.may_join = asyncio.Event()

    async def join_room(
        self,
        room: str,
        ticket: str | None = None,
        *,
        private: bool = False,
        history: str = "",
    ) -> JoinReport:
        self.asked_to_join.set()
        await self.may_join.wait()
        return await super().join_room(room, ticket, private=private, history=history)


JOIN = call("tools/call", 9, name="join_room", arguments={"room": "a"})


async def test_nonsense_is_answered_in_order_between_the_answers_to_requests() -> None:
    async with served(FakeClient()) as wire:
        await wire.write(b'\xef\xbb\xbf\r\n\n{"jsonrpc":"2.0","id":1,"method":"ping"}\r\n')
        assert await wire.read() == result(1)
        assert (await wire.ask("hello"))["error"]["code"] == -32600
        await wire.write(b"hello\n")
        assert (await wire.read())["error"]["code"] == -32700
        assert await wire.ask(call("ping", "x")) == result("x")


async def test_a_request_in_a_last_line_without_an_end_is_answered() -> None:
    async with served(FakeClient()) as wire:
        await wire.write(json.dumps(call("ping", 1)).encode())
    assert (await wire.read())["id"] == 1


async def test_answers_whose_calls_are_cancelled_while_they_wait_to_be_written_are_written() -> (
    None
):
    ours, theirs = socket.socketpair()
    reader, client = await asyncio.open_unix_connection(sock=ours)
    _, writer = await asyncio.open_unix_connection(sock=theirs)
    outgoing = Outgoing(writer)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await outgoing.write("x" * (1 << 22))
    async with asyncio.TaskGroup() as tasks:
        sending = [tasks.create_task(outgoing.write(text)) for text in ("first", "second")]
        await asyncio.sleep(0)
        for task in sending:
            task.cancel()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outgoing.finish())
        written = await reader.read(-1)
    assert written == b"x" * (1 << 22) + b"\nfirst\nsecond\n"
    client.close()


async def test_a_client_that_reads_nothing_holds_up_the_end_for_a_second_alone() -> None:
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=theirs)
    outgoing = Outgoing(writer)
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(ANSWERS_WITHIN_S):
        waiting = tasks.create_task(outgoing.write("x" * (1 << 22)))
        await asyncio.sleep(0)
        await outgoing.finish()
        waiting.cancel()
    ours.close()


async def test_more_calls_under_way_than_the_limit_are_refused_and_may_be_cancelled() -> None:
    daemon = Waiting()
    async with served(daemon) as wire:
        for number in range(CALLS_MAX):
            await wire.write(json.dumps({**JOIN, "id": number}).encode() + b"\n")
        assert await wire.ask(call("ping", "p")) == error(-32603, TOO_MANY_CALLS, "p")
        await wire.write(json.dumps(tell("notifications/cancelled", requestId=0)).encode() + b"\n")
        assert await wire.ask(call("ping", "q")) == result("q")
        daemon.may_join.set()
        answered = {(await wire.read())["id"] for _ in range(CALLS_MAX - 1)}
        assert answered == set(range(1, CALLS_MAX))


async def test_a_line_beyond_the_limit_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buddies_mcp.lines.LINE_BYTES_MAX", 1000)
    monkeypatch.setattr("buddies_mcp.transport.Lines", lambda: Lines(1000))
    async with served(FakeClient()) as wire:
        for size in (1000, 1001, 1999, 2000, 2001, 2002, 70_000):
            await wire.write(b"x" * size + b"\n")
            said = "this line is longer than 1000 bytes"
            assert await wire.read() == error(-32700, said), size
            assert await wire.ask(call("ping", size)) == result(size)


async def test_a_batch_is_answered_by_one_array_where_the_version_has_batches() -> None:
    daemon = Waiting()
    async with served(daemon, "2025-03-26") as wire:
        batch = [JOIN, tell("notifications/x"), 7, call("ping", 1), call("fly", "f")]
        await wire.write(json.dumps(batch).encode() + b"\n")
        await daemon.asked_to_join.wait()
        assert await wire.ask(call("ping", 2)) == result(2)  # goes before the batch is done
        daemon.may_join.set()
        answers = await wire.read()
        assert answers[-1]["result"]["structuredContent"]["room"] == "a"
        assert {(it["id"], it.get("error", {}).get("code")) for it in answers} == {
            (None, -32600),
            (1, None),
            ("f", -32601),
            (9, None),
        }
        assert len(answers) == 4
        assert await wire.ask(call("ping", 3)) == result(3)


async def test_a_batch_of_notifications_is_not_answered_and_one_of_nonsense_is() -> None:
    async with served(FakeClient(), "2025-03-26") as wire:
        await wire.write(json.dumps([tell("notifications/x"), tell("y")]).encode() + b"\n")
        said = "this is not a JSON-RPC request: it must be an object"
        assert await wire.ask([1, 2]) == [error(-32600, said), error(-32600, said)]


async def test_a_cancelled_part_of_a_batch_does_not_hold_up_the_others() -> None:
    daemon = Waiting()
    async with served(daemon, "2025-03-26") as wire:
        await wire.write(json.dumps([JOIN, call("ping", 1)]).encode() + b"\n")
        await daemon.asked_to_join.wait()
        assert await wire.ask(tell("notifications/cancelled", requestId=9)) == [result(1)]
        assert await wire.ask([call("ping", 9)]) == [result(9)]


async def test_an_id_that_a_batch_waits_for_is_refused_to_another_part() -> None:
    async with served(FakeClient(), "2025-03-26") as wire:
        answers = await wire.ask([call("ping", 1), call("ping", "1")])
        assert answers == [error(-32600, "this id is in use by another request", "1"), result(1)]


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25"])
async def test_each_request_of_a_batch_is_refused_where_the_version_has_none(version: str) -> None:
    async with served(FakeClient(), version) as wire:
        said = "batches are only allowed in MCP 2025-03-26; write one message a line"
        assert await wire.ask([call("ping", 1), 7, call("ping", "b")]) == error(-32600, said, 1)
        assert await wire.read() == error(-32600, said, "b")
        assert await wire.ask([tell("notifications/x")]) == error(-32600, said)
        assert await wire.ask(call("ping", 2)) == result(2)


async def test_a_batch_that_is_too_long_is_refused() -> None:
    async with served(FakeClient(), "2025-03-26") as wire:
        fits = [call("ping", number) for number in range(BATCH_MAX)]
        assert len(await wire.ask(fits)) == BATCH_MAX
        await wire.write(json.dumps([*fits, tell("notifications/x")]).encode() + b"\n")
        said = f"this batch has {BATCH_MAX + 1} messages; at most {BATCH_MAX} are taken"
        assert [await wire.read() for _ in fits] == [
            error(-32600, said, number) for number in range(BATCH_MAX)
        ]


async def test_answers_that_are_longer_than_a_pipe_holds_are_not_interleaved() -> None:
    async with served(FakeClient(content="x" * 40_000)) as wire:
        page = {"name": "get_memory", "arguments": {"id": "x", "limit": 40_000}}
        for number in range(8):
            await wire.write(json.dumps(call("tools/call", number, **page)).encode() + b"\n")
            await wire.write(b"nonsense\n")
        ids = [(await wire.read())["id"] for _ in range(16)]
        assert sorted(map(str, ids)) == sorted([*map(str, range(8)), *["None"] * 8])


async def test_an_answer_that_no_utf_8_can_hold_is_given_all_the_same() -> None:
    async with served(FakeClient(content="a\udcffb")) as wire:
        page = {"name": "get_memory", "arguments": {"id": "x"}}
        answer = await wire.ask(call("tools/call", 1, **page))
        assert answer["result"]["structuredContent"]["content"] == "a\ufffdb"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("a\u00e9\u200b\0", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["jsonrpc", "id", "method", "params", "name", "result", "error"]), inner
        )
    ),
    max_leaves=6,
)
almost = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | json_values,
        "id": st.integers() | st.text("ab", max_size=3) | json_values,
        "method": st.sampled_from(["ping", "tools/call", "tools/list", "fly"]) | json_values,
        "params": st.fixed_dictionaries({"name": st.just("list_rooms"), "arguments": json_values})
        | json_values,
    },
)
lines = (
    st.binary(max_size=40)
    | (almost | st.lists(almost, max_size=3) | json_values).map(lambda v: json.dumps(v).encode())
    | st.builds(lambda opening, depth: opening * depth, st.sampled_from([b"[", b'{"a":']),
                st.integers(900, 1100))
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(st.lists(lines, max_size=8), st.sampled_from(["2025-03-26", "2025-11-25"]))
def test_whatever_a_client_writes_its_next_request_is_answered(
    written: list[bytes], version: str
) -> None:
    async def story() -> None:
        async with served(FakeClient(), version) as wire:
            await wire.write(b"".join(line.replace(b"\n", b"") + b"\n" for line in written))
            await wire.write(json.dumps(call("ping", "the last")).encode() + b"\n")
            while (await wire.read()) != result("the last"):
                pass

    asyncio.run(story())
