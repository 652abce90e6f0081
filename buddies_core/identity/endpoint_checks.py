"""Checks endpoints' signatures: a few immediately, many on a separate thread.

A signature takes 0.1 ms to verify, a quarter of the cost of a message. libsodium does not hold the
interpreter's lock meanwhile, so in a burst the event loop does the rest on another core. Every
search brings copies of messages that were verified lately; those are not verified again.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.ids import EndpointId

CheckEndpoint: TypeAlias = Callable[[EndpointId, bytes, bytes], Awaitable[bool]]
"""Returns whether this endpoint signed this payload; see `signatures.verify_endpoint`."""

GOOD_KEPT_MAX = 4096
"""The most good signatures that are remembered, in some 2 MB."""
AT_ONCE_MAX = 2
"""Handing a batch to the thread and back takes as long as verifying one or two signatures."""


async def check_at_once(endpoint: EndpointId, payload: bytes, signature: bytes) -> bool:
    """Return whether this endpoint signed this payload; the event loop waits meanwhile."""
    return verify_endpoint(endpoint, payload, signature)


@dataclass(frozen=True, slots=True)
class _Check:
    endpoint: EndpointId
    payload: bytes
    signature: bytes
    done: asyncio.Future[bool]


class EndpointChecks:
    """Answers requests in order. One event loop owns this.

    Each waiting caller has one check, so there are no more checks than messages in progress.
    """

    def __init__(self) -> None:
        self._waiting: list[_Check] = []
        self._is_busy = False
        self._good: OrderedDict[tuple[EndpointId, bytes, bytes], None] = OrderedDict()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="signatures")

    async def check(self, endpoint: EndpointId, payload: bytes, signature: bytes) -> bool:
        """Return whether this endpoint signed this payload."""
        known = (endpoint, signature, hashlib.sha256(payload).digest())
        if known in self._good and not self._is_busy:  # Otherwise it would overtake waiting checks.
            self._good.move_to_end(known)
            return True
        is_good = await self._check(endpoint, payload, signature)
        if is_good:
            self._good[known] = None
            self._good.move_to_end(known)
            if len(self._good) > GOOD_KEPT_MAX:
                self._good.popitem(last=False)
        return is_good

    async def _check(self, endpoint: EndpointId, payload: bytes, signature: bytes) -> bool:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(_Check(endpoint, payload, signature, done))
        if not self._is_busy:
            self._is_busy = True
            # Other tasks that are ready now may add checks to the same batch.
            loop.call_soon(self._begin, loop)
        return await done

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._waiting = self._waiting, []
        if len(batch) <= AT_ONCE_MAX:
            self._end(loop, batch, _verified(batch))
            return
        work = loop.run_in_executor(self._thread, _verified, batch)
        work.add_done_callback(lambda it: self._end(loop, batch, it.result()))

    def _end(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Check], verified: list[bool]
    ) -> None:
        for check, is_good in zip(batch, verified, strict=True):
            if not check.done.done():  # Its caller may have been cancelled.
                check.done.set_result(is_good)
        self._is_busy = bool(self._waiting)
        if self._waiting:
            loop.call_soon(self._begin, loop)


def _verified(batch: list[_Check]) -> list[bool]:
    return [verify_endpoint(it.endpoint, it.payload, it.signature) for it in batch]
