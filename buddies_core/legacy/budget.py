"""Limits what 0.1.4 peers may cost this node. Pure: each call is given the time.

Nobody can prove who wrote a message without a trailer, so it is charged to the neighbor that
delivered it. Each neighbor has a limit, and so do all of them together, because a stranger can fill
every neighbor's place. Anything over the budget is dropped.
"""

from dataclasses import dataclass

from buddies_core.model.bodies import SkillPublished, SkillSearchResponse
from buddies_core.model.identity import GpgIdentity
from buddies_core.model.ids import EndpointId
from buddies_core.net.rates import PeerRates
from buddies_core.wire.room_messages import RoomMessage

_ALL = EndpointId(b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Up to `burst` at once after a pause, then `per_s` a second."""

    per_s: float
    burst: float


MESSAGES = Rate(per_s=150.0, burst=1500.0)
MESSAGES_OF_NEIGHBOR = Rate(per_s=50.0, burst=500.0)
"""Any message takes this node's time, and a memory also takes space on disk."""
SIGNATURES = Rate(per_s=10.0, burst=40.0)
SIGNATURES_OF_NEIGHBOR = Rate(per_s=5.0, burst=20.0)
"""Signatures that gpg checks; each check takes a process."""
ANSWERS = Rate(per_s=5.0, burst=20.0)
ANSWERS_OF_NEIGHBOR = Rate(per_s=2.0, burst=10.0)
"""Answers to searches and newcomers. Each is a broadcast, which costs every member, and the model
takes 4 ms for a query."""
KEPT = Rate(per_s=0.2, burst=2000.0)
KEPT_OF_NEIGHBOR = Rate(per_s=1 / 30, burst=1000.0)
"""Memories and skills, which stay on disk for good, at most 4 KB each. An agent stores some dozens
a day; at worst they take 8 MB at once, and then 80 MB a day."""


class _Share:
    """The budget for one thing: of each neighbor, and of all together."""

    def __init__(self, total: Rate, of_neighbor: Rate) -> None:
        self._total = PeerRates(total.per_s, total.burst)
        self._of_neighbor = PeerRates(of_neighbor.per_s, of_neighbor.burst)

    def take(self, neighbor: EndpointId, now_s: float) -> bool:
        """Take one for the neighbor; take nothing and return False if a limit is used up."""
        if self._total.is_used_up(_ALL, now_s):
            return False
        return self._of_neighbor.take(neighbor, now_s) and self._total.take(_ALL, now_s)


class Budget:
    """The single budget for all messages of 0.1.4 peers; it remembers 4,096 neighbors."""

    def __init__(self) -> None:
        self._messages = _Share(MESSAGES, MESSAGES_OF_NEIGHBOR)
        self._signatures = _Share(SIGNATURES, SIGNATURES_OF_NEIGHBOR)
        self._answers = _Share(ANSWERS, ANSWERS_OF_NEIGHBOR)
        self._kept = _Share(KEPT, KEPT_OF_NEIGHBOR)

    def take_message(self, neighbor: EndpointId, now_s: float) -> bool:
        """Return whether a message that this neighbor delivered may be read."""
        return self._messages.take(neighbor, now_s)

    def take_signatures(self, message: RoomMessage, neighbor: EndpointId, now_s: float) -> bool:
        """Return whether the signatures in a message may be checked.

        Signatures by SSH keys are covered by the message's own budget: checking one takes 0.1 ms.
        """
        return all(self._signatures.take(neighbor, now_s) for _ in range(_by_gpg(message)))

    def take_answer(self, neighbor: EndpointId, now_s: float) -> bool:
        """Return whether a message that this neighbor delivered may be answered."""
        return self._answers.take(neighbor, now_s)

    def take_place(self, neighbor: EndpointId, now_s: float) -> bool:
        """Return whether something that this neighbor delivered may be kept on disk."""
        return self._kept.take(neighbor, now_s)


def _by_gpg(message: RoomMessage) -> int:
    """Return how many signatures of a message gpg would have to check."""
    signers = [message.signed_by]
    match message.body:
        case SkillPublished(entry):
            signers.append(entry.signed_by)
        case SkillSearchResponse(results=results):
            signers += [ranked.entry.signed_by for ranked in results]
        case _:
            pass
    return sum(isinstance(signer, GpgIdentity) for signer in signers)
