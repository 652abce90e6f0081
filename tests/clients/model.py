"""A model that says what a test wants, for clients of two makers: an API on loopback."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Say = Callable[[Sequence[str]], "Call | str"]
"""What the model does next, once it has these results of tools."""


WAIT = "WaitForMcpServers"


@dataclass(frozen=True)
class Call:
    """A call of one of our tools."""

    tool: str
    arguments: dict[str, Any]


@dataclass
class Model:
    """What was asked of it, and by what script it answers."""

    say: Say
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def next(self, tools: Sequence[str], results: Sequence[str]) -> "Call | str":
        """Return what comes next; a client that does not know our tools is told so."""
        said = self.say(results)
        if isinstance(said, str):
            return said
        known = [name for name in tools if name.endswith(said.tool)]
        if not known and WAIT in tools:  # Claude Code begins while servers are still starting
            return Call(WAIT, {})
        return Call(known[0], said.arguments) if known else f"NO TOOL {said.tool} in {tools}"


@contextmanager
def scripted(say: Say) -> Iterator[Model]:
    """Serve the model until the block ends."""
    model = Model(say)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            request = json.loads(self.rfile.read(length))
            model.asked.append({"path": self.path, **request})
            if "/messages" in self.path:
                self._send(_anthropic(model, request), named=True)
            elif "/chat/completions" in self.path:
                self._send(_openai(model, request), named=False)
            else:
                self.send_error(404)

        def _send(self, events: Sequence[dict[str, Any]], *, named: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for event in events:
                name = f"event: {event['type']}\n" if named else ""
                self.wfile.write(f"{name}data: {json.dumps(event)}\n\n".encode())
            if not named:
                self.wfile.write(b"data: [DONE]\n\n")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        model.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield model
        finally:
            server.shutdown()
            thread.join()


def _anthropic(model: Model, request: dict[str, Any]) -> list[dict[str, Any]]:
    results = [
        json.dumps(part["content"])
        for message in request["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "tool_result" and WAIT not in part["tool_use_id"]
    ]
    said = model.next([tool["name"] for tool in request.get("tools", ())], results)
    usage = {"input_tokens": 1, "output_tokens": 1}
    if isinstance(said, str):
        block: dict[str, Any] = {"type": "text", "text": ""}
        delta: dict[str, Any] = {"type": "text_delta", "text": said}
    else:
        block = {
            "type": "tool_use",
            "id": f"toolu_{said.tool}_{len(model.asked)}",
            "name": said.tool,
            "input": {},
        }
        delta = {"type": "input_json_delta", "partial_json": json.dumps(said.arguments)}
    stop = "end_turn" if isinstance(said, str) else "tool_use"
    message = {
        "id": f"msg_{len(results)}",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]


def _openai(model: Model, request: dict[str, Any]) -> list[dict[str, Any]]:
    results = [
        json.dumps(message["content"])
        for message in request["messages"]
        if message["role"] == "tool"
    ]
    said = model.next([tool["function"]["name"] for tool in request.get("tools", ())], results)
    if isinstance(said, str):
        delta: dict[str, Any] = {"role": "assistant", "content": said}
    else:
        function = {"name": said.tool, "arguments": json.dumps(said.arguments)}
        call = {"index": 0, "id": f"call_{len(results)}", "type": "function", "function": function}
        delta = {"role": "assistant", "tool_calls": [call]}
    stop = "stop" if isinstance(said, str) else "tool_calls"
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "scripted"}
    return [
        {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {
            **chunk,
            "choices": [{"index": 0, "delta": {}, "finish_reason": stop}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        },
    ]
