"""A question about skills, what it finds, and what each member says to it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from buddies_core.finding.embedder import Vectors
from buddies_core.model.ids import EndpointId
from buddies_core.model.room import Member
from buddies_core.model.skill import Skill, SkillHead, SkillKey, Vote, prevails
from buddies_core.model.views import PeerAnswer, PeerSilence

RELEVANCE_MAX = 1.5
"""Of the engine's scale, which is the same at every node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, here and there."""

    query: str
    vector: Vectors | None
    tags: tuple[str, ...]
    limit: int
    asked_at_s: float
    timeout_s: float

    def left_s(self, now_s: float) -> float:
        """Return how much of its time is left."""
        return max(0.0, self.asked_at_s + self.timeout_s - now_s)

    def elapsed_ms(self, now_s: float) -> int:
        """Return how much of its time is over."""
        return round((now_s - self.asked_at_s) * 1000)


@dataclass(slots=True)
class Findings:
    """What the answers to one question hold: each skill once."""

    skills: dict[SkillKey, Skill | SkillHead] = field(default_factory=dict)
    relevance: dict[SkillKey, float] = field(default_factory=dict)
    votes: dict[SkillKey, dict[bytes, Vote]] = field(default_factory=dict)
    """By proof, those that are not on disk here."""

    def add(self, skill: Skill | SkillHead, relevance: float, votes: Sequence[Vote] = ()) -> None:
        """Take in a skill; of several copies the best is kept, one with a checked hash first."""
        known = self.skills.get(skill.key)
        if known is None or (
            prevails(skill, known) if skill.truncated == known.truncated else known.truncated
        ):
            self.skills[skill.key] = skill
        self.relevance[skill.key] = max(relevance, self.relevance.get(skill.key, 0.0))
        self.votes.setdefault(skill.key, {}).update((vote.proof, vote) for vote in votes)


@dataclass(slots=True)
class Heard:
    """What the members of all rooms said. Of a 0.1.4 member the endpoint may not be known."""

    answered: dict[tuple[EndpointId, str], PeerAnswer] = field(default_factory=dict)
    silent: dict[tuple[EndpointId, str], PeerSilence] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def answer(self, member: Member, results: int, elapsed_ms: int) -> None:
        """Note that a member has answered for one room."""
        known = self.answered.get((member.endpoint, member.name))
        self.answered[member.endpoint, member.name] = PeerAnswer(
            endpoint=member.endpoint,
            name=member.name,
            results=results + (known.results if known else 0),
            elapsed_ms=elapsed_ms,
        )

    def silence(self, member: Member, reason: str) -> None:
        """Note that a member has not answered for one room, and why."""
        self.silent[member.endpoint, member.name] = PeerSilence(
            endpoint=member.endpoint, name=member.name, reason=reason
        )

    def answers(self) -> tuple[PeerAnswer, ...]:
        """Return who answered; who was silent in one of its rooms did not."""
        return tuple(answer for key, answer in self.answered.items() if key not in self.silent)

    def silences(self) -> tuple[PeerSilence, ...]:
        """Return who did not answer."""
        return tuple(self.silent.values())


def credible(relevance: float) -> float:
    """Return a relevance that a peer claims, within what there can be."""
    return min(max(relevance, 0.0), RELEVANCE_MAX) if math.isfinite(relevance) else 0.0
