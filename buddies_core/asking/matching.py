"""Says why each result was found, and which part of its text to show."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from buddies_core.asking.question import Hit, ItemT
from buddies_core.finding.excerpts import excerpt
from buddies_core.model.excerpt import Match
from buddies_core.model.memory import SNIPPET_CHARS_MAX
from buddies_core.model.moments import age

TEXTS_CHARS_MAX = 400_000
"""All texts of one search that are looked through for their best passage. That takes some 0.2 s; of
a text that is longer its first part is, and of further ones the beginning is shown."""


class Entry(Protocol):
    """What a memory or a skill says."""

    @property
    def title(self) -> str:
        """Its title."""

    @property
    def content(self) -> str:
        """Its text, as much of it as is here."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags."""


async def matches(
    query: str,
    hits: Iterable[Hit[ItemT]],
    whole: Callable[[ItemT], Entry],
    now_s: float,
) -> list[tuple[str, Match]]:
    """Return for each hit the text to show and why it was found, made of what is here of it.

    What a member says of it is not used, but for the score and the number of a passage. `whole`
    is called in a thread.
    """

    def all_of_them() -> list[tuple[str, Match]]:
        made, chars_left = [], TEXTS_CHARS_MAX
        for hit in hits:
            entry = whole(hit.item)
            text = entry.content[: max(chars_left, SNIPPET_CHARS_MAX)]
            chars_left -= len(text)
            # The passages of a part have other numbers.
            is_whole = len(text) == len(entry.content) and not hit.item.truncated
            passage = hit.passage if is_whole else None
            made.append(_match(query, replace(hit, passage=passage), entry, text, now_s))
        return made

    return await asyncio.to_thread(all_of_them)


def _match(query: str, hit: Hit[ItemT], entry: Entry, text: str, now_s: float) -> tuple[str, Match]:
    shown = excerpt(
        query, entry.title, text, entry.tags, hit.score, SNIPPET_CHARS_MAX, passage=hit.passage
    )
    return shown.text, Match(
        score=hit.score,
        why=shown.why,
        age=age(hit.item.at_s, now_s),
        offset=shown.start,
        passage=shown.passage,
        marks=shown.marks,
    )
