"""The parts of texts that lists and searches show to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buddies_cli import terminal
from buddies_core.model.excerpt import Why, shorter

if TYPE_CHECKING:
    from buddies_core.model.excerpt import Match

SNIPPET_CHARS = 300

_WHY = {Why.WORDS: "words", Why.MEANING: "meaning", Why.BOTH: "words and meaning"}


def snippet(title: str, content: str, match: Match | None) -> str:
    """Return the beginning of a content without its title, or the part that a search found.

    The words of the question stand out in it, and … stands for what is left out.
    """
    is_beginning = match is None or match.offset == 0
    if is_beginning:
        begin = len(content) - len(content.removeprefix(title).lstrip())
        match = match and match.cut(begin, len(content))
        content = content[begin:]
    content = content.rstrip()
    text, shown = shorter(content, match, SNIPPET_CHARS)
    start = shown.offset - match.offset if shown and match else 0
    before = "" if is_beginning and start == 0 else "…"
    after = "" if start + len(text) == len(content) else "…"
    styled, end = "", 0
    for first, last in shown.marks if shown else ():
        styled += terminal.plain(text[end:first]) + terminal.bold(terminal.plain(text[first:last]))
        end = last
    return terminal.indented(f"{before}{styled}{terminal.plain(text[end:])}{after}")


def origin(match: Match | None) -> str:
    """Return in a line why a search found something; nothing if none has."""
    if match is None:
        return ""
    doubt = "weak: it may be about something else; " if match.weak else ""
    return f"{match.age}; {doubt}found by {_WHY[match.why]}, score {match.score:.2f}"
