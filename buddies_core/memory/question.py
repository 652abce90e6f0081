"""A question to the members of rooms, and what each of them says to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from buddies_core.errors import BuddiesError
from buddies_core.finding.embedder import Vectors
from buddies_core.model.ids import EndpointId
from buddies_core.model.memory import Memory, MemoryFilter
from buddies_core.model.room import Member
from buddies_core.model.views import PeerAnswer, PeerSilence

_REASON_CHARS_MAX = 200


def reason_of(error: BuddiesError) -> str:
    """Return why a peer gave nothing, in words that may be the peer's: cut short."""
    return str(error)[:_REASON_CHARS_MAX]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, here and there."""

    query: str
    vector: Vectors | None
    filter: MemoryFilter
    limit: int
    asked_at_s: float
    timeout_s: float

    def left_s(self, now_s: float) -> float:
        """Return how much of its time is left."""
        return max(0.0, self.asked_at_s + self.timeout_s - now_s)

    def elapsed_ms(self, now_s: float) -> int:
        """Return how much of its time is over."""
        return round((now_s - self.asked_at_s) * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a member said of one room; or, in `silence`, why it did not."""

    member: Member
    ranked: Sequence[tuple[Memory, float]] = ()
    elapsed_ms: int = 0
    lexical_only: bool = False
    silence: str = ""


def by_member(
    answers: Iterable[Answer],
) -> tuple[tuple[PeerAnswer, ...], tuple[PeerSilence, ...]]:
    """Return who answered and who did not. One that was silent in one of its rooms did not."""
    # Of a 0.1.4 member the endpoint may not be known.
    members: dict[tuple[EndpointId, str], list[Answer]] = {}
    for answer in answers:
        members.setdefault((answer.member.endpoint, answer.member.name), []).append(answer)
    answered: list[PeerAnswer] = []
    unanswered: list[PeerSilence] = []
    for (endpoint, name), said in members.items():
        reason = next((answer.silence for answer in said if answer.silence), None)
        if reason is not None:
            unanswered.append(PeerSilence(endpoint=endpoint, name=name, reason=reason))
            continue
        answered.append(
            PeerAnswer(
                endpoint=endpoint,
                name=name,
                results=sum(len(answer.ranked) for answer in said),
                elapsed_ms=max(answer.elapsed_ms for answer in said),
            )
        )
    return tuple(answered), tuple(unanswered)
