"""Cuts answers to what a model can take: nothing larger leaves the daemon.

An answer costs what the JSON of its tool costs; see `model.budget`. Lists give up the ends of their
items' texts before they give up items, and then say where they go on. Texts come in pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from buddies_core.model.budget import ANSWER_COST_MAX, fitting_chars, fitting_text, json_cost
from buddies_core.model.excerpt import shorter
from buddies_core.model.json_view import (
    json_of,
    links_json,
)
from buddies_core.model.memory import SNIPPET_CHARS_MAX
from buddies_core.model.skill_views import SkillList, SkillSearchResult
from buddies_core.model.views import MemoryList, Searched, SearchResult

if TYPE_CHECKING:
    from buddies_core.model.json_view import JsonValue
    from buddies_core.model.listing import Listed
    from buddies_core.model.skill_views import SkillPage, SkillView
    from buddies_core.model.views import MemoryPage, MemoryView, PeerAnswer, PeerSilence

FITTING_COST_MAX = ANSWER_COST_MAX - 2_000
"""The rest is for what the shim adds: the number of waiting tasks, a cursor, what to do next."""
SNIPPETS_CHARS = (SNIPPET_CHARS_MAX, 500, 250, 120)
"""How long the texts of a list's items may be, so that as many as were asked for fit."""
MEMBERS_SHARE = FITTING_COST_MAX // 4
"""Of a search's answer, for those who answered or did not."""
LINKS_SHARE = FITTING_COST_MAX // 4
VERSIONS_SHARE = FITTING_COST_MAX // 4
DIFF_SHARE = FITTING_COST_MAX // 4

ItemT = TypeVar("ItemT")


def fit_items(
    items: Sequence[ItemT],
    shortened: Callable[[ItemT, int], ItemT],
    as_json: Callable[[ItemT], JsonValue],
    cost_max: int,
) -> tuple[ItemT, ...]:
    """Return the first items, with texts as short as it takes to keep many; one at least."""
    fitting: list[ItemT] = []
    for chars in SNIPPETS_CHARS:
        fitting = []
        cost = 0
        for item in items:
            short = shortened(item, chars)
            cost += json_cost(as_json(short)) + 1
            if cost > cost_max and fitting:
                break
            fitting.append(short)
        if len(fitting) == len(items):
            break
    return tuple(fitting)


def first_fitting(
    items: Sequence[ItemT], as_json: Callable[[ItemT], JsonValue], cost_max: int
) -> tuple[ItemT, ...]:
    """Return as many of the first items as fit, unchanged."""
    cost = 0
    for count, item in enumerate(items):
        cost += json_cost(as_json(item)) + 1
        if cost > cost_max:
            return tuple(items[:count])
    return tuple(items)


def next_cursor(cursors: Sequence[str], shown: int) -> str | None:
    """Return where a list of which so many items are shown goes on; None where it ends."""
    return cursors[shown - 1] if 0 < shown < len(cursors) else None


# Memories


def memory_list(listed: Listed[MemoryView], limit: int) -> MemoryList:
    """Return up to `limit` of the listed memories; one more says that the list goes on."""
    room = FITTING_COST_MAX - json_cost(json_of(MemoryList((), listed.damaged)))
    fitting = fit_items(listed.results[:limit], _short_memory, json_of, room)
    return MemoryList(fitting, listed.damaged, next_cursor(listed.cursors, len(fitting)))


def memory_page(page: MemoryPage) -> MemoryPage:
    """Return a page whose content is no longer than fits, with as many links as its share holds."""
    links = first_fitting(page.links, lambda link: links_json([link]), LINKS_SHARE)
    page = replace(page, links=links)
    content = page.memory.content
    empty = replace(page, memory=replace(page.memory, content=""))
    end = fitting_chars(content, FITTING_COST_MAX - json_cost(json_of(empty)))
    if end == len(content):
        return page
    return replace(
        page,
        memory=replace(page.memory, content=content[:end], truncated=True),
        next_offset=page.offset + end,
    )


def search_result(result: SearchResult) -> SearchResult:
    """Return a result without the least relevant memories, if not all of them fit."""
    more = "room, kind, tags, author, agent or since"
    return _fit_search(result, json_of, _short_memory, json_of, more)


def _short_memory(memory: MemoryView, chars: int) -> MemoryView:
    if len(memory.content) <= chars:
        return memory
    content, match = shorter(memory.content, memory.match, chars)
    return replace(memory, content=content, match=match, truncated=True)


# Skills


def skill_list(listed: Listed[SkillView], limit: int) -> SkillList:
    """Return up to `limit` of the listed skills; one more says that the list goes on."""
    room = FITTING_COST_MAX - json_cost(json_of(SkillList((), listed.damaged)))
    fitting = fit_items(listed.results[:limit], _short_skill, json_of, room)
    return SkillList(fitting, listed.damaged, next_cursor(listed.cursors, len(fitting)))


def skill_page(page: SkillPage) -> SkillPage:
    """Return a page whose content, versions and changes are no longer than fits."""
    page = _with_fitting_chain(page)
    if page.diff is not None:
        page = replace(page, diff=fitting_text(page.diff, DIFF_SHARE))
    content = page.skill.content
    empty = replace(page, skill=replace(page.skill, content=""))
    end = fitting_chars(content, FITTING_COST_MAX - json_cost(json_of(empty)))
    if end == len(content):
        return page
    return replace(
        page,
        skill=replace(page.skill, content=content[:end], truncated=True),
        next_offset=page.offset + end,
    )


def _with_fitting_chain(page: SkillPage) -> SkillPage:
    """Leave out the versions that are furthest from this one until the others fit."""
    here = next((i for i, it in enumerate(page.chain) if it.hash == page.skill.hash), 0)
    nearest = sorted(range(len(page.chain)), key=lambda index: abs(index - here))
    kept = sorted(first_fitting(nearest, lambda index: json_of(page.chain[index]), VERSIONS_SHARE))
    return replace(
        page,
        chain=tuple(page.chain[index] for index in kept),
        chain_left_out=len(page.chain) - len(kept),
    )


def skill_search(result: SkillSearchResult) -> SkillSearchResult:
    """Return a result without the least relevant skills, if not all of them fit."""
    return _fit_search(result, json_of, _short_skill, json_of, "room or tags")


def _short_skill(skill: SkillView, chars: int) -> SkillView:
    if len(skill.content) <= chars:
        return skill
    content, match = shorter(skill.content, skill.match, chars)
    return replace(skill, content=content, match=match, truncated=True)


# Both


def _fit_search(
    result: Searched[ItemT],
    as_json: Callable[[Searched[ItemT]], JsonValue],
    shortened: Callable[[ItemT, int], ItemT],
    item_json: Callable[[ItemT], JsonValue],
    more: str,
) -> Searched[ItemT]:
    answered, unanswered, notes = _heard(result.answered, result.unanswered, result.notes)
    empty = replace(result, results=(), answered=answered, unanswered=unanswered, notes=notes)
    room = FITTING_COST_MAX - json_cost(as_json(empty))
    fitting = fit_items(result.results, shortened, item_json, room)
    left_out = len(result.results) - len(fitting)
    return replace(
        empty, results=fitting, left_out=left_out, notes=(*notes, *_left_out(left_out, more))
    )


def _heard(
    answered: Sequence[PeerAnswer], unanswered: Sequence[PeerSilence], notes: Iterable[str]
) -> tuple[tuple[PeerAnswer, ...], tuple[PeerSilence, ...], tuple[str, ...]]:
    """Return the members that a search names, with a note of how many it does not name."""
    shown = first_fitting(answered, json_of, MEMBERS_SHARE)
    silent = first_fitting(unanswered, json_of, MEMBERS_SHARE)
    kept = first_fitting(tuple(notes), lambda note: note, MEMBERS_SHARE // 2)
    for missing, what in (
        (len(answered) - len(shown), "more members answered and are not named here"),
        (len(unanswered) - len(silent), "more members did not answer and are not named here"),
    ):
        if missing:
            kept += (f"{missing} {what}",)
    return shown, silent, kept


def _left_out(count: int, filters: str) -> tuple[str, ...]:
    if not count:
        return ()
    return (
        f"{count} less relevant results were left out because the answer would be too large; to"
        f" see them, narrow the search by {filters}, or ask more precisely",
    )
