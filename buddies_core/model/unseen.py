"""Finds characters that people can't see but agents read. Pure.

Instructions can hide in them: letters of the tags block, bytes as variation selectors, text that
bidirectional controls show in another order. Characters that a script or an emoji needs are let
through, but only where it needs them.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

KINDS_SHOWN_MAX = 5
COUNTED_MAX = 1000
"""The most such characters counted; a text with that many needs no exact figure."""
# Not these: ASCII, and the letters and signs that long texts of other languages are full of.
_SUSPECTS = re.compile(
    "[^\\x20-\\x7e\\t\\n\\r\u00c0-\u024f\u0400-\u0481\u2010-\u2027\u3001-\u3029\u3041-\u3096"
    "\u30a1-\u30fa\u4e00-\u9ffc\uac00-\ud7a3]"
)
_UNSEEN_CATEGORIES = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
# Default_Ignorable_Code_Point (Unicode 16, DerivedCoreProperties.txt) beyond those categories:
# a joiner, fillers of Hangul, vowels of Khmer, selectors; then two signs that are blank.
_UNSEEN_OTHERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0000-\U000e0fff\u2800\U0001d159]"
)
# Assigned in a later Unicode than Python's, or to be: emoji (they are all Extended_Pictographic)
# and ideographs. They look like something.
_EMOJI = re.compile("[\U0001f000-\U0001faff]")
_IDEOGRAPHS = re.compile("[\U00020000-\U0002fffd\U00030000-\U0003fffd]")
_STYLES = ("\ufe0e", "\ufe0f")
_KEYCAP = "\u20e3"
_KEYS = frozenset("#*0123456789")
_EMOJI_AMONG_OTHERS = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u3030\u303d\u3297\u3299"
_VIRAMA = 9
"""The combining class of the signs that silence a vowel."""
_CURSIVE = ("ARABIC ", "SYRIAC ", "MONGOLIAN ", "NKO ", "PHAGS-PA ", "MANDAIC ")


@dataclass(frozen=True, slots=True)
class Unseen:
    """A character that can't be seen, in a text."""

    char: str
    line: int
    column: int
    """The line and the column both count from 1."""

    @property
    def name(self) -> str:
        """Its name and its code, `ZERO WIDTH SPACE (U+200B)`."""
        named = unicodedata.name(self.char, "") or {
            "Cc": "control character",
            "Co": "private use",
        }.get(unicodedata.category(self.char), "unassigned")
        return f"{named} (U+{ord(self.char):04X})"


def find_unseen(text: str) -> Iterator[Unseen]:
    """Yield the characters of a text that can't be seen, in order."""
    line, line_start, counted = 1, 0, 0
    for match in _SUSPECTS.finditer(text):
        at = match.start()
        if not _is_unseen(text, at):
            continue
        if newlines := text.count("\n", counted, at):
            line += newlines
            line_start = text.rindex("\n", counted, at) + 1
        counted = at
        yield Unseen(match[0], line, at - line_start + 1)


def without_unseen(text: str) -> str:
    """Return the text without the characters that can't be seen."""
    return "".join(char for at, char in enumerate(text) if not _is_unseen(text, at))


def trimmed(text: str) -> str:
    """Return the text without the white space and the unseen characters around it."""
    seen = [at for at, char in enumerate(text) if not (char.isspace() or _is_unseen(text, at))]
    return text[seen[0] : seen[-1] + 1] if seen else ""


def describe_unseen(text: str) -> str:
    """Return how many characters of the text can't be seen, which, and where; empty if none."""
    found = list(islice(find_unseen(text), COUNTED_MAX))
    if not found:
        return ""
    firsts: dict[str, Unseen] = {}
    for one in found:
        firsts.setdefault(one.char, one)
    shown = [
        f"{one.name} in line {one.line}, column {one.column}"
        for one in list(firsts.values())[:KINDS_SHOWN_MAX]
    ]
    if len(firsts) > KINDS_SHOWN_MAX:
        shown.append(f"{len(firsts) - KINDS_SHOWN_MAX} more kinds")
    count = f"{len(found)} character{'s' if len(found) > 1 else ''}"
    if len(found) == COUNTED_MAX:
        count = f"at least {count}"
    return f"{count} that can't be seen, and an agent reads: {'; '.join(shown)}"


def _is_unseen(text: str, at: int) -> bool:
    char = text[at]
    if char in "\t\n\r":
        return False
    if _UNSEEN_OTHERS.match(char) is None:
        category = unicodedata.category(char)
        if category not in _UNSEEN_CATEGORIES:
            return False
        if category == "Cn" and (_EMOJI.match(char) or _IDEOGRAPHS.match(char)):
            return False
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    match char:
        case "\ufe0e" | "\ufe0f":  # text style, emoji style
            in_keycap = before in _KEYS and after == _KEYCAP
            return not (in_keycap or _is_emoji(before))
        case "\u200d":  # joiner
            base = text[at - 2 : at - 1] if before in _STYLES else before
            return not (_is_emoji(base) and _is_emoji(after)) and not _needs_joiner(before, after)
        case "\u200c":  # non-joiner
            return not _needs_joiner(before, after)
        case _:
            return True


def _is_emoji(char: str) -> bool:
    """Return whether a style or a joiner may follow; Python only knows that it is a symbol."""
    if not char:
        return False
    if char in _EMOJI_AMONG_OTHERS or _EMOJI.match(char):
        return True
    return char >= "\u2190" and unicodedata.category(char) in ("So", "Sm", "Sk")


def _needs_joiner(before: str, after: str) -> bool:
    """Return whether the script needs a joiner: after a virama or in cursive script (RFC 5892)."""
    if not before or not after:
        return False
    if unicodedata.combining(before) == _VIRAMA:
        return True
    return all(unicodedata.name(char, "").startswith(_CURSIVE) for char in (before, after))
