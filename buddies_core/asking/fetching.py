"""Fetches whole items from any member that has them."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TypeVar

from buddies_core.asking.members import MEMBERS_ASKED_MAX, endpoints_to_ask
from buddies_core.asking.ports import AskPort, RoomsPort
from buddies_core.asking.question import reason_of
from buddies_core.errors import BuddiesError, NotFound, TimedOut, WireError
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.pb import peer_pb2

PART_BYTES = 128 << 10
"""The content in one frame, which has at most 256 KiB."""
VOTES_IN_PART = 256
"""The votes in one frame, of some 350 bytes each."""
BACKGROUND_ASK_S = 30.0
"""The time to fetch 1 MiB over a slow line."""
HOLDERS_AT_ONCE = 4
"""The number of members asked first if any may have the item. Each holder sends up to 1 MiB, so not
all are asked at once; if one does not have it, the next is asked at once."""
ANOTHER_AFTER_S = 0.25
_HAS_NONE = ""

T = TypeVar("T")

_log = logging.getLogger(__name__)


def parts(proof: bytes, content: str = "", votes: Sequence[bytes] = ()) -> list[peer_pb2.Part]:
    """Return the frames that bring a memory or a skill to a peer: its proof, then the rest.

    `content` is all of it, if the proof has only its beginning.
    """
    rest = content.encode()
    return [
        peer_pb2.Part(proof=proof),
        *(
            peer_pb2.Part(content=rest[start : start + PART_BYTES])
            for start in range(0, len(rest), PART_BYTES)
        ),
        *(
            peer_pb2.Part(votes=votes[start : start + VOTES_IN_PART])
            for start in range(0, len(votes), VOTES_IN_PART)
        ),
    ]


def content_of(parts: Iterable[peer_pb2.Part]) -> bytes:
    """Return the content in these frames; none if the proof has all of it."""
    return b"".join(part.content for part in parts)


class Fetcher:
    """Asks members for memories and skills."""

    def __init__(self, rooms: RoomsPort, network: AskPort, counters: Counter[str]) -> None:
        self._rooms = rooms
        self._network = network
        self._counters = counters

    def everybody(self) -> list[tuple[RoomName, EndpointId]]:
        """Return the members of all rooms that can be asked, with the room to ask in."""
        return [
            (room, peer)
            for room in self._rooms.joined()
            for peer in endpoints_to_ask(self._rooms, room)
        ]

    async def ask(
        self,
        peer: EndpointId,
        room: RoomName,
        request: peer_pb2.PeerRequest,
        timeout_s: float,
        read: Callable[[Sequence[peer_pb2.PeerReply]], Awaitable[T]],
    ) -> T:
        """Return what `read` makes of a member's answer.

        Raises:
            BuddiesError: the member lacks it, did not answer, or gave something else, which is
                counted.
        """
        try:
            try:
                async with asyncio.timeout(timeout_s):
                    return await read(await self._network.ask(peer, room, request, timeout_s))
            except TimeoutError:
                raise TimedOut(f"no answer within {timeout_s:g} s") from None
        except BuddiesError as error:
            if isinstance(error, WireError):
                self._counters["fetches_rejected"] += 1
            _log.info("fetch_failed peer=%s: %s", short(peer), error)
            raise

    async def first(
        self,
        targets: Sequence[tuple[RoomName, EndpointId]],
        fetch: Callable[[EndpointId, RoomName, float], Awaitable[T]],
        is_enough: Callable[[T], bool],
        timeout_s: float,
        at_once: int = HOLDERS_AT_ONCE,
        another_after_s: float = ANOTHER_AFTER_S,
    ) -> tuple[list[T], str]:
        """Return what members gave until one gave enough, and why the others gave nothing.

        Ends when all have answered or time is up, whatever they gave.

        Args:
            targets: The members to ask, each with a room, the likeliest holders first.
            fetch: Asks one of them within a time; raises BuddiesError if that gives nothing.
            is_enough: Whether nobody else need be asked.
            timeout_s: The time for all of them.
            at_once: How many are asked together at first.
            another_after_s: One more is asked as often as nobody has answered for so long.
        """
        waiting = deque(targets[:MEMBERS_ASKED_MAX])
        found: list[T] = []
        outcomes: dict[EndpointId, str] = {}

        async def ask(room: RoomName, peer: EndpointId) -> None:
            outcomes.setdefault(peer, f"no answer within {timeout_s:g} s")
            try:
                found.append(await fetch(peer, room, timeout_s))
            except NotFound:
                outcomes[peer] = _HAS_NONE
            except BuddiesError as error:
                outcomes[peer] = reason_of(error)

        async with asyncio.TaskGroup() as group:
            asking: set[asyncio.Task[None]] = set()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    while (waiting or asking) and not any(map(is_enough, found)):
                        while waiting and len(asking) < at_once:
                            asking.add(group.create_task(ask(*waiting.popleft())))
                        done, asking = await asyncio.wait(
                            asking,
                            timeout=another_after_s if waiting else None,
                            return_when=asyncio.FIRST_COMPLETED,
                        )
                        at_once += not done
            for task in asking:
                task.cancel()
        failures = {peer: why for peer, why in outcomes.items() if why != _HAS_NONE}
        without = len(outcomes) - len(failures)
        said = [f"present members without it: {without}"] if without else []
        said += [f"not given by {self._rooms.name_of(peer)}: {failures[peer]}" for peer in failures]
        said += [f"members that there was no time to ask: {len(waiting)}"] if waiting else []
        return found, "; ".join(said) or "no member is present"
