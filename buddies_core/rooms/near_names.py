"""Whether the name of one room may be a typing error for another's. Pure."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_SLIP_CHARS_MIN = 4
"""In a shorter word a different letter is not a slip: room a is not room b, nor is v1 v2."""


def looks_like(name: str, other: str) -> bool:
    """Return whether two different names differ in case, in marks between words, or by one slip.

    A slip is one added, missing or wrong letter in a word, or two swapped; digits do not count.
    """
    words, others = _words(name), _words(other)
    one, two = "".join(words), "".join(others)
    if not one or name == other:
        return False
    if one == two:
        return True
    if len(words) != len(others):
        return False
    differing = [pair for pair in zip(words, others, strict=True) if pair[0] != pair[1]]
    return len(differing) == 1 and _is_slip(*differing[0])


def _words(name: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", name).casefold())


def _is_slip(word: str, other: str) -> bool:
    if min(len(word), len(other)) < _SLIP_CHARS_MIN:
        return False
    start = 0
    while word[start : start + 1] == other[start : start + 1] != "":
        start += 1
    word, other = word[start:], other[start:]
    while word and other and word[-1] == other[-1]:
        word, other = word[:-1], other[:-1]
    if any(char.isdigit() for char in word + other):
        return False
    is_swapped = len(word) == 2 and word == other[::-1]
    return is_swapped or max(len(word), len(other)) <= 1
