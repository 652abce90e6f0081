"""The score of a hit. Pure, and the same at every node.

A document has the score of its best passage, and the score of a passage is

    trust · max(cosine, 0) + ½ · coverage³          0 … 1.5

- The cosine is that of the vectors of the question and the passage, corrected for noise where a
  model finds any two texts similar.
- The coverage is the share of the question's words that the passage has. An ordinary English word
  counts 0.15, and any other counts 1: a name, an identifier, a word of another language.
- The trust is 1, or less if much of the question is in a script that the model doesn't know.

The score depends only on the question and the passage, not on any node's statistics. So the hits of
several nodes are merged by sorting, and it makes no difference which node holds a document. Small
changes to the constants make no difference either: docs/search.md has the figures.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RELEVANCE_MAX = 1.5
"""The score of a passage equal to the question: cosine 1, plus half of coverage 1."""
SHOWN_FROM = 0.1
"""A lower score is noise. With this limit, a question about something else finds one or two of 40
notes instead of fifteen, and no right answer among the first ten is lost (measured)."""
ORDINARY_WEIGHT = 0.15
PART_VALUE = 0.8
"""The value of having all parts of a compound, or a longer word that contains the question's."""
TRUST_MIN = 0.25


@dataclass(frozen=True, slots=True)
class Term:
    """A word of a question."""

    word: str
    """The word as it is indexed."""
    weight: float
    """1, or `ORDINARY_WEIGHT`."""
    parts: tuple[tuple[str, float], ...] = ()
    """The parts of a compound, each with the value of having it; the values add up to
    `PART_VALUE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question, as the word index and the score use it."""

    terms: tuple[Term, ...]
    """The question's terms, each once."""
    trust: float = 1.0
    """How much a cosine counts, from `TRUST_MIN` to 1."""

    @property
    def weight(self) -> float:
        """The sum of all terms' weights."""
        return sum(term.weight for term in self.terms)

    @property
    def fragment(self) -> str:
        """The text to look for inside longer words, if the question is one suitable word."""
        match self.terms:
            case (Term(word, _, ()),) if len(word) >= _FRAGMENT_CHARS_MIN:
                return word
            case _:
                return ""


_FRAGMENT_CHARS_MIN = 4


def trust(spaceless_share: float) -> float:
    """Return how much the cosine counts, given the question's share of scripts without spaces."""
    return max(TRUST_MIN, 1 - spaceless_share)


def value(term: Term, words: Container[str]) -> float:
    """Return how much of a term these words contain, from 0 to 1."""
    if term.word in words:
        return 1.0
    return sum(value for part, value in term.parts if part in words)


def coverage(question: Question, words: Container[str]) -> float:
    """Return the share of the question that these words contain, from 0 to 1."""
    if not question.terms:
        return 0.0
    return sum(term.weight * value(term, words) for term in question.terms) / question.weight


def words_part(coverage: float) -> float:
    """Return the part of a passage's score that comes from its words."""
    return float(coverage**3 / 2)


def relevance(
    cosines: NDArray[np.float32], coverage: NDArray[np.float32], trust: float
) -> NDArray[np.float32]:
    """Return the scores of passages."""
    return (trust * np.maximum(cosines, 0) + coverage**3 / 2).astype(np.float32)


def compound(word: str, weight: float, parts: Sequence[tuple[str, float]]) -> Term:
    """Return the term for a word made of parts that have their own weights."""
    whole = sum(weight for _, weight in parts)
    return Term(word, weight, tuple((part, PART_VALUE * each / whole) for part, each in parts))
