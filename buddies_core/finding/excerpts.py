"""Excerpts: the part of a hit's text that answers the question, and why it was found. Pure.

Only the text and the score are needed, so this also works for hits of other members.
"""

from collections.abc import Sequence

from buddies_core.finding.chunks import Passage, passages
from buddies_core.finding.ranking import SHOWN_FROM, Question, coverage, words_part
from buddies_core.finding.words import question, spans, words
from buddies_core.model.excerpt import Excerpt, Why


def excerpt(
    query: str,
    title: str,
    text: str,
    tags: Sequence[str],
    score: float,
    chars_max: int,
    *,
    passage: int | None = None,
) -> Excerpt:
    """Return up to `chars_max` characters around the best passage, and why it was found.

    100 kB take some 50 ms, so call this on a thread for a long text.

    Args:
        query: The question as it was asked.
        title: The document's title.
        text: As much of the document's text as is available.
        tags: The document's tags.
        score: The hit's score.
        chars_max: The most characters in the excerpt.
        passage: The number of the best passage, if this machine found it; without it, the passage
            with most of the question's words is used.
    """
    asked = question(query)
    made = passages(title, text) or (Passage("", 0, 0),)
    of_tags = words("\n".join(tags))
    if passage is None or passage >= len(made):
        covered = [_covered(asked, it, of_tags) for it in made if not it.is_sentence]
        passage = covered.index(max(covered))
    by_words = words_part(_covered(asked, made[passage], of_tags))
    start, end = _around(text, made[passage], chars_max)
    shown = text[start:end]
    return Excerpt(
        text=shown,
        start=start,
        passage=(max(made[passage].start, start) - start, min(made[passage].end, end) - start),
        marks=tuple(spans(shown, asked)),
        why=_why(by_words, score - by_words),
    )


def _covered(asked: Question, passage: Passage, of_tags: list[str]) -> float:
    return coverage(asked, {*words(passage.text), *of_tags})


def _why(by_words: float, by_meaning: float) -> Why:
    """Return BOTH if each part of the score alone would show the hit, else the greater part."""
    if min(by_words, by_meaning) >= SHOWN_FROM:
        return Why.BOTH
    return Why.WORDS if by_words > by_meaning else Why.MEANING


def _around(text: str, passage: Passage, chars_max: int) -> tuple[int, int]:
    """Return where to cut, between words: the passage, with about as much text on each side."""
    room = max(0, chars_max - (passage.end - passage.start))
    start = max(0, min(passage.start - room // 2, len(text) - chars_max))
    end = min(len(text), start + chars_max)
    if 0 < start < passage.start:
        start += _to_a_space(text[start - 1 : passage.start])
    if passage.end < end < len(text):
        end -= _to_a_space(text[passage.end : end + 1][::-1])
    return start, end


def _to_a_space(text: str) -> int:
    """Return the distance to the next space; 0 if there is none."""
    return next((at for at, character in enumerate(text) if character.isspace()), 0)
