"""The part of a text that answers a question, as it is shown. Pure."""

from dataclasses import dataclass, replace
from enum import StrEnum

WEAK_BELOW = 0.25
"""The score from which a result is more than a guess. No cut is sharp: 26 of 30 questions that
nothing answers find nothing better, but neither do 13 of 67 paraphrases whose answer is there."""


class Why(StrEnum):
    """What a hit was found by."""

    WORDS = "words"
    MEANING = "meaning"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A part of a text, with the words of the question marked."""

    text: str
    start: int
    """Where in the whole text it begins, in characters."""
    passage: tuple[int, int]
    """Where in `text` the best passage is: from, to."""
    marks: tuple[tuple[int, int], ...]
    """Where in `text` the question's words are: from, to, in order."""
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Why a search found something, and how the part of its text that is shown fits in."""

    score: float
    """Relevance, from 0 to 1.5; of a skill, as votes weigh it. It means the same at every node."""
    why: Why
    age: str
    """How long ago it was made, in words."""
    offset: int
    """Where in the whole text the shown part begins, in characters."""
    passage: tuple[int, int]
    """Where in the shown part the best passage is: from, to."""
    marks: tuple[tuple[int, int], ...]
    """Where in the shown part the question's words are: from, to, in order."""

    @property
    def weak(self) -> bool:
        """Whether it may well have nothing to do with the question."""
        return self.score < WEAK_BELOW

    def cut(self, start: int, end: int) -> "Match":
        """Return the same for a part of the shown part."""
        marks = (_within(mark, start, end) for mark in self.marks)
        return replace(
            self,
            offset=self.offset + start,
            passage=_within(self.passage, start, end),
            marks=tuple((first, last) for first, last in marks if first < last),
        )


def shorter(text: str, match: Match | None, chars: int) -> tuple[str, Match | None]:
    """Return at most so many characters of a shown text: around its best passage, or the first.

    They begin with a word.
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
