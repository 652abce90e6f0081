"""What a requester's daemon answers is checked before it is used."""

from collections.abc import Sequence
from typing import cast

import pytest

from buddies_core.errors import BuddiesError
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.pb.peer_pb2 import Lease, LeaseTask, PeerReply, PeerRequest
from buddies_core.tasks.asking import Asking
from buddies_core.tasks.ports import RoomsPort
from tests.support.memories import ALICE, DEMO

ASK = PeerRequest(lease_task=LeaseTask())


class AlicesRooms:
    """The rooms of a node that is asked by itself alone."""

    endpoint = ALICE


async def leased(finish_left_s: float) -> Lease:
    async def answer(_: EndpointId, __: RoomName, ___: PeerRequest) -> Sequence[PeerReply]:
        return [PeerReply(lease=Lease(attempt=1, finish_left_s=finish_left_s))]

    return await Asking(cast("RoomsPort", AlicesRooms()), answer).ask_for_lease(ALICE, DEMO, ASK)


@pytest.mark.parametrize("finish_left_s", [float("nan"), float("inf"), -1.0])
async def test_a_lease_whose_end_is_not_a_time_is_refused(finish_left_s: float) -> None:
    """Infinity would reach the agent as JSON that no client can read."""
    with pytest.raises(BuddiesError, match="does not say when it ends"):
        await leased(finish_left_s)


@pytest.mark.parametrize("finish_left_s", [0.0, 3600.0])
async def test_a_lease_that_ends_is_taken(finish_left_s: float) -> None:
    assert await leased(finish_left_s) == Lease(attempt=1, finish_left_s=finish_left_s)
