"""What a hit is worth. Pure, and the same at every node.

A document is worth its best passage, and a passage is worth

    trust · max(cosine, 0) + ½ · coverage³          0 … 1.5

- The cosine is that of the question and the passage, as the model embeds them, less the noise of a
  model that finds anything alike.
- The coverage is the share of the question's words that the passage has. An ordinary English word
  counts 0.15, and any other counts 1: a name, an identifier, a word of another language.
- The trust is 1, and less where much of the question is in a script that the model doesn't know.

No statistics of a node enter, only the question and the passage. So the hits of several nodes are
merged by sorting them, and it makes no difference which node holds a document. The constants lie on
a plateau: docs/search.md has the figures.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RELEVANCE_MAX = 1.5
"""The score of the question itself: cosine 1, and half of coverage 1."""
SHOWN_FROM = 0.1
"""Less is noise: of 40 notes, a question about something else then finds one or two instead of
fifteen, and no right answer among the first ten is lost (measured)."""
ORDINARY_WEIGHT = 0.15
PART_VALUE = 0.8
"""What a document has of a compound if it has all its parts, or of a word that contains another."""
TRUST_MIN = 0.25


@dataclass(frozen=True, slots=True)
class Term:
    """A word of a question."""

    word: str
    """As it is indexed."""
    weight: float
    """1, or `ORDINARY_WEIGHT`."""
    parts: tuple[tuple[str, float], ...] = ()
    """The words that a compound is made of, each with the value of having it; these add up to
    `PART_VALUE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question as the words half and the score see it."""

    terms: tuple[Term, ...]
    """Each once."""
    trust: float = 1.0
    """How much a cosine counts, from `TRUST_MIN` to 1."""

    @property
    def weight(self) -> float:
        """The sum of all terms' weights."""
        return sum(term.weight for term in self.terms)

    @property
    def fragment(self) -> str:
        """The text that a longer word may contain, if the question is one word that could be it."""
        match self.terms:
            case (Term(word, _, ()),) if len(word) >= _FRAGMENT_CHARS_MIN:
                return word
            case _:
                return ""


_FRAGMENT_CHARS_MIN = 4


def trust(spaceless_share: float) -> float:
    """Return how much the cosine of a question counts, so much of which has no spaces."""
    return max(TRUST_MIN, 1 - spaceless_share)


def value(term: Term, words: Container[str]) -> float:
    """Return how much of a term is among these words, from 0 to 1."""
    if term.word in words:
        return 1.0
    return sum(value for part, value in term.parts if part in words)


def coverage(question: Question, words: Container[str]) -> float:
    """Return the share of the question that is among these words, from 0 to 1."""
    if not question.terms:
        return 0.0
    return sum(term.weight * value(term, words) for term in question.terms) / question.weight


def words_part(coverage: float) -> float:
    """Return the part of a score that a passage owes to its words."""
    return float(coverage**3 / 2)


def relevance(
    cosines: NDArray[np.float32], coverage: NDArray[np.float32], trust: float
) -> NDArray[np.float32]:
    """Return what passages are worth."""
    return (trust * np.maximum(cosines, 0) + coverage**3 / 2).astype(np.float32)


def compound(word: str, weight: float, parts: Sequence[tuple[str, float]]) -> Term:
    """Return the term of a word that is made of others, which have weights of their own."""
    whole = sum(weight for _, weight in parts)
    return Term(word, weight, tuple((part, PART_VALUE * each / whole) for part, each in parts))
