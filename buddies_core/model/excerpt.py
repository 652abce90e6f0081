"""The part of a text that answers a question, as it is shown."""

from dataclasses import dataclass
from enum import StrEnum


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
    marks: tuple[tuple[int, int], ...]
    """Where in `text` the question's words are: from, to, in order."""
    why: Why
