"""What the messages of a room cost the daemon that hears them.

    scripts/offline .venv/bin/python -m tests.bench.flow

A real daemon, and five peers in this process, which are its neighbors and say what was composed
before: so what is measured is the daemon's.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from uuid import uuid4

import iroh

from buddies_core.client import DaemonClient
from buddies_core.gossip.messages import Gossip, Join, Prune, SwarmScope
from buddies_core.gossip.plumtree import message_id
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.address import PeerAddress
from buddies_core.model.bodies import Body, MemoryCreated, StatusUpdate
from buddies_core.model.ids import MemoryId, topic_of
from buddies_core.model.room import Ticket
from buddies_core.net.binding import GOSSIP_ALPN
from buddies_core.paths import Paths
from buddies_core.wire.frames import frame
from buddies_core.wire.gossip_messages import encode_message, stream_header
from buddies_core.wire.tickets import decode_ticket
from tests.support.memories import DEMO, an_entry
from tests.support.worlds.machines import some_machines
from tests.support.worlds.networks import RawPeer, a_raw_peer, key_of
from tests.support.worlds.whole_daemon import sealed

PEERS = 5
BURST = 1000
"""Messages that each peer may say at once, by the limits of the daemon."""
SUSTAINED_PER_S = 200
SUSTAINED_S = 10
TURNS_PER_S = 20
WITHIN_S = 60.0
TEXT = "a few words more, so that it is as long as what agents say " * 4
CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """How a daemon took in what its neighbors said."""

    messages: int
    lost: int
    per_s: float
    cpu_ms_each: float
    """Of all its threads, until the last message had been acted on."""


class Speaker:
    """A peer that says what it was given, and never hears anything."""

    def __init__(self, raw: RawPeer, number: int) -> None:
        self.key = NodeKey(key_of(number))
        self._raw = raw
        self._said = 0

    async def be_neighbor_of(self, daemon: PeerAddress, *, relayed_to: bool) -> None:
        """Join the room by way of the daemon; unless `relayed_to`, want announcements alone."""
        self._connection = await self._raw.connect(daemon, GOSSIP_ALPN)
        self._stream = await self._connection.open_uni()
        messages = (Join(None),) if relayed_to else (Join(None), Prune())
        frames = b"".join(frame(encode_message(it)) for it in messages)
        await self._stream.write_all(stream_header(topic_of(DEMO)) + frames)

    async def read(self) -> None:
        """Read whatever the daemon says, until cancelled."""
        async with asyncio.TaskGroup() as streams:
            while True:
                streams.create_task(_read_all(await self._connection.accept_uni()))

    def compose(self, count: int, *, is_kept: bool) -> list[bytes]:
        """Return so many messages as they go over the wire."""
        return [self._compose(is_kept=is_kept) for _ in range(count)]

    def _compose(self, *, is_kept: bool) -> bytes:
        self._said += 1
        author, text = self.key.endpoint, f"note {self._said}: {TEXT}"
        body: Body = StatusUpdate(author.hex(), text)
        if is_kept:
            entry = an_entry(author=author, content=text, tags=("bench",))
            body = MemoryCreated(replace(entry, id=MemoryId(uuid4())))
        now_ms = time.time_ns() // 1_000_000
        content = sealed(self.key, body, sent_at_ms=now_ms + self._said)
        gossip = Gossip(message_id(content), content, SwarmScope(0))
        return frame(encode_message(gossip))

    async def say(self, messages: Sequence[bytes]) -> None:
        """Say these one after the other."""
        await self._stream.write_all(b"".join(messages))


async def _read_all(stream: iroh.RecvStream) -> None:
    while await stream.read(65536):
        pass


@dataclass(frozen=True, slots=True)
class Heard:
    """A daemon in a room with five speakers."""

    pid: int
    client: DaemonClient
    speakers: tuple[Speaker, ...]

    async def memories(self, count: int) -> tuple[int, float]:
        """Return how many memories the daemon has, and when that was, once it is so many."""
        async with asyncio.timeout(WITHIN_S):
            while (kept := (await self.client.status()).memories) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return kept, time.perf_counter()


@asynccontextmanager
async def a_heard_daemon(*, relays: bool) -> AsyncIterator[Heard]:
    """Yield a daemon whose neighbors are the speakers; `relays`: it passes on what each says."""
    with some_machines("alice") as (alice,):
        joined = await alice.command("join", DEMO)
        ticket = decode_ticket(joined["ticket"])
        assert isinstance(ticket, Ticket), "the room is an open one"
        paths = Paths.from_environment(alice.environment())
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as reading:
            client = await stack.enter_async_context(DaemonClient.connect(paths))
            speakers = []
            for number in range(1, PEERS + 1):
                raw = await stack.enter_async_context(a_raw_peer(number, alpns=(GOSSIP_ALPN,)))
                speaker = Speaker(raw, number)
                await speaker.be_neighbor_of(ticket.endpoints[0], relayed_to=relays)
                speakers.append(speaker)
            readers = [reading.create_task(it.read()) for it in speakers]
            pid = alice.daemon_pid()
            assert pid is not None, "it has just answered"
            yield Heard(pid, client, tuple(speakers))
            for reader in readers:
                reader.cancel()


async def received(*, is_kept: bool, relays: bool, sustained: bool) -> Received:
    """Measure how a daemon takes in messages that five neighbors say at once, or 200 a second each.

    Those that are kept are memories; the others say what an agent is doing.
    """
    each = SUSTAINED_PER_S * SUSTAINED_S if sustained else BURST
    async with a_heard_daemon(relays=relays) as heard:
        await asyncio.sleep(2)  # What comes of the peers' arrival is not what is measured.
        messages = {it: it.compose(each, is_kept=is_kept) for it in heard.speakers}
        last = {it: it.compose(1, is_kept=True) for it in heard.speakers}
        cpu_s, began_s = _cpu_s(heard.pid), time.perf_counter()
        async with asyncio.TaskGroup() as saying:
            for speaker, said in messages.items():
                saying.create_task(_say(speaker, said, last[speaker], sustained=sustained))
        expected = PEERS * (each + 1 if is_kept else 1)
        kept, ended_s = 0, began_s
        try:
            kept, ended_s = await heard.memories(expected)
        except TimeoutError:
            kept, ended_s = (await heard.client.status()).memories, time.perf_counter()
        cpu_s = _cpu_s(heard.pid) - cpu_s
        count = PEERS * (each + 1)
        return Received(
            messages=count,
            lost=expected - kept,
            per_s=round(count / (ended_s - began_s)),
            cpu_ms_each=round(cpu_s * 1000 / count, 3),
        )


async def _say(
    speaker: Speaker, messages: Sequence[bytes], last: Sequence[bytes], *, sustained: bool
) -> None:
    if not sustained:
        await speaker.say([*messages[:-1], *last, *messages[-1:]])
        return
    turn = SUSTAINED_PER_S // TURNS_PER_S
    began_s = time.perf_counter()
    for number, start in enumerate(range(0, len(messages), turn), start=1):
        await speaker.say(messages[start : start + turn])
        await asyncio.sleep(max(0.0, began_s + number / TURNS_PER_S - time.perf_counter()))
    await speaker.say(last)


def _cpu_s(pid: int) -> float:
    """Return what all threads of a process have used of the processor. Linux alone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S


async def main() -> None:
    """Print the figures of each way in which messages can come."""
    for is_kept in (True, False):
        for relays in (False, True):
            for sustained in (False, True):
                found = await received(is_kept=is_kept, relays=relays, sustained=sustained)
                what = {"kept": is_kept, "relayed": relays, "sustained": sustained}
                print(json.dumps(what | asdict(found)), flush=True)  # noqa: T201 - figures


if __name__ == "__main__":
    asyncio.run(main())
