"""Signatures of endpoints, checked a few at once or many on a thread."""

import asyncio
import threading

import pytest

from buddies_core.identity import endpoint_checks
from buddies_core.identity.endpoint_checks import AT_ONCE_MAX, EndpointChecks
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.ids import EndpointId

ANN = NodeKey(b"a" * 32)
BOUND_S = 5


class Verifying:
    """Stands in for `verify_endpoint`: does the same, and remembers on which threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: list[bool] = []
        """Whether each was verified on the thread of the event loop."""
        self.let_go = threading.Event()
        self.let_go.set()
        self._loop_thread = threading.get_ident()
        monkeypatch.setattr(endpoint_checks, "verify_endpoint", self._verify)

    def _verify(self, endpoint: EndpointId, payload: bytes, signature: bytes) -> bool:
        assert self.let_go.wait(BOUND_S)
        self.threads.append(threading.get_ident() == self._loop_thread)
        return verify_endpoint(endpoint, payload, signature)


async def check_all(checks: EndpointChecks, count: int) -> list[tuple[int, bool]]:
    """Return which of so many were found good, in the order of answers; each third is forged."""
    answers = []

    async def check(number: int) -> None:
        payload = b"%d" % number
        signature = ANN.sign(payload if number % 3 else b"forged")
        answers.append((number, await checks.check(ANN.endpoint, payload, signature)))

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(check(number))
    return answers


async def test_answers_come_in_the_order_of_the_questions_and_are_those_of_verify_endpoint() -> (
    None
):
    for count in (1, AT_ONCE_MAX, AT_ONCE_MAX + 1, 100):
        expected = [(number, number % 3 != 0) for number in range(count)]
        assert await check_all(EndpointChecks(), count) == expected


async def test_a_few_are_checked_at_once_and_many_on_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verifying = Verifying(monkeypatch)
    await check_all(EndpointChecks(), AT_ONCE_MAX)
    await check_all(EndpointChecks(), AT_ONCE_MAX + 1)
    assert verifying.threads == [True] * AT_ONCE_MAX + [False] * (AT_ONCE_MAX + 1)


async def test_those_that_wait_are_answered_though_one_that_asked_with_them_was_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verifying = Verifying(monkeypatch)
    verifying.let_go.clear()
    checks = EndpointChecks()
    async with asyncio.timeout(BOUND_S), asyncio.TaskGroup() as group:
        asked = [
            group.create_task(checks.check(ANN.endpoint, b"x", ANN.sign(b"x")))
            for _ in range(AT_ONCE_MAX + 2)
        ]
        await asyncio.sleep(0)  # They ask,
        await asyncio.sleep(0)  # and the thread begins.
        asked[0].cancel()
        later = group.create_task(checks.check(ANN.endpoint, b"y", ANN.sign(b"x")))
        await asyncio.sleep(0)
        verifying.let_go.set()
    assert [it.cancelled() or it.result() for it in (*asked, later)] == [
        *[True] * len(asked),
        False,
    ]


async def test_what_was_found_good_is_not_verified_again_and_what_was_not_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verifying, checks = Verifying(monkeypatch), EndpointChecks()
    good, forged = ANN.sign(b"said"), ANN.sign(b"forged")

    answers = [await checks.check(ANN.endpoint, b"said", it) for it in (good, forged) * 2]

    assert answers == [True, False, True, False]
    assert len(verifying.threads) == 3


async def test_a_good_signature_is_good_for_nothing_else() -> None:
    checks = EndpointChecks()
    signature = ANN.sign(b"said")
    assert await checks.check(ANN.endpoint, b"said", signature)

    others = [
        (ANN.endpoint, b"other", signature),
        (NodeKey(b"b" * 32).endpoint, b"said", signature),
        (ANN.endpoint, signature[-1:] + b"said", signature[:-1]),
    ]

    assert [await checks.check(*it) for it in others] == [False] * 3


async def test_only_the_latest_good_signatures_are_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint_checks, "GOOD_KEPT_MAX", 2)
    verifying, checks = Verifying(monkeypatch), EndpointChecks()

    for payload in (b"1", b"2", b"1", b"3", b"1", b"2"):
        assert await checks.check(ANN.endpoint, payload, ANN.sign(payload))

    assert len(verifying.threads) == 4  # the second 1 and the third were known


async def test_a_known_signature_does_not_overtake_one_that_is_being_verified() -> None:
    checks, answers = EndpointChecks(), list[bytes]()

    async def check(payload: bytes) -> None:
        assert await checks.check(ANN.endpoint, payload, ANN.sign(payload))
        answers.append(payload)

    await check(b"known")
    async with asyncio.TaskGroup() as group:
        for payload in (b"new", b"newer", b"newest", b"known"):
            group.create_task(check(payload))

    assert answers == [b"known", b"new", b"newer", b"newest", b"known"]
