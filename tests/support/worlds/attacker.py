"""A stranger who knows an open room's name, beside real daemons: it speaks the wire as it likes."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_bytes

from buddies_core.identity.node_key import NodeKey
from buddies_core.model.address import PeerAddress
from buddies_core.model.bodies import Body, Presence
from buddies_core.model.ids import EndpointId, RoomName, TopicId, open_room_id, topic_of
from buddies_core.model.memory import Whole
from buddies_core.net.driver import ContentDelivered, NeighborCameUp
from buddies_core.net.incoming import IncomingRequest
from buddies_core.net.network import Network
from buddies_core.pb.peer_pb2 import PeerReply, Refusal
from buddies_core.wire.room_messages import RoomMessage, Trailer, encode_room_message, seal
from buddies_core.wire.tickets import decode_ticket
from tests.support.worlds.machines import Machine
from tests.support.worlds.networks import a_network, key_of, wait_delivery


@dataclass(slots=True)
class Attacker:
    """A node among a room's members, in the hands of a test."""

    key: NodeKey
    network: Network
    topic: TopicId
    room: RoomName
    answers: list[PeerReply] = field(default_factory=list)
    """To everything it is asked; with none it refuses."""
    sent_bytes: int = 0
    """What it has broadcast and answered so far."""

    def signed(self, body: Body, key: NodeKey | None = None, whole: Whole | None = None) -> bytes:
        """Return what the attacker says, or somebody that it makes up."""
        key = key or self.key
        message = encode_room_message(RoomMessage(nonce=token_bytes(16), body=body))
        sent_at_ms = time.time_ns() // 1_000_000
        trailer = Trailer(sender=key.endpoint, sent_at_ms=sent_at_ms, whole=whole)
        return seal(message, trailer, open_room_id(self.room), key.sign)

    async def is_a_member(self) -> None:
        """Have the others take the attacker for a member, which they then ask."""
        await self.says(self.signed(Presence(f"member {self.key.endpoint.hex()[:6]}", ())))

    async def says(self, raw: bytes) -> None:
        """Broadcast these bytes in the room."""
        self.sent_bytes += len(raw)
        await self.network.broadcast(self.topic, raw)


@asynccontextmanager
async def an_attacker(machine: Machine, room: str, number: int = 666) -> AsyncIterator[Attacker]:
    """Yield an attacker who is the machine's neighbor in the room."""
    address = await address_of(machine, room)
    topic = topic_of(RoomName(room))
    async with a_network(number) as network, asyncio.TaskGroup() as group:
        await network.reach(address, 5)
        await network.join(topic, (address.endpoint,))
        await wait_delivery(network, NeighborCameUp(topic, address.endpoint))
        attacker = Attacker(NodeKey(key_of(number)), network, topic, RoomName(room))
        work = [group.create_task(it) for it in (_answer(attacker), _listen(network))]
        yield attacker
        for task in work:
            task.cancel()


async def address_of(machine: Machine, room: str) -> PeerAddress:
    """Return where the machine's daemon is reached, as its ticket says."""
    ticket = decode_ticket((await machine.command("ticket", room))["ticket"])
    endpoint = await endpoint_of(machine)
    return next(it for it in ticket.endpoints if it.endpoint == endpoint)


async def endpoint_of(machine: Machine) -> EndpointId:
    """Return the endpoint id of the machine's daemon."""
    return EndpointId(bytes.fromhex((await machine.command("status"))["endpoint_id"]))


def cpu_s(machine: Machine) -> float:
    """Return how much time the machine's daemon has computed so far."""
    stat = Path(f"/proc/{machine.daemon_pid()}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(machine: Machine) -> float:
    """Return how much memory the machine's daemon has in use, in MB.

    Without pages of files: these come and go with all else that runs here.
    """
    status = Path(f"/proc/{machine.daemon_pid()}/status").read_text()
    lines = (it.split() for it in status.splitlines())
    return sum(int(it[1]) for it in lines if it[0] in ("RssAnon:", "VmSwap:")) / 1024


async def _answer(attacker: Attacker) -> None:
    async def answer(request: IncomingRequest) -> None:
        if attacker.answers:
            attacker.sent_bytes += sum(it.ByteSize() for it in attacker.answers)
            await request.reply(*attacker.answers)
        else:
            await request.refuse(Refusal.NOT_FOUND, "strangers tell nothing")

    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(answer(await attacker.network.next_request()))


async def _listen(network: Network) -> None:
    while True:
        delivery = await network.next_delivery()
        if isinstance(delivery, ContentDelivered):
            delivery.done()
