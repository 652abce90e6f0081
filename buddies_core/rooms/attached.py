"""The agents of this node, as the members of its rooms see them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from buddies_core.model.bodies import AgentPresence
from buddies_core.model.ids import RoomName
from buddies_core.rooms.room import Room

CLI_AGENT = "buddies-cli"
"""The agent name used when no agent is attached: a person at a terminal."""


class AttachedAgents:
    """The attached agents, and the rooms in which they are shown. One event loop owns this."""

    def __init__(self, rooms: Mapping[RoomName, Room]) -> None:
        self._rooms = rooms
        self._agents: dict[UUID, AgentPresence] = {}

    def get(self, agent: UUID | None) -> AgentPresence | None:
        """Return the agent, if it is attached."""
        return self._agents.get(agent) if agent else None

    def agent_attached(
        self, agent: UUID, presence: AgentPresence, rooms: Sequence[RoomName] = ()
    ) -> None:
        """Show the agent in every room of this node; it had joined these before a restart."""
        self._agents[agent] = presence
        for name in rooms:
            if (room := self._rooms.get(name)) is not None:
                room.joined_by.add(agent)
        self._announce()

    def agent_detached(self, agent: UUID) -> None:
        """Stop showing the agent. The node stays in the rooms the agent has joined."""
        self._agents.pop(agent, None)
        for room in self._rooms.values():
            room.joined_by.discard(agent)
            room.left_by.discard(agent)
        self._announce()

    def rooms_of(self, agent: UUID) -> tuple[RoomName, ...]:
        """Return the rooms that this agent has joined itself."""
        return tuple(sorted(room.name for room in self._rooms.values() if agent in room.joined_by))

    def names_in(self, room: Room) -> tuple[str, ...]:
        """Return the names of the attached agents that have joined the room themselves."""
        return tuple(self._agents[who].name for who in room.joined_by if who in self._agents)

    def shown_in(self, room: Room) -> tuple[AgentPresence, ...]:
        """Return the agents as the members of this room see them."""
        shown = {
            presence.name: presence
            for agent, presence in self._agents.items()
            if agent not in room.left_by
        }
        for name, said in room.statuses.items():
            if name in shown:
                shown[name] = replace(
                    shown[name], status=said.status, status_at_ms=said.status_at_ms
                )
            elif name == CLI_AGENT:
                shown[name] = said
        return tuple(shown.values())

    def _announce(self) -> None:
        for room in self._rooms.values():
            room.announce(self.shown_in(room))
