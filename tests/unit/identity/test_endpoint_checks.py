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
