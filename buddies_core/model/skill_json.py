"""Skills as JSON: as `json_view` is for all else."""

from buddies_core.model.json_view import JsonObject, JsonValue, asked_json, match_json
from buddies_core.model.skill_views import (
    SkillList,
    SkillPage,
    SkillSearchResult,
    SkillVersion,
    SkillView,
    Tally,
    VoteReport,
)


def skill_json(skill: SkillView) -> JsonObject:
    """Return a skill; one that a search found says why."""
    shown: JsonObject = {
        "hash": skill.hash,
        "author": skill.author,
        "author_name": skill.author_name,
        "agent": skill.agent,
        "verified": skill.verified.value,
        "signed_by": skill.signed_by or None,
        "room": skill.room,
        "title": skill.title,
        "content": skill.content,
        "tags": list(skill.tags),
        "version": skill.version,
        "parent_hash": skill.parent_hash,
        "timestamp": skill.created_at_s,
        "truncated": skill.truncated,
        "size": skill.size,
        "rank": skill.votes.rank,
        "votes": _tally(skill.votes),
        "uncounted_votes": _tally(skill.uncounted),
        "your_score": skill.your_score,
    }
    return shown | match_json(skill.content, skill.match)


def skill_page_json(page: SkillPage) -> JsonObject:
    """Return what get_skill answers: the skill, a part of its content, and its versions."""
    return skill_json(page.skill) | {
        "offset": page.offset,
        "next_offset": page.next_offset,
        "total": page.total,
        "chain": [version_json(version) for version in page.chain],
        "chain_left_out": page.chain_left_out,
        "diff_from_parent": page.diff,
    }


def skill_list_json(skills: SkillList) -> JsonObject:
    """Return what list_skills answers."""
    results: list[JsonValue] = [skill_json(skill) for skill in skills.results]
    return {
        "results": results,
        "damaged": skills.damaged,
        "next_cursor": skills.next_cursor,
    }


def skill_search_json(result: SkillSearchResult) -> JsonObject:
    """Return what search_skills answers."""
    results: list[JsonValue] = [skill_json(skill) for skill in result.results]
    return {
        "results": results,
        "left_out": result.left_out,
        **asked_json(result.answered, result.unanswered),
        "method": result.method,
        "notes": list(result.notes),
    }


def vote_json(report: VoteReport) -> JsonObject:
    """Return what vote_skill answers; `counted` is false where the room's policy ignores it."""
    return {
        "voted": True,
        "hash": report.hash,
        "your_score": report.score,
        "new_rank": report.rank,
        "counted": report.counted,
    }


def version_json(version: SkillVersion) -> JsonObject:
    """Return one of the versions that get_skill shows."""
    return {
        "hash": version.hash,
        "parent_hash": version.parent_hash,
        "version": version.version,
        "title": version.title,
        "author": version.author,
        "author_name": version.author_name,
        "verified": version.verified.value,
        "signed_by": version.signed_by or None,
        "timestamp": version.created_at_s,
        "rank": version.rank,
    }


def _tally(tally: Tally) -> JsonObject:
    return {"up": tally.up, "down": tally.down}
