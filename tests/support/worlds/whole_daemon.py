"""A whole daemon in this process, and a stranger on the network who says to it what they like."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from buddies_core.client import DaemonClient
from buddies_core.daemon.build import Parts, build
from buddies_core.daemon.config import Config
from buddies_core.daemon.service import DaemonSelf
from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signers import Signer
from buddies_core.inbound import Inbound
from buddies_core.model.bodies import Body
from buddies_core.model.identity import SignerIdentity
from buddies_core.model.ids import EndpointId, RoomName, topic_of
from buddies_core.model.json_view import json_of
from buddies_core.net.driver import NeighborCameUp
from buddies_core.net.network import Network
from buddies_core.pb.peer_pb2 import PeerReply, Refusal
from buddies_core.rooms.composing import SENT_AT
from buddies_core.rpc.server import serve
from buddies_core.store import keys
from buddies_core.wire.room_messages import (
    RoomMessage,
    Trailer,
    encode_room_message,
    legacy_signed_payload,
    seal,
)
from tests.support.eventually import until
from tests.support.memories import DEMO
from tests.support.worlds.networks import a_network, key_of, wait_delivery


@dataclass(frozen=True, slots=True)
class WholeDaemon:
    """A daemon with everything in it, asked through its socket."""

    parts: Parts
    client: DaemonClient

    async def counters(self) -> Counter[str]:
        """Return what `status --json` shows as counted.

        What the network counts is left out, and what comes of comparing with members, which begins
        by itself.
        """
        shown = json_of(await self.client.status())["counters"]
        assert isinstance(shown, dict)
        of_network = self.parts.inbound.network.counters
        return Counter(
            {
                name: n
                for name, n in shown.items()
                if name not in of_network and not name.startswith("history_exchanges")
            }
        )

    async def has_settled(self) -> None:
        """Return once nothing that was broadcast to it is in work any more."""
        await until(lambda: not any(map(_is_broadcast_in_work, asyncio.all_tasks())))

    def store(self) -> dict[bytes, bytes]:
        """Return all that is on disk, under every prefix, but for what the node notes of itself.

        That is when it spoke last, and when it last heard a 0.1.4 peer in a room.
        """
        daemon = self.parts.services.daemon
        assert isinstance(daemon, DaemonSelf)
        records = dict(daemon.store._database.scan(b""))
        own = keys.watermark(SENT_AT), keys.watermark(b"legacy" + topic_of(DEMO))
        return {key: value for key, value in records.items() if key not in own}


def _is_broadcast_in_work(task: asyncio.Task[Any]) -> bool:
    return getattr(task.get_coro(), "__qualname__", "") == Inbound._on_delivery.__qualname__


@asynccontextmanager
async def a_whole_daemon(home: Path, environ: Mapping[str, str]) -> AsyncIterator[WholeDaemon]:
    """Run the daemon of this home on loopback until the block ends, with this for its environment.

    The home's path is short: sockets lie in it.
    """
    config = Config.from_environment(
        {
            "HOME": str(home),
            "BUDDIES_USER": "alice",
            "BUDDIES_DATA_DIR": str(home / "data"),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "BUDDIES_NETWORK": "loopback",
            **environ,
        }
    )
    config.paths.create()
    with plainly():
        async with build(config, asyncio.Event()) as parts, asyncio.TaskGroup() as group:
            working = [
                group.create_task(part.run())
                for part in (
                    parts.inbound,
                    parts.history,
                    parts.legacy,
                    parts.memories,
                    parts.tasks,
                    parts.skills,
                )
                if part
            ]
            async with (
                serve(config.paths, parts.services),
                DaemonClient.connect(config.paths) as client,
            ):
                yield WholeDaemon(parts, client)
            for task in working:
                task.cancel()


@contextmanager
def plainly() -> Iterator[None]:
    """Let what fails in a test fail as itself, not wrapped once for each group around it."""
    try:
        yield
    except BaseExceptionGroup as group:
        failure: BaseException = group
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        raise failure from None


@dataclass(frozen=True, slots=True)
class Stranger:
    """A node in the room that relays whatever bytes it is given, its own or another's."""

    key: NodeKey
    network: Network
    answers: list[PeerReply] = field(default_factory=list)
    """To whatever it is asked; if there is none, it refuses."""

    async def says(self, raw: bytes) -> None:
        """Broadcast these bytes in the room."""
        await self.network.broadcast(topic_of(DEMO), raw)


@asynccontextmanager
async def a_stranger_among(daemon: WholeDaemon) -> AsyncIterator[Stranger]:
    """Yield a stranger who is the daemon's neighbor in the room."""
    address = daemon.parts.inbound.network.address()
    async with a_network(666) as network, asyncio.TaskGroup() as group:
        await network.reach(address, 5)
        await network.join(topic_of(DEMO), (address.endpoint,))
        await wait_delivery(network, NeighborCameUp(topic_of(DEMO), address.endpoint))
        stranger = Stranger(NodeKey(key_of(666)), network)
        answering = group.create_task(_answer(stranger))
        yield stranger
        answering.cancel()


async def _answer(stranger: Stranger) -> None:
    while True:
        request = await stranger.network.next_request()
        if stranger.answers:
            await request.reply(*stranger.answers)
        else:
            await request.refuse(Refusal.NOT_FOUND, "strangers tell nothing")


# What can be said, by whom


def sealed(
    key: NodeKey,
    body: Body,
    *,
    room: RoomName = DEMO,
    claimed: EndpointId | None = None,
    sent_at_ms: int = 1_700_000_000_000,
) -> bytes:
    """Return a message with the trailer of this key's endpoint, or of the one it claims to be."""
    message = encode_room_message(RoomMessage(nonce=bytes(16), body=body))
    trailer = Trailer(sender=claimed or key.endpoint, sent_at_ms=sent_at_ms)
    return seal(message, trailer, topic_of(room), key.sign)


def unsigned(body: Body) -> bytes:
    """Return a message as a 0.1.4 peer without a signer sends it."""
    return encode_room_message(RoomMessage(nonce=bytes(16), body=body))


async def signed_as_0_1_4(
    body: Body, signer: Signer, claimed: SignerIdentity | None = None
) -> bytes:
    """Return a message as a 0.1.4 peer with this signer sends it, in its name or another's."""
    message = RoomMessage(nonce=bytes(16), body=body)
    signature = await signer.sign(legacy_signed_payload(message), "buddies")
    return encode_room_message(
        replace(message, signed_by=claimed or signer.identity, signature=signature)
    )
