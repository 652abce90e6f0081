"""The part of a text that answers a question, as it is shown. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum

WEAK_BELOW = 0.25
"""A result with a lower score is no more than a guess. No threshold is sharp: 26 of 30 questions
without an answer find nothing better, nor do 13 of 67 paraphrases that have one."""


class Why(StrEnum):
    """How a hit was found."""

    WORDS = "words"
    MEANING = "meaning"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A part of a text, with the words of the question marked."""

    text: str
    start: int
    """The offset in the whole text at which the excerpt begins, in characters."""
    passage: tuple[int, int]
    """The position of the best passage in `text`: from, to."""
    marks: tuple[tuple[int, int], ...]
    """The positions of the question's words in `text`: from, to, in order."""
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Why a search found something, and how the part of its text that is shown fits in."""

    score: float
    """Relevance, from 0 to 1.5; for a skill, weighted by votes. It means the same at every node."""
    why: Why
    age: str
    """The item's age, in words."""
    offset: int
    """The offset in the whole text at which the shown part begins, in characters."""
    passage: tuple[int, int]
    """The position of the best passage in the shown part: from, to."""
    marks: tuple[tuple[int, int], ...]
    """The positions of the question's words in the shown part: from, to, in order."""

    @property
    def weak(self) -> bool:
        """Whether the result may well have nothing to do with the question."""
        return self.score < WEAK_BELOW

    def cut(self, start: int, end: int) -> "Match":
        """Return this match for a smaller part of the shown part."""
        marks = (_within(mark, start, end) for mark in self.marks)
        return replace(
            self,
            offset=self.offset + start,
            passage=_within(self.passage, start, end),
            marks=tuple((first, last) for first, last in marks if first < last),
        )


def shorter(text: str, match: Match | None, chars: int) -> tuple[str, Match | None]:
    """Return at most `chars` characters of a shown text: around its best passage, or the first.

    The result begins with a whole word.
    """
    if len(text) <= chars:
        return text, match
    if match is None:
        return text[:chars], None
    best_at, end = match.passage
    focus = next((first for first, _ in match.marks if best_at <= first < end), best_at)
    start = max(0, min(focus - chars // 4, len(text) - chars))
    if start and not text[start - 1].isspace():
        start = max(start, text.find(" ", start, focus) + 1)
    return text[start : start + chars], match.cut(start, start + chars)


def _within(span: tuple[int, int], start: int, end: int) -> tuple[int, int]:
    first, last = (min(max(at, start), end) - start for at in span)
    return first, last
