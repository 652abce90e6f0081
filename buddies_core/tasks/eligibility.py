"""Decides which agents may do a task, from the members' presence. Pure."""

from collections.abc import Iterable, Sequence

from buddies_core.errors import InvalidInput, NotFound
from buddies_core.model.bodies import AgentPresence
from buddies_core.model.ids import EndpointId, RoomName, short
from buddies_core.model.room import Member
from buddies_core.model.task import PERSON, TaskOrder, TaskTarget
from buddies_core.tasks.paths import agent_path

_ENDPOINT_HEX_CHARS = 64


def agent_may(
    order: TaskOrder, endpoint: EndpointId, agent: str, capabilities: Sequence[str]
) -> bool:
    """Whether the task is for this agent. No agent gets a task that came through it."""
    target = order.target
    return (
        target.peer in (None, endpoint)
        and target.agent in ("", agent)
        and (not target.capability or target.capability in capabilities)
        and agent_path(endpoint, agent) not in order.path
    )


def candidates(
    order: TaskOrder, rejected_by: Iterable[str], member: Member, local: Sequence[AgentPresence]
) -> tuple[str, ...]:
    """Return this member's agents that may be offered it, each as in a task's path.

    `local` are the agents of this node, with a person who is polling now; its member entry shows
    which of them are in the room. A peer that shows no agent may get one soon, so it counts as one
    agent without a name.
    """
    if not member.speaks_direct:
        return ()
    in_room = {agent.name for agent in member.agents}
    if member.is_self:
        agents = tuple(it for it in local if it.name in in_room or it.name == PERSON.agent)
    else:
        agents = tuple(it for it in member.agents if it.name != PERSON.agent)
    if not agents and not member.is_self and not (order.target.agent or order.target.capability):
        agents = (AgentPresence(name=""),)
    rejected = frozenset(rejected_by)
    able = (
        agent_path(member.endpoint, agent.name)
        for agent in agents
        if agent_may(order, member.endpoint, agent.name, agent.capabilities)
    )
    return tuple(path for path in able if path not in rejected)


def why_nobody(order: TaskOrder, members: Sequence[Member], local: Sequence[AgentPresence]) -> str:
    """Return why no present agent may do a task; empty if one may."""
    target, room = order.target, order.room
    if any(candidates(order, (), member, local) for member in members):
        return ""
    if target == TaskTarget() and not all(member.speaks_direct for member in members):
        return ""  # A 0.1.4 peer may take it.
    there = f"in room {room!r}"
    if target.peer is not None:
        if all(member.endpoint != target.peer for member in members):
            return f"peer {short(target.peer)} is not {there} now; the task waits for it"
        there = f"at peer {short(target.peer)}"
    agent = f"agent called {target.agent!r}" if target.agent else "agent"
    able = f" that can do {target.capability!r}" if target.capability else ""
    other = "other " if target.agent in ("", order.requester_agent) else ""
    return (
        f"no {other}{agent}{able} is {there} now; the task waits for one (get_room_status shows "
        "who is there)"
    )


def is_in_room(members: Sequence[Member], agent: str) -> bool:
    """Whether an agent of this node is in the room that has these members; a person always is."""
    mine = (member.agents for member in members if member.is_self)
    return agent == PERSON.agent or any(it.name == agent for agents in mine for it in agents)


def find_target(
    room: RoomName, members: Sequence[Member], peer: str, agent: str, capability: str
) -> TaskTarget:
    """Return the target of a task; `peer` is an endpoint id in hex or the name of a member.

    Raises:
        NotFound: nobody of that name is present.
        InvalidInput: several members have that name, or the member can't be asked directly.
    """
    return TaskTarget(
        peer=_find_peer(room, members, peer.strip()) if peer.strip() else None,
        agent=agent.strip(),
        capability=capability.strip(),
    )


def _find_peer(room: RoomName, members: Sequence[Member], peer: str) -> EndpointId:
    if len(peer) == _ENDPOINT_HEX_CHARS:
        try:
            return EndpointId(bytes.fromhex(peer))
        except ValueError:
            pass  # It may be a name.
    named = [member for member in members if member.name.casefold() == peer.casefold()]
    if not named:
        names = ", ".join(member.name for member in members)
        raise NotFound(
            f"no member of room {room!r} is called {peer!r}; present are: {names}. Name one of "
            "them, give an endpoint id in hex, or leave the peer out"
        )
    direct = [member for member in named if member.speaks_direct]
    if not direct:
        raise InvalidInput(
            f"{peer} runs buddies 0.1.4, which only takes tasks that are for everybody; leave the "
            "peer out"
        )
    if len(direct) > 1:
        ids = ", ".join(member.endpoint.hex() for member in direct)
        raise InvalidInput(f"{len(direct)} members are called {peer!r}; give one's id: {ids}")
    return direct[0].endpoint
