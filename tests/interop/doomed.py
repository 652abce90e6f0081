"""A peer of ours that joins one topic and stays there until it is killed.

usage: doomed SEED TOPIC '["peer's id", "its address", ...]'
"""

import asyncio
import json
import sys

from buddies_core.model.address import AddressInfo, PeerAddress
from buddies_core.model.ids import EndpointId, TopicId
from buddies_core.net.binding import socket_address
from buddies_core.net.driver import ContentDelivered
from tests.interop.peers import open_network


async def main(seed: str, topic: str, known: str) -> None:
    id, *addresses = json.loads(known)
    peer = EndpointId(bytes.fromhex(id))
    async with open_network(int(seed)) as network:
        info = AddressInfo(direct=tuple(map(socket_address, addresses)))
        await network.reach(PeerAddress(peer, info), timeout_s=5)
        await network.join(TopicId(bytes.fromhex(topic)), [peer])
        sys.stdout.write(json.dumps({"event": "ready", "id": network.endpoint.hex()}) + "\n")
        sys.stdout.flush()
        while True:
            delivery = await network.next_delivery()
            if isinstance(delivery, ContentDelivered):
                delivery.done()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
