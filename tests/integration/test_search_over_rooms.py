"""A search over many rooms asks each member once, open and private rooms together."""

from collections.abc import Sequence

import pytest

from buddies_core.model.ids import EndpointId
from buddies_core.net.network import Network
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from tests.support.worlds.meeting import eventually
from tests.support.worlds.person import some_person
from tests.support.worlds.whole_daemon import a_whole_daemon

OPEN = [f"room-{number:02}" for number in range(6)]
PRIVATE = "launch"


async def test_a_member_is_asked_once_about_open_and_private_rooms_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searches: list[PeerRequest] = []
    ask = Network.ask

    async def counted(
        self: Network, peer: EndpointId, request: PeerRequest, timeout_s: float
    ) -> Sequence[PeerReply]:
        if request.HasField("search"):
            searches.append(request)
        return await ask(self, peer, request, timeout_s)

    monkeypatch.setattr(Network, "ask", counted)
    with some_person() as one, some_person() as other:
        async with (
            a_whole_daemon(one.home, {"BUDDIES_USER": "alice"}) as alice,
            a_whole_daemon(other.home, {"BUDDIES_USER": "bob"}) as bob,
        ):
            for room in OPEN:
                ticket = (await alice.client.join_room(room)).ticket
                await bob.client.join_room(room, ticket)
            await alice.client.join_room(PRIVATE, private=True)
            invite = (await alice.client.room_ticket(PRIVATE)).ticket
            await bob.client.join_room(PRIVATE, invite)
            await bob.client.join_room("nobody-else")
            for room in (*OPEN, PRIVATE):
                await eventually(
                    lambda room=room: bob.client.room_status(room),  # type: ignore[misc]
                    lambda it: len(it.members) == 2,
                )
                await alice.client.store_memory(room=room, content=f"PostgreSQL in {room}")
            searches.clear()

            found = await bob.client.search_memory("PostgreSQL", limit=20)

            assert {it.room for it in found.results} == {*OPEN, PRIVATE}
            assert [it.name for it in found.answered] == ["alice"]
            assert found.unanswered == ()
            assert [len(request.more) for request in searches] == [len(OPEN)]
