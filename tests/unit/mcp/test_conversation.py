"""What a relay answers and replays when its host has died."""

import json

from hypothesis import given
from hypothesis import strategies as st

from buddies_mcp.conversation import LOST, SUBSCRIPTIONS_MAX, Conversation

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"a": 1}}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
TOLD_TO_CALL_AGAIN = {"content": [{"type": "text", "text": LOST}], "isError": True}


def line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def read(lines: list[bytes]) -> list[object]:
    return [json.loads(it) for it in lines]


def request(id: object, method: str = "ping", **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def answer(id: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "result": {}}


def lost(id: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": LOST}}


def said(*values: object) -> Conversation:
    conversation = Conversation()
    for value in values:
        conversation.client_said(line(value))
    return conversation


def test_each_request_without_an_answer_gets_one_and_only_one() -> None:
    conversation = said(request(1), request("1"), request("b", "tools/call"), request(2))
    conversation.client_said(line({"jsonrpc": "2.0", "method": "notifications/x"}))
    assert conversation.host_said(line(answer(2)))
    assert conversation.host_said(line({"jsonrpc": "2.0", "method": "notifications/progress"}))
    assert read(conversation.lost()) == [
        lost(1),
        lost("1"),
        {"jsonrpc": "2.0", "id": "b", "result": TOLD_TO_CALL_AGAIN},
    ]
    assert conversation.lost() == []


def test_a_cancelled_request_gets_no_answer() -> None:
    conversation = said(request(1))
    conversation.client_said(
        line({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
    )
    assert conversation.lost() == []


def test_a_batch_is_answered_by_one_array() -> None:
    conversation = said([request(1), request(2), 7, INITIALIZED], request(3), [request(4)])
    conversation.host_said(line([answer(4)]))
    assert read(conversation.lost()) == [lost(3), [lost(1), lost(2)]]


def test_a_request_of_the_host_is_no_answer_to_the_client_with_the_same_id() -> None:
    conversation = said(request(1))
    conversation.host_said(line(request(1, "roots/list")))
    assert read(conversation.lost()) == [lost(1)]


def test_a_client_that_has_said_nothing_is_replayed_nothing() -> None:
    assert said(request(1)).replay() == []


def test_a_new_host_is_told_of_the_handshake_and_the_subscriptions_and_its_answers_kept_back() -> (
    None
):
    conversation = said(
        INITIALIZE,
        INITIALIZED,
        request(1, "resources/subscribe", uri="buddies://a"),
        request(2, "resources/subscribe", uri="buddies://b"),
        request(3, "resources/unsubscribe", uri="buddies://a"),
    )
    for id in range(4):
        conversation.host_said(line(answer(id)))
    assert conversation.lost() == []
    for _ in range(2):
        replayed = read(conversation.replay())
        assert replayed == [
            {**INITIALIZE, "id": "buddies-relay-handshake"},
            INITIALIZED,
            request("buddies-relay-buddies://b", "resources/subscribe", uri="buddies://b"),
        ]
        conversation.client_said(line(request(9)))
        assert not conversation.host_said(line(answer("buddies-relay-handshake")))
        assert not conversation.host_said(line(answer("buddies-relay-buddies://b")))
        assert conversation.host_said(line(answer(9)))
        assert conversation.host_said(line(answer("buddies-relay-handshake")))


def test_a_handshake_that_was_not_answered_is_put_to_the_next_host_as_it_is() -> None:
    conversation = said(INITIALIZE, request(1))
    assert read(conversation.lost()) == [lost(1)]
    assert read(conversation.replay()) == [INITIALIZE]
    assert conversation.host_said(line(answer(0)))
    assert read(conversation.replay()) == [{**INITIALIZE, "id": "buddies-relay-handshake"}]


def test_what_is_remembered_of_subscriptions_is_bounded() -> None:
    conversation = said(INITIALIZE)
    conversation.host_said(line(answer(0)))
    for number in range(2 * SUBSCRIPTIONS_MAX):
        conversation.client_said(line(request(1, "resources/subscribe", uri=f"u{number}")))
    assert len(conversation.replay()) == 1 + SUBSCRIPTIONS_MAX


@given(st.binary() | st.sampled_from([b"[" * 100_000, b'{"id":1e999,"method":"x"}', b"9" * 5000]))
def test_no_line_is_too_odd(odd: bytes) -> None:
    conversation = said(INITIALIZE, request(1))
    conversation.client_said(odd)
    assert conversation.host_said(odd)
    assert lost(1) in read(conversation.lost())
