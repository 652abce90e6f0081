"""The parts of texts that lists and searches show to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buddies_cli import terminal
from buddies_cli.tables import Entry
from buddies_core.model.excerpt import Why, shorter
from buddies_core.model.identity import Verified

if TYPE_CHECKING:
    from buddies_core.model.excerpt import Match
    from buddies_core.model.skill_views import SkillView

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


def skill_entry(view: SkillView, *, body: bool = True) -> Entry:
    """Return a skill for a list of skills, or its heading alone."""
    author = f"{view.author_name} ({view.agent})" if view.agent else view.author_name
    how = {
        Verified.SIGNER: ", signed",
        Verified.PEER: ", not signed by a person",
        Verified.UNVERIFIED: ", unverified",
    }[view.verified]
    tags = f", tagged {', '.join(view.tags)}" if view.tags else ""
    apart = view.uncounted.up + view.uncounted.down
    uncounted = f" and {apart} that do not count" if apart else ""
    said = (
        f"version {view.version} in {view.room} by {author}{how},"
        f" {terminal.when(view.created_at_s * 1000)}{tags}"
    )
    votes = f"rank {view.votes.rank}: {view.votes.up} up, {view.votes.down} down{uncounted}"
    return Entry(
        title=view.title,
        lines=(said, votes, origin(view.match)),
        id=view.hash,
        body=snippet("", view.content, view.match) if body else "",
    )
