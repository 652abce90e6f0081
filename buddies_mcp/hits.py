"""Hits of searches and lists, in as few tokens as a model needs to choose between them.

Some clients show a model the structured content, others the text, so both are short. get_memory and
get_skill have what they leave out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from buddies_core.model.budget import json_text
from buddies_core.model.json_view import MATCHES_MAX
from buddies_core.model.moments import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from buddies_core.model.json_view import JsonObject, JsonValue
    from buddies_core.model.skill_views import SkillView
    from buddies_core.model.views import MemoryView, Searched, ViewT

ID_DIGITS = 8
"""Digits of a memory's id. A skill's hash is shown whole: anyone can make one that begins alike."""
AUTHOR_DIGITS = 4
"""Digits of an endpoint's id, to tell people with one name apart; get_memory shows all of it."""
_LABELLED = ("tags", "references", "superseded_by", "proposals", "proposed_for", "offset")
_NOT_TOLD: tuple[JsonValue, ...] = (None, "", 0, [], "hybrid")


def memory_hit(memory: MemoryView) -> JsonObject:
    """Return what a model needs to know of a memory before it reads it."""
    linked = {
        "references": memory.references,
        "superseded_by": memory.superseded_by,
        "proposals": memory.proposals,
        "proposed_for": memory.proposed_for,
    }
    shown: JsonObject = {
        name: [it.hex[:ID_DIGITS] for it in ids] for name, ids in linked.items() if ids
    }
    return {
        "id": memory.id.hex[:ID_DIGITS],
        "room": memory.room,
        "kind": memory.kind.value,
        **_text_and_origin(memory),
        **shown,
    }


def skill_hit(skill: SkillView) -> JsonObject:
    """Return what a model needs to know of a skill before it reads it."""
    voted: JsonObject = {} if skill.your_score is None else {"your_score": skill.your_score}
    return {
        "hash": skill.hash,
        "room": skill.room,
        "version": skill.version,
        "rank": skill.votes.rank,
        **voted,
        **_text_and_origin(skill),
    }


def search_json(result: Searched[ViewT], hit: Callable[[ViewT], JsonObject]) -> JsonObject:
    """Return what a search answers."""
    return {
        "results": [hit(item) for item in result.results],
        "left_out": result.left_out,
        "answered": [
            {"name": it.name, "results": it.results, "elapsed_ms": it.elapsed_ms}
            for it in result.answered
        ],
        "unanswered": [{"name": it.name, "reason": it.reason} for it in result.unanswered],
        "method": result.method,
        "notes": list(result.notes),
    }


def list_json(
    results: Sequence[ViewT],
    hit: Callable[[ViewT], JsonObject],
    *,
    damaged: int,
    next_cursor: str | None,
) -> JsonObject:
    """Return what a list answers."""
    return {
        "results": [hit(item) for item in results],
        "damaged": damaged,
        "next_cursor": next_cursor,
    }


def hits_text(answer: JsonObject) -> str:
    """Return the answer of a search or a list with a line for each hit, and one for all else.

    What others wrote stands in quotes that it can't end.
    """
    results = answer.get("results")
    if not isinstance(results, list):  # the last guard has shortened it
        return json_text(answer)
    lines = [_line(hit) for hit in results if isinstance(hit, dict)] or ["nothing found"]
    rest = {
        key: value for key, value in answer.items() if key != "results" and value not in _NOT_TOLD
    }
    return "\n".join([*lines, *([json_text(rest)] if rest else [])])


def _line(hit: JsonObject) -> str:
    text = f"{hit['title']}: {hit['content']}" if "title" in hit else hit["content"]
    names = "/".join(str(hit[key]) for key in ("author_name", "agent") if hit[key])
    what = hit["kind"] if "kind" in hit else f"version {hit['version']}, rank {hit['rank']}"
    told = [
        f"{what} in {hit['room']} by {json_text(names)} ({hit['verified']} {hit['author']})",
        hit["created"] if "created" in hit else hit["age"],
        *(f"{key} {json_text(hit[key])}" for key in _LABELLED if key in hit),
    ]
    if "why" in hit:
        told.append(f"{hit['why']} {json_text(hit['matches'])}" if "matches" in hit else hit["why"])
    if "weak" in hit:
        told.append("weak")
    if "truncated" in hit:
        told.append(f"part of {hit['size']} bytes")
    return f"{hit.get('id') or hit['hash']} {json_text(text)} - {', '.join(map(str, told))}"


def _text_and_origin(item: MemoryView | SkillView) -> JsonObject:
    shown: JsonObject = {"title": item.title, "content": item.content}
    if item.content.startswith(item.title):
        del shown["title"]
    if item.truncated:
        shown |= {"truncated": True, "size": item.size}
    shown |= {
        "author": item.author[:AUTHOR_DIGITS],
        "author_name": item.author_name,
        "agent": item.agent,
        "verified": item.verified.value,
    }
    if item.tags:
        shown["tags"] = list(item.tags)
    match = item.match
    if match is None:
        return shown | {"created": iso(item.created_at_s)}
    words: dict[str, JsonValue] = {
        item.content[start:end].casefold(): item.content[start:end] for start, end in match.marks
    }
    shown |= {"age": match.age, "why": match.why.value}
    if words:
        shown["matches"] = list(words.values())[:MATCHES_MAX]
    if match.offset:
        shown["offset"] = match.offset
    if match.weak:
        shown["weak"] = True
    return shown
