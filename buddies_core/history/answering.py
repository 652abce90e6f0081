"""The answering side of an exchange. It keeps nothing between two requests."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial

from buddies_core.clock import Clock
from buddies_core.errors import Busy, InvalidInput, WireError
from buddies_core.history.ports import StorePort
from buddies_core.history.reconcile import answer
from buddies_core.history.taking import Taker
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.item import ID_BYTES, Bound
from buddies_core.net.rates import PeerRates
from buddies_core.pb import peer_pb2
from buddies_core.wire.items import item_of

MESSAGE_BYTES_MAX = 64 << 10
"""The largest message of a reconciliation. To answer one takes up to a quarter of a second of this
node's time, in pieces (measured)."""
ITEMS_ASKED_MAX = 256
"""The most items in one request. A proof has up to 4,569 bytes, so they take 1.2 MB at most."""
FRAME_BYTES = 192 << 10
"""The size of the proofs in one frame; even with one more, it stays below 256 KiB."""
ITEMS_GIVEN_PER_S = 500.0
ITEMS_GIVEN_BURST = 2000.0
"""The most items accepted from one member at once: to check and keep one takes up to 1 ms.
A member that is told to come later gives the rest at its next exchange."""


class Answering:
    """Answers members that compare their history with this node's."""

    def __init__(
        self,
        *,
        store: StorePort,
        taker: Taker,
        wanted_since: Callable[[RoomName], Bound],
        clock: Clock,
        counters: Counter[str],
    ) -> None:
        """Answer from this store.

        Args:
            store: Where the items are.
            taker: Takes in what members give.
            wanted_since: Returns the time from which items of a room are wanted here.
            clock: The time.
            counters: Count the members' actions.
        """
        self._store = store
        self._taker = taker
        self._wanted_since = wanted_since
        self._clock = clock
        self._counters = counters
        self._given = PeerRates(ITEMS_GIVEN_PER_S, ITEMS_GIVEN_BURST)
        # There are few reading threads, and our own agents need them.
        self._turn = asyncio.Semaphore(1)

    async def reconcile(
        self, room: RoomName, request: peer_pb2.Reconcile
    ) -> list[peer_pb2.PeerReply]:
        """Return the reply to a message of the reconciliation.

        Raises:
            InvalidInput: it is not such a message.
        """
        if len(request.message) > MESSAGE_BYTES_MAX:
            raise InvalidInput(f"a message has at most {MESSAGE_BYTES_MAX} bytes")
        items, since = self._store.items(room), self._wanted_since(room)
        try:
            async with self._turn:
                message = await self._store.read(
                    partial(answer, items, request.message, MESSAGE_BYTES_MAX, since)
                )
        except WireError as error:
            self._counters["history_bad_messages"] += 1
            raise InvalidInput(f"the message can't be read: {error}") from error
        reconciled = peer_pb2.Reconciled(
            message=message, count=len(items), wanted_since_ms=since.at_ms
        )
        return [peer_pb2.PeerReply(reconciled=reconciled)]

    async def fetch(self, room: RoomName, request: peer_pb2.FetchItems) -> list[peer_pb2.PeerReply]:
        """Return frames with those of the requested items that are here.

        Raises:
            InvalidInput: these are not ids, or too many.
        """
        if len(request.ids) > ITEMS_ASKED_MAX or any(len(id) != ID_BYTES for id in request.ids):
            raise InvalidInput(f"items are asked for by ids of 32 bytes, {ITEMS_ASKED_MAX} at most")
        items = self._store.items(room)
        proofs = await self._store.read(lambda: [items.read(id) for id in request.ids])
        frames, size = [peer_pb2.Items()], 0
        for proof in filter(None, proofs):
            if size > FRAME_BYTES:
                frames.append(peer_pb2.Items())
                size = 0
            frames[-1].proofs.append(proof)
            size += len(proof)
        return [peer_pb2.PeerReply(items=frame) for frame in frames]

    async def take(
        self, room: RoomName, caller: EndpointId, request: peer_pb2.GiveItems
    ) -> list[peer_pb2.PeerReply]:
        """Take in the items that a member gives, and return the refused ones.

        Raises:
            Busy: it gives too much at once; nothing was taken.
            BuddiesError: the disk refused.
        """
        now_s = self._clock.now_s()
        if self._given.is_used_up(caller, now_s):
            self._counters["history_given_too_much"] += 1
            raise Busy("you give more than this node can take; give the rest later")
        for _ in request.proofs:
            self._given.reserve(caller, now_s)
        since = self._wanted_since(room)
        items = {proof: item_of(proof) for proof in request.proofs}
        wanted = [proof for proof, item in items.items() if item >= since]
        taken = await self._taker.take(room, caller, wanted)
        unwanted = [item.id for item in items.values() if item < since]
        reply = peer_pb2.ItemsTaken(refused=[*taken.refused, *unwanted])
        return [peer_pb2.PeerReply(items_taken=reply)]
