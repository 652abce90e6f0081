"""The present members of a room, from peers' own messages. Pure: each call is given the time.

A peer is present while its Presence is fresh. Names are for display: two members may share one.
"""

import heapq
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace

from buddies_core.model.address import AddressInfo
from buddies_core.model.bodies import AgentPresence, Presence
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.provenance import Provenance
from buddies_core.model.room import Member

PRESENCE_LASTS_S = 90.0
"""Three presences, sent every 30 s, may get lost."""
MEMBERS_MAX = 4096
"""The most members listed for one room. Another one replaces the member of the lowest standing."""
MEMBERS_PER_NEIGHBOR_MAX = MEMBERS_MAX // 4
"""The most members that one neighbor may bring in. It may be the only path to half of the room."""
LEAVES_MAX = 2 * MEMBERS_MAX
"""The most peers remembered with the time at which they left, so that an older presence does not
bring them back. The mark on disk of a known peer is not forgotten."""
AGENTS_SHOWN_MAX = 64
"""The most agents shown for one member; as many can attach to its node."""
AGENTS_BYTES_MAX = 3000
"""Agents and binding, of a broadcast's 4057; the rest is for name, addresses and the trailer."""
_WEIGHT_MIN = 16
"""An upper bound of the bytes an agent takes on the wire apart from its texts."""
STATUS_CHARS_MAX = 400
NAME_CHARS_MAX = 64
"""Limit of a peer's display name; ours has no more, others may claim 4,000 in each result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known about a present member."""

    member: Member
    until_s: float
    sent_at_ms: int = 0
    proof: bytes = b""
    address: AddressInfo | None = None
    heard_s: float = 0.0


def fit_presence(presence: Presence) -> Presence:
    """Return the presence, with its agents and statuses cut to fit into one broadcast."""
    agents = presence.agents[: AGENTS_BYTES_MAX // _WEIGHT_MIN]  # more never fit
    bytes_max = AGENTS_BYTES_MAX - (presence.binding.size if presence.binding else 0)
    bytes_max = max(0, bytes_max - sum(len(it) + 3 for it in presence.sponsorships))
    for status_chars in (STATUS_CHARS_MAX, STATUS_CHARS_MAX // 4, 0):
        agents = tuple(replace(agent, status=agent.status[:status_chars]) for agent in agents)
        if sum(map(_weight, agents)) <= bytes_max:
            return replace(presence, agents=agents)
    weights = itertools.accumulate(map(_weight, agents))
    fitting = sum(1 for _ in itertools.takewhile(lambda weight: weight <= bytes_max, weights))
    return replace(presence, agents=agents[:fitting])


def by_name(members: Iterable[Member]) -> tuple[Member, ...]:
    """Return the members in the order in which they are shown."""
    return tuple(sorted(members, key=lambda member: (member.name.casefold(), member.endpoint)))


def _weight(agent: AgentPresence) -> int:
    """Return an upper bound of an agent's bytes on the wire."""
    texts = (agent.name, agent.user, agent.status, *agent.capabilities)
    return _WEIGHT_MIN + sum(len(text.encode()) + 3 for text in texts)


class Presences:
    """The present members of one room, except this node."""

    def __init__(self) -> None:
        self._peers: dict[EndpointId, Heard] = {}
        self._places: Provenance[EndpointId] = Provenance(MEMBERS_MAX, MEMBERS_PER_NEIGHBOR_MAX)
        self._left_at_ms: dict[EndpointId, int] = {}

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
        standing: int = 0,
        told_by: EndpointId | None = None,
    ) -> bool:
        """Process a presence, and return whether it is newer than what was known of this peer.

        For a copy, `age_s` is how long ago another peer heard it. `told_by` delivered it.
        """
        if not self.is_news(endpoint, sent_at_ms, age_s):
            return False
        gone = self._places.admit(endpoint, standing, told_by)
        for peer in gone:
            self._peers.pop(peer, None)
        if endpoint in gone:
            return False
        self._left_at_ms.pop(endpoint, None)
        self._peers[endpoint] = Heard(
            member=Member(
                endpoint=endpoint,
                name=presence.name[:NAME_CHARS_MAX] or short(endpoint),
                agents=presence.agents[:AGENTS_SHOWN_MAX],
                heard_at_ms=wall_ms - int(age_s * 1000),
            ),
            until_s=now_s - age_s + PRESENCE_LASTS_S,
            sent_at_ms=sent_at_ms,
            proof=proof,
            address=address,
            heard_s=now_s - age_s,
        )
        return True

    def is_news(self, endpoint: EndpointId, sent_at_ms: int, age_s: float) -> bool:
        """Return whether a presence is newer than what is known of the peer, and still counts."""
        return sent_at_ms > self._newest_ms(endpoint) and age_s < PRESENCE_LASTS_S

    def left(self, endpoint: EndpointId, sent_at_ms: int) -> bool:
        """Process a Leave, and return whether it removed a present peer."""
        if sent_at_ms <= self._newest_ms(endpoint):
            return False
        self._left_at_ms.pop(endpoint, None)
        self._left_at_ms[endpoint] = sent_at_ms
        if len(self._left_at_ms) > LEAVES_MAX:
            del self._left_at_ms[next(iter(self._left_at_ms))]
        was_present = endpoint in self._peers
        self.forget(endpoint)
        return was_present

    def forget(self, endpoint: EndpointId) -> None:
        """Remove a peer, whatever its own presence says."""
        self._peers.pop(endpoint, None)
        self._places.forget(endpoint)

    def _newest_ms(self, endpoint: EndpointId) -> int:
        """Return when a peer sent the newest message remembered of it; -1 for none."""
        present = self._peers.get(endpoint)
        return present.sent_at_ms if present else self._left_at_ms.get(endpoint, -1)

    def status(self, endpoint: EndpointId, agent: str, text: str, sent_at_ms: int) -> None:
        """Record what an agent of a present peer is doing, unless a newer status is known."""
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
        """Forget the peers that were silent for too long, and return them."""
        silent = tuple(peer for peer, heard in self._peers.items() if heard.until_s <= now_s)
        for peer in silent:
            self.forget(peer)
        return silent

    def members(self) -> tuple[Member, ...]:
        """Return everyone present, sorted by name."""
        return by_name(heard.member for heard in self._peers.values())

    def present(self) -> tuple[EndpointId, ...]:
        """Return the present peers that speak the direct protocol."""
        return tuple(self._peers)

    def most_trusted(self, count: int) -> list[EndpointId]:
        """Return the present peers of the highest standing; among equals, those heard last."""

        def trust(peer: EndpointId) -> tuple[int, float]:
            return self._places.rank(peer) or 0, self._peers[peer].heard_s

        return heapq.nlargest(count, self._peers, key=trust)

    def copies(self, now_s: float, count: int) -> tuple[tuple[bytes, float], ...]:
        """Return the most trusted peers' presences as received, with their ages in seconds."""
        most = (self._peers[peer] for peer in self.most_trusted(count))
        return tuple((heard.proof, now_s - heard.heard_s) for heard in most)

    def has(self, endpoint: EndpointId) -> bool:
        """Whether this peer of ours is present."""
        return endpoint in self._peers

    def heard_s(self, endpoint: EndpointId) -> float | None:
        """Return when a present peer was heard last, in monotonic seconds."""
        heard = self._peers.get(endpoint)
        return heard.heard_s if heard else None

    def name_of(self, endpoint: EndpointId) -> str | None:
        """Return the display name of a present peer."""
        heard = self._peers.get(endpoint)
        return heard.member.name if heard else None
