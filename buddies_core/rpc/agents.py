"""The agents that are attached now, each by a stream that lives as long as its shim."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from buddies_core.convert import arguments
from buddies_core.errors import Busy, InvalidInput, NotAttached
from buddies_core.local_protocol import AGENT_METADATA
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.ids import RoomName

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

AGENTS_MAX = 500
"""As many as the MCP host of a machine serves."""
NAME_BYTES_MAX = 64
CAPABILITIES_MAX = 16

log = logging.getLogger(__name__)


class AgentsListener(Protocol):
    """Who wants to know which agents there are, such as `rooms.rooms.Rooms`."""

    def agent_attached(
        self, agent: UUID, presence: AgentPresence, rooms: Sequence[RoomName] = ()
    ) -> None:
        """Take in that an agent is here, and which rooms it had joined at a daemon before this."""

    def agent_detached(self, agent: UUID) -> None:
        """Take in that an agent has gone, whether it said goodbye or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedAgent:
    """An agent that is attached now."""

    id: UUID
    name: str
    user: str
    """The display name of whose agent it is, where that differs from the node's own."""
    pid: int
    capabilities: tuple[str, ...]


class Agents:
    """The registry of attached agents. One event loop owns it."""

    def __init__(self, node_user: str, *listeners: AgentsListener) -> None:
        self._node_user = node_user
        self._listeners = listeners
        self._agents: dict[UUID, AttachedAgent] = {}

    def attached(self) -> tuple[AttachedAgent, ...]:
        """Return the agents that are attached now, in the order they came."""
        return tuple(self._agents.values())

    @contextmanager
    def attach(
        self,
        *,
        name: str,
        user: str,
        pid: int,
        capabilities: tuple[str, ...],
        rooms: tuple[RoomName, ...] = (),
    ) -> Iterator[AttachedAgent]:
        """Show an agent to the rooms until the block ends.

        Raises:
            InvalidInput: a name is empty or too long, or there are too many capabilities.
            Busy: no more agents can attach.
        """
        if not name:
            raise InvalidInput("the agent has no name; set BUDDIES_AGENT")
        for field, text in (
            ("agent", name),
            ("user", user),
            *(("capability", c) for c in capabilities),
        ):
            if len(text.encode()) > NAME_BYTES_MAX:
                raise InvalidInput(f"{field} {text[:20]!r}… is longer than {NAME_BYTES_MAX} bytes")
        if len(capabilities) > CAPABILITIES_MAX:
            raise InvalidInput(f"an agent can have at most {CAPABILITIES_MAX} capabilities")
        if len(self._agents) >= AGENTS_MAX:
            raise Busy(f"{AGENTS_MAX} agents are attached, which is the most; end one of them")
        agent = AttachedAgent(
            id=uuid.uuid4(),
            name=name,
            user="" if user == self._node_user else user,
            pid=pid,
            capabilities=capabilities,
        )
        self._agents[agent.id] = agent
        log.info("agent_attached agent=%s name=%s pid=%d", agent.id, name, pid)
        try:
            presence = AgentPresence(name=name, user=agent.user, capabilities=capabilities)
            for listener in self._listeners:
                listener.agent_attached(agent.id, presence, rooms)
            yield agent
        finally:
            del self._agents[agent.id]
            log.info("agent_detached agent=%s name=%s", agent.id, name)
            for listener in self._listeners:
                listener.agent_detached(agent.id)

    def caller(self, context: ServicerContext[Any, Any]) -> AttachedAgent | None:
        """Return the agent that makes this call; None for a person at a terminal.

        Raises:
            NotAttached: it names an agent that is not attached.
        """
        for key, value in context.invocation_metadata() or ():
            if key == AGENT_METADATA:
                agent = self._agents.get(arguments.agent_id(str(value)))
                if agent is None:
                    raise NotAttached(
                        "this agent is not attached to the daemon, which was restarted just now; "
                        "call again"
                    )
                return agent
        return None
