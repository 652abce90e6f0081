"""Nodes of a team whose histories are made equal: real stores, signatures and services."""

from collections.abc import Callable
from random import Random

from buddies_core.history.service import History
from buddies_core.model.ids import EndpointId, RoomName
from buddies_core.model.item import BEGIN, END
from buddies_core.pb.peer_pb2 import PeerReply, PeerRequest
from tests.support.memories import DEMO
from tests.support.worlds.skill_team import SkillNode, SkillTeam, check

HISTORY = ("reconcile", "fetch_items", "give_items")


class HistoryNode(SkillNode):
    """One machine's memories, skills and votes, and their history."""

    def __init__(self, team: SkillTeam, name: str, rooms: tuple[RoomName, ...]) -> None:
        super().__init__(team, name, rooms, signer=None, verify=check, electorate=None)
        self.history = self.new_history()
        self.asked: list[PeerRequest] = []
        """What members asked about the history."""
        self.lies: Callable[[PeerRequest, list[PeerReply]], list[PeerReply]] | None = None
        """What this node makes of its answers, if it is not honest."""

    def new_history(self) -> History:
        """Return a history that knows nothing but what is on disk."""
        return History(
            store=self.store,
            rooms=self.rooms,
            memories=self.memories,
            skills=self.skills,
            legacy=None,
            clock=self.clock,
            rng=Random(self.name),
            counters=self.counters,
            receipts=self.receipts,
        )

    async def answer(
        self, caller: EndpointId, room: RoomName, request: PeerRequest
    ) -> list[PeerReply]:
        if request.WhichOneof("ask") not in HISTORY:
            return await super().answer(caller, room, request)
        self.asked.append(request)
        replies = await self.history.answer(caller, room, request)
        return self.lies(request, replies) if self.lies else replies

    async def exchange(self, other: "HistoryNode", room: RoomName = DEMO) -> None:
        """Compare this node's history with another's, once."""
        await self.history._exchange(room, other.endpoint)

    def ids(self, room: RoomName = DEMO) -> set[bytes]:
        """Return the ids of all items here."""
        return {item.id for item in self.store.items(room).list(BEGIN, END, 1_000_000)}


class HistoryTeam(SkillTeam):
    """Nodes with a history that are all present in the rooms they share."""

    def historian(self, name: str, *rooms: RoomName) -> HistoryNode:
        """Return a new node that is in these rooms, with everybody who is there."""
        node = HistoryNode(self, name, rooms or (DEMO,))
        self.place(node)
        return node
