import asyncio

from buddies_core.gossip.events import Event, EvictTimer, TimerExpired
from buddies_core.model.ids import TopicId
from buddies_core.net.timers import Timers


def _event(name: bytes) -> Event:
    return TimerExpired(TopicId(name * 32), EvictTimer())


async def test_events_come_when_they_are_due_and_not_in_the_order_of_scheduling() -> None:
    expired: asyncio.Queue[Event] = asyncio.Queue()
    timers = Timers(expired.put_nowait)
    for delay_s, name in ((0.02, b"c"), (0.0, b"a"), (0.01, b"b")):
        timers.schedule(delay_s, _event(name))
    async with asyncio.timeout(5):
        assert [await expired.get() for _ in range(3)] == [_event(it) for it in (b"a", b"b", b"c")]


async def test_events_that_are_due_at_one_time_keep_their_order() -> None:
    expired: asyncio.Queue[Event] = asyncio.Queue()
    timers = Timers(expired.put_nowait)
    events = [_event(bytes([number])) for number in range(50)]
    for event in events:
        timers.schedule(0.0, event)
    async with asyncio.timeout(5):
        assert [await expired.get() for _ in events] == events


async def test_no_event_comes_before_it_is_due() -> None:
    loop = asyncio.get_running_loop()
    expired: asyncio.Queue[float] = asyncio.Queue()
    timers = Timers(lambda _: expired.put_nowait(loop.time()))
    due_s = loop.time() + 0.01
    timers.schedule(0.01, _event(b"a"))
    async with asyncio.timeout(5):
        assert await expired.get() >= due_s


async def test_nothing_comes_after_the_end() -> None:
    expired: list[Event] = []
    timers = Timers(expired.append)
    timers.schedule(0.0, _event(b"a"))
    timers.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert expired == []
