import json

import mcp_types as mcp
import pytest

from buddies_mcp.lines import Part, Refusal, read_line
from buddies_mcp.splitting import LINE_BYTES_MAX

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def written(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def request(id: str | int = 1, params: dict[str, object] | None = None) -> mcp.JSONRPCRequest:
    return mcp.JSONRPCRequest(jsonrpc="2.0", id=id, method="ping", params=params)


def answered(part: object) -> tuple[object, int, str]:
    """Return the id, the code and the text of an error that answers a line."""
    assert isinstance(part, Refusal)
    return part.answer.id, part.answer.error.code, part.answer.error.message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (written(PING), request()),
        (b"\xef\xbb\xbf" + written(PING), request()),
        (written(PING).rstrip(), request()),
        (written(PING).rstrip() + b"\r\n", request()),
        (b" \t" + written(PING), request()),
        (written({**PING, "id": "a", "more": 1}), request("a")),
        (written({**PING, "id": ""}), request("")),
        (written({**PING, "id": -(10**30)}), request(-(10**30))),
        (written({**PING, "params": None}), request()),
        (written({**PING, "params": {"a": [1]}}), request(params={"a": [1]})),
        (
            written({"jsonrpc": "2.0", "method": "notifications/x"}),
            mcp.JSONRPCNotification(jsonrpc="2.0", method="notifications/x"),
        ),
        (
            written({"jsonrpc": "2.0", "id": 1, "result": {}}),
            mcp.JSONRPCResponse(jsonrpc="2.0", id=1, result={}),
        ),
        (
            written({"jsonrpc": "2.0", "id": None, "error": {"code": 1, "message": "m"}}),
            mcp.JSONRPCError(
                jsonrpc="2.0", id=None, error=mcp.ErrorData(code=1, message="m", data=None)
            ),
        ),
    ],
)
def test_a_message_is_read_as_it_is_meant(line: bytes, said: mcp.JSONRPCMessage) -> None:
    read = read_line(line)
    assert isinstance(read, type(said))
    assert read.model_dump() == said.model_dump()


@pytest.mark.parametrize(
    ("params", "read"),
    [
        (rb'{"a":"cut \ud83d"}', {"a": "cut \ufffd"}),
        (rb'{"a":["\udc18 cut"]}', {"a": ["\ufffd cut"]}),
        (rb'{"\ud83d":"\ud83d\ud83d\udc18"}', {"\ufffd": "\ufffd\N{ELEPHANT}"}),
        (rb'{"a":"\uD83D\uDC18"}', {"a": "\N{ELEPHANT}"}),
        (rb'{"a":"a path: \\ud83d, \n\u2028"}', {"a": "a path: \\ud83d, \n\u2028"}),
        (b'{"a":"\xff\xed\xa0\xbd\xf0\x9f\x90"}', {"a": "\ufffd" * 5}),
        (b'{"a":"\xe2\x80\xa8"}', {"a": "\u2028"}),
        (rb'{"a":"\u0000","b":"\ud83d"}', {"a": "\0", "b": "\ufffd"}),
    ],
)
def test_what_is_no_unicode_is_replaced_and_nothing_else(
    params: bytes, read: dict[str, object]
) -> None:
    said = read_line(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + params + b"}\n")
    assert isinstance(said, mcp.JSONRPCRequest)
    assert said.params == read


def test_numbers_beyond_all_measure_are_read_so_that_the_call_is_answered() -> None:
    said = read_line(
        b'{"jsonrpc":"2.0","id":1,"method":"ping",'
        b'"params":{"a":NaN,"b":-Infinity,"c":1e999,"d":' + b"9" * 9000 + b"}}"
    )
    assert isinstance(said, mcp.JSONRPCRequest)
    assert str(said.params) == "{'a': nan, 'b': -inf, 'c': inf, 'd': inf}"


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"   \n", b"\xef\xbb\xbf\n", b"\t"])
def test_an_empty_line_says_nothing(line: bytes) -> None:
    assert read_line(line) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"hello\n", "Expecting value at character 1"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"\n', "Expecting ',' delimiter at character 41"),
        (b'{"a":1} {"b":2}\n', "Extra data at character 9"),
        (b"\0\n", "Expecting value at character 1"),
        (b'{"a":"\0"}\n', "Invalid control character at at character 7"),
        (b"{'a':1}\n", "Expecting property name enclosed in double quotes at character 2"),
        ("{}".encode("utf-16"), "Expecting value at character 1"),
    ],
)
def test_what_is_not_json_is_answered_with_the_place(line: bytes, why: str) -> None:
    text = f"this line is not JSON: {why}; write each message as JSON on a line of its own"
    assert answered(read_line(line)) == (None, -32700, text)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"id":1,"params":{"\\ud83d":['])
def test_what_is_nested_too_deeply_is_answered(opening: bytes) -> None:
    text = "this line is nested too deeply to be read"
    assert answered(read_line(opening * 100_000)) == (None, -32700, text)


def test_what_is_too_long_is_answered() -> None:
    fits = written({**PING, "method": "x" * (LINE_BYTES_MAX - 42)})
    assert len(fits) == LINE_BYTES_MAX
    assert isinstance(read_line(fits), mcp.JSONRPCRequest)
    text = f"this line is longer than {LINE_BYTES_MAX} bytes"
    assert answered(read_line(fits + b" ")) == (None, -32700, text)


@pytest.mark.parametrize(
    ("value", "id", "why"),
    [
        (7, None, "it must be an object"),
        ("ping", None, "it must be an object"),
        (None, None, "it must be an object"),
        ({}, None, 'jsonrpc must be "2.0"'),
        ({"id": 1, "method": "ping"}, 1, 'jsonrpc must be "2.0"'),
        ({**PING, "jsonrpc": "1.0"}, 1, 'jsonrpc must be "2.0"'),
        ({**PING, "jsonrpc": 2.0, "id": "a"}, "a", 'jsonrpc must be "2.0"'),
        ({"method": "notifications/initialized"}, None, 'jsonrpc must be "2.0"'),
        ({"jsonrpc": "2.0", "id": 1}, 1, "method must be a string"),
        ({**PING, "method": 7}, 1, "method must be a string"),
        ({**PING, "id": None}, None, "id must be a string or a whole number"),
        ({**PING, "id": True}, None, "id must be a string or a whole number"),
        ({**PING, "id": 1.5}, None, "id must be a string or a whole number"),
        ({**PING, "id": [1]}, None, "id must be a string or a whole number"),
        ({**PING, "params": [1]}, 1, "params must be an object"),
        ({**PING, "params": "x"}, 1, "params must be an object"),
    ],
)
def test_json_that_is_no_request_is_answered_with_its_id_and_the_reason(
    value: object, id: str | int | None, why: str
) -> None:
    text = f"this is not a JSON-RPC request: {why}"
    assert answered(read_line(written(value))) == (id, -32600, text)


@pytest.mark.parametrize(
    "value",
    [
        {"jsonrpc": "2.0", "method": "notifications/x", "params": [1]},
        {"jsonrpc": "2.0", "id": 1, "result": 7},
        {"jsonrpc": "2.0", "id": 1, "error": "no"},
        {"id": {}, "result": {}},
    ],
)
def test_a_bad_notification_or_response_is_dropped_as_nobody_waits_for_an_answer(
    value: object,
) -> None:
    assert read_line(written(value)) is None


def test_a_batch_is_a_list_of_what_its_parts_are() -> None:
    notification = {"jsonrpc": "2.0", "method": "notifications/x"}
    parts = read_line(written([PING, notification, 7, {"id": 1, "result": 7}, []]))
    assert isinstance(parts, list)
    assert list(map(kind, parts)) == ["JSONRPCRequest", "JSONRPCNotification", -32600, -32600]
    assert answered(read_line(b"[]\n")) == (None, -32600, "this batch is empty")


def kind(part: Part) -> object:
    return part.answer.error.code if isinstance(part, Refusal) else type(part).__name__
