"""Cuts a document's text into passages, each short enough for a single vector. Pure.

One vector for a long text would lose single facts, so a long text has many vectors: one for each
passage of 30 to 60 words, and one for each sentence. docs/search.md has the figures.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

VERSION = 2
"""Raised with each change to how passages are cut, so that all documents are indexed anew."""
EMBEDDED_MAX = 4000
"""The most passages to embed, about as many as 1 MiB has. The rest is found by its words only."""

_WORDS_MIN = 30
_WORDS_MAX = 60
_SENTENCE_MIN = 4
_WORD_CHARS_MAX = 128
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_MARK = "\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f"
_WORD = re.compile(rf"[^\s{_MARK}]{{1,{_WORD_CHARS_MAX}}}[{_MARK}]*|[{_MARK}]+")
"""Text between spaces or Chinese or Japanese marks, cut even if 100 kB have neither."""
_CHARACTER = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\ud7ff\uf900-\uffef]")
"""A character of a script in which two characters count as about one word."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document."""

    text: str
    """The text to embed: the title, a line end, and the part with single spaces."""
    start: int
    end: int
    """The part's place in the document's text, from `start` to `end`."""
    is_sentence: bool = False
    """Whether this is a sentence of an earlier passage, which has the same words."""


class _Part(NamedTuple):
    text: str
    start: int
    end: int
    size: int
    """The size in words of usual length."""


def passages(title: str, text: str) -> tuple[Passage, ...]:
    """Return passages: sentences joined into 30 to 60 words each; a short text is one passage.

    Each begins with the title, which often says what the sentences are about. A sentence of more
    than 60 words is cut between words. For a long text, its single sentences follow, without the
    title. The result is empty only if title and text are.
    """
    title = title.strip()
    sentences = list(_sentences(text))
    size = sum(sentence.size for sentence in sentences)
    groups = [sentences] if size <= _WORDS_MAX else list(_packed(sentences, _WORDS_MIN))
    made = [_passage(title, group) for group in groups if group]
    if len(groups) > 1:
        made += [
            Passage(it.text, it.start, it.end, is_sentence=True)
            for group in groups
            if len(group) > 1
            for it in group
            if it.size >= _SENTENCE_MIN
        ]
    return tuple(made) or ((Passage(title, 0, 0),) if title else ())


def _passage(title: str, group: list[_Part]) -> Passage:
    body = " ".join(part.text for part in group)
    said = body if body.startswith(title) else f"{title}\n{body}"
    return Passage(said, group[0].start, group[-1].end)


def _sentences(text: str) -> Iterator[_Part]:
    start = 0
    for end, after in chain(map(re.Match.span, _SENTENCE_END.finditer(text)), [(len(text),) * 2]):
        sentence = _part(text, start, end)
        if sentence.size > _WORDS_MAX:
            words = (_part(text, *match.span()) for match in _WORD.finditer(text, start, end))
            for group in _packed(words, _WORDS_MAX):
                body = " ".join(word.text for word in group)
                size = sum(word.size for word in group)
                yield _Part(body, group[0].start, group[-1].end, size)
        elif sentence.size:
            yield sentence
        start = after


def _packed(parts: Iterable[_Part], enough: int) -> Iterator[list[_Part]]:
    """Yield groups of parts of at least `enough` words if possible, never over `_WORDS_MAX`."""
    group: list[_Part] = []
    size = 0
    for part in parts:
        if group and size + part.size > _WORDS_MAX:
            yield group
            group, size = [], 0
        group.append(part)
        size += part.size
        if size >= enough:
            yield group
            group, size = [], 0
    if group:
        yield group


def _part(text: str, start: int, end: int) -> _Part:
    written = text[start:end]
    words = written.split()
    size = max(len(words), len(written) // 8)
    if not written.isascii():
        size += len(_CHARACTER.findall(written)) // 2
    inner = len(written) - len(written.lstrip())
    return _Part(
        " ".join(words), start + inner, start + len(written.rstrip()), size if words else 0
    )
