import asyncio
from dataclasses import dataclass

import iroh
import pytest

from buddies_core.net.iroh_calls import Failure, IrohCalls, IrohFailed, translate


class Call:
    """A call of iroh that ends when the test wants it to."""

    def __init__(self) -> None:
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    async def run(self) -> str:
        try:
            return await self._end
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    def end(self, result: str) -> None:
        self._end.set_result(result)

    def fail(self, error: Exception) -> None:
        self._end.set_exception(error)


async def test_a_call_gives_its_result() -> None:
    call = Call()
    call.end("result")
    assert await IrohCalls().run(call.run(), 5) == "result"


async def test_a_call_that_times_out_goes_on_and_its_late_result_is_given_away() -> None:
    calls, call, late = IrohCalls(), Call(), list[str]()
    with pytest.raises(IrohFailed) as failed:
        await calls.run(call.run(), 0.001, late=late.append)
    assert failed.value.failure is Failure.TIMED_OUT
    assert late == []
    call.end("late")
    await calls.drain(5)
    assert (late, call.cancelled) == (["late"], False)


async def test_cancelling_the_caller_does_not_cancel_the_call() -> None:
    calls, call, late = IrohCalls(), Call(), list[str]()
    started = asyncio.Event()

    async def caller() -> None:
        started.set()
        await calls.run(call.run(), late=late.append)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(caller())
        await started.wait()
        await asyncio.sleep(0)
        task.cancel()
    call.end("late")
    await calls.drain(5)
    assert (late, call.cancelled) == (["late"], False)


async def test_a_result_that_is_ready_when_the_caller_is_cancelled_is_not_lost() -> None:
    calls, call, late = IrohCalls(), Call(), list[str]()

    async def caller() -> None:
        await calls.run(call.run(), late=late.append)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(caller())
        for _ in range(3):
            await asyncio.sleep(0)
        call.end("ready")
        task.cancel()
    await calls.drain(5)
    assert (late, call.cancelled) == (["ready"], False)


async def test_a_late_failure_is_nobodys_business() -> None:
    calls, call, late = IrohCalls(), Call(), list[str]()
    with pytest.raises(IrohFailed):
        await calls.run(call.run(), 0.001, late=late.append)
    call.fail(ValueError("late"))
    await calls.drain(5)
    assert late == []


async def test_draining_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    calls, call = IrohCalls(), Call()
    caplog.set_level("DEBUG")
    with pytest.raises(IrohFailed):
        await calls.run(call.run(), 0.001)
    await calls.drain(0.001)
    assert [record.message for record in caplog.records] == ["iroh_calls_left count=1"]
    call.end("late")
    await calls.drain(5)


@dataclass
class FakeError:
    """An IrohError, whose own class has no constructor."""

    text: str
    its_kind: iroh.IrohErrorKind = iroh.IrohErrorKind.CONNECT

    def kind(self) -> iroh.IrohErrorKind:
        return self.its_kind

    def message(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ("... error 120: peer doesn't support any known protocol", Failure.REFUSED_PROTOCOL),
        ("error 48: invalid peer certificate: UnknownIssuer", Failure.WRONG_IDENTITY),
        ("No addressing information available", Failure.NO_ADDRESS),
        ("All address lookup services failed", Failure.NO_ADDRESS),
        ("timed out", Failure.TIMED_OUT),
        ("ConnectionLost(TimedOut)", Failure.TIMED_OUT),
        ("ApplicationClosed(ApplicationClose { error_code: 7, .. })", Failure.CLOSED_BY_PEER),
        ("LocallyClosed", Failure.CLOSED_HERE),
        ("Stopped(43)", Failure.STREAM_ENDED),
    ],
)
def test_each_failure_is_told_from_the_others(message: str, failure: Failure) -> None:
    error = translate(FakeError(message))  # type: ignore[arg-type] # see FakeError
    assert (error.failure, str(error)) == (failure, failure.value)


def test_a_failure_to_bind_is_told_by_its_kind() -> None:
    error = translate(FakeError("os error 98", iroh.IrohErrorKind.BIND))  # type: ignore[arg-type]
    assert error.failure is Failure.CANNOT_BIND


def test_an_unknown_failure_shows_the_first_line_of_what_iroh_says() -> None:
    error = translate(FakeError("strange things\nat /build/path"))  # type: ignore[arg-type]
    assert str(error) == "the connection failed (CONNECT: strange things)"
