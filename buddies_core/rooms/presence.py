"""Who is in a room now, from what peers say of themselves. Pure: time comes in with each call.

A peer is present while its Presence is fresh. Names are for display: two members may share one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from buddies_core.model.address import AddressInfo
from buddies_core.model.bodies import AgentPresence, Presence
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.room import Member

PRESENCE_LASTS_S = 90.0
"""Three presences of 30 s may get lost."""
MEMBERS_MAX = 4096
"""Of one room; a newcomer beyond it is not listed. Bounds what a stranger can make us keep."""
STAMPS_MAX = 2 * MEMBERS_MAX
"""So many peers, present or gone, are remembered with the time of what they said last. Then the
oldest is forgotten; its mark on disk is not."""
AGENTS_SHOWN_MAX = 64
"""Of one member; so many can attach to its node."""
AGENTS_BYTES_MAX = 3000
"""Of a broadcast's 4057, with the binding; the rest is for name, addresses and the trailer."""
STATUS_CHARS_MAX = 400
NAME_CHARS_MAX = 64
"""Of a peer's display name; ours has no more, others may claim 4,000 in each result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known of a present member."""

    member: Member
    until_s: float
    proof: bytes = b""
    address: AddressInfo | None = None
    heard_s: float = 0.0


def fit_presence(presence: Presence) -> Presence:
    """Return it with so many agents, and so much of their statuses, as one broadcast can carry."""
    agents = presence.agents
    bytes_max = AGENTS_BYTES_MAX - (presence.binding.size if presence.binding else 0)
    for status_chars in (STATUS_CHARS_MAX, STATUS_CHARS_MAX // 4, 0):
        agents = tuple(replace(agent, status=agent.status[:status_chars]) for agent in agents)
        if sum(map(_weight, agents)) <= bytes_max:
            return replace(presence, agents=agents)
    while sum(map(_weight, agents)) > bytes_max:
        agents = agents[:-1]
    return replace(presence, agents=agents)


def by_name(members: Iterable[Member]) -> tuple[Member, ...]:
    """Return them in the order in which members are shown."""
    return tuple(sorted(members, key=lambda member: (member.name.casefold(), member.endpoint)))


def _weight(agent: AgentPresence) -> int:
    """Return an upper bound of an agent's bytes on the wire."""
    texts = (agent.name, agent.user, agent.status, *agent.capabilities)
    return 16 + sum(len(text.encode()) + 3 for text in texts)


class Presences:
    """The present members of one room, this node not among them."""

    def __init__(self) -> None:
        self._peers: dict[EndpointId, Heard] = {}
        self._newest_ms: dict[EndpointId, int] = {}

    def heard(
        self,
        endpoint: EndpointId,
        presence: Presence,
        *,
        sent_at_ms: int,
        proof: bytes,
        address: AddressInfo | None,
        now_s: float,
        wall_ms: int,
        age_s: float = 0.0,
    ) -> bool:
        """Take in a presence, and say whether it is newer than what was known of this peer.

        `age_s` is how long ago somebody else heard it, for a copy.
        """
        if sent_at_ms <= self._newest_ms.get(endpoint, -1) or age_s >= PRESENCE_LASTS_S:
            return False
        if endpoint not in self._peers and len(self._peers) >= MEMBERS_MAX:
            return False
        self._stamp(endpoint, sent_at_ms)
        self._peers[endpoint] = Heard(
            member=Member(
                endpoint=endpoint,
                name=presence.name[:NAME_CHARS_MAX] or short(endpoint),
                agents=presence.agents[:AGENTS_SHOWN_MAX],
                heard_at_ms=wall_ms - int(age_s * 1000),
            ),
            until_s=now_s - age_s + PRESENCE_LASTS_S,
            proof=proof,
            address=address,
            heard_s=now_s - age_s,
        )
        return True

    def left(self, endpoint: EndpointId, sent_at_ms: int) -> bool:
        """Take in a Leave, and say whether the peer was present and has gone by it."""
        if sent_at_ms <= self._newest_ms.get(endpoint, -1):
            return False
        self._stamp(endpoint, sent_at_ms)
        return self._peers.pop(endpoint, None) is not None

    def forget(self, endpoint: EndpointId) -> None:
        """Have a peer here no more, whatever it says of itself."""
        self._peers.pop(endpoint, None)

    def _stamp(self, endpoint: EndpointId, sent_at_ms: int) -> None:
        self._newest_ms.pop(endpoint, None)
        self._newest_ms[endpoint] = sent_at_ms
        if len(self._newest_ms) > STAMPS_MAX:
            del self._newest_ms[next(iter(self._newest_ms))]

    def status(self, endpoint: EndpointId, agent: str, text: str, sent_at_ms: int) -> None:
        """Take in what an agent of a present peer is doing, unless something newer is known."""
        heard = self._peers.get(endpoint)
        if heard is None:
            return
        agents = {known.name: known for known in heard.member.agents}
        if agent not in agents and len(agents) >= AGENTS_SHOWN_MAX:
            return
        known = agents.get(agent, AgentPresence(name=agent))
        if sent_at_ms > known.status_at_ms:
            agents[agent] = replace(known, status=text, status_at_ms=sent_at_ms)
            member = replace(heard.member, agents=tuple(agents.values()))
            self._peers[endpoint] = replace(heard, member=member)

    def expire(self, now_s: float) -> tuple[EndpointId, ...]:
        """Forget the peers that were silent for too long, and name them."""
        silent = tuple(peer for peer, heard in self._peers.items() if heard.until_s <= now_s)
        for peer in silent:
            del self._peers[peer]
        return silent

    def members(self) -> tuple[Member, ...]:
        """Return everyone present, sorted by name."""
        return by_name(heard.member for heard in self._peers.values())

    def present(self) -> tuple[EndpointId, ...]:
        """Return the present peers that speak the direct protocol."""
        return tuple(self._peers)

    def copies(self, now_s: float) -> tuple[tuple[bytes, float], ...]:
        """Return each present peer's presence as received and its age in seconds, newest first."""
        newest_first = sorted(self._peers.values(), key=lambda heard: -heard.heard_s)
        return tuple((heard.proof, now_s - heard.heard_s) for heard in newest_first)

    def has(self, endpoint: EndpointId) -> bool:
        """Whether this peer of ours is present."""
        return endpoint in self._peers

    def name_of(self, endpoint: EndpointId) -> str | None:
        """Return the display name of a present peer."""
        heard = self._peers.get(endpoint)
        return heard.member.name if heard else None
