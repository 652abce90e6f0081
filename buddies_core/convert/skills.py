"""Skills, their versions, votes and search results, to protobuf and back."""

from buddies_core.convert.memories import answers_from_pb, answers_to_pb, match_from_pb, match_to_pb
from buddies_core.model.identity import Verified
from buddies_core.model.ids import RoomName
from buddies_core.model.skill_views import (
    SkillList,
    SkillPage,
    SkillSearchResult,
    SkillVersion,
    SkillView,
    Tally,
    VoteReport,
)
from buddies_core.model.views import Searched
from buddies_core.pb import skill_pb2 as pb


def skill_to_pb(skill: SkillView) -> pb.SkillView:
    """Return the skill as the socket carries it."""
    return pb.SkillView(
        hash=skill.hash,
        author=skill.author,
        author_name=skill.author_name,
        agent=skill.agent,
        verified=skill.verified,
        signed_by=skill.signed_by,
        room=skill.room,
        title=skill.title,
        content=skill.content,
        tags=skill.tags,
        version=skill.version,
        parent_hash=skill.parent_hash,
        created_at_s=skill.created_at_s,
        truncated=skill.truncated,
        size=skill.size,
        votes=pb.Tally(up=skill.votes.up, down=skill.votes.down),
        uncounted=pb.Tally(up=skill.uncounted.up, down=skill.uncounted.down),
        your_score=skill.your_score,
        match=match_to_pb(skill.match),
    )


def skill_from_pb(skill: pb.SkillView) -> SkillView:
    """Return the skill."""
    return SkillView(
        hash=skill.hash,
        author=skill.author,
        author_name=skill.author_name,
        agent=skill.agent,
        verified=Verified(skill.verified),
        signed_by=skill.signed_by,
        room=RoomName(skill.room),
        title=skill.title,
        content=skill.content,
        tags=tuple(skill.tags),
        version=skill.version,
        parent_hash=skill.parent_hash if skill.HasField("parent_hash") else None,
        created_at_s=skill.created_at_s,
        truncated=skill.truncated,
        size=skill.size,
        votes=Tally(skill.votes.up, skill.votes.down),
        uncounted=Tally(skill.uncounted.up, skill.uncounted.down),
        your_score=skill.your_score if skill.HasField("your_score") else None,
        match=match_from_pb(skill.match) if skill.HasField("match") else None,
    )


def _version_to_pb(version: SkillVersion) -> pb.SkillVersion:
    return pb.SkillVersion(
        hash=version.hash,
        parent_hash=version.parent_hash,
        version=version.version,
        title=version.title,
        author=version.author,
        author_name=version.author_name,
        verified=version.verified,
        signed_by=version.signed_by,
        by_endpoint=version.by_endpoint,
        created_at_s=version.created_at_s,
        rank=version.rank,
    )


def _version_from_pb(version: pb.SkillVersion) -> SkillVersion:
    return SkillVersion(
        hash=version.hash,
        parent_hash=version.parent_hash if version.HasField("parent_hash") else None,
        version=version.version,
        title=version.title,
        author=version.author,
        author_name=version.author_name,
        verified=Verified(version.verified),
        signed_by=version.signed_by,
        by_endpoint=version.by_endpoint,
        created_at_s=version.created_at_s,
        rank=version.rank,
    )


def skill_page_to_pb(page: SkillPage) -> pb.GetReply:
    """Return the page as the socket carries it."""
    return pb.GetReply(
        skill=skill_to_pb(page.skill),
        offset=page.offset,
        next_offset=page.next_offset,
        total=page.total,
        chain=map(_version_to_pb, page.chain),
        diff=page.diff,
        chain_left_out=page.chain_left_out,
    )


def skill_page_from_pb(reply: pb.GetReply) -> SkillPage:
    """Return the page."""
    return SkillPage(
        skill=skill_from_pb(reply.skill),
        offset=reply.offset,
        next_offset=reply.next_offset if reply.HasField("next_offset") else None,
        total=reply.total,
        chain=tuple(map(_version_from_pb, reply.chain)),
        diff=reply.diff if reply.HasField("diff") else None,
        chain_left_out=reply.chain_left_out,
    )


def skill_list_to_pb(skills: SkillList) -> pb.ListReply:
    """Return the list as the socket carries it."""
    return pb.ListReply(
        results=map(skill_to_pb, skills.results),
        damaged=skills.damaged,
        next_cursor=skills.next_cursor or "",
    )


def skill_list_from_pb(reply: pb.ListReply) -> SkillList:
    """Return the list."""
    return SkillList(
        tuple(map(skill_from_pb, reply.results)), reply.damaged, reply.next_cursor or None
    )


def skill_search_to_pb(result: SkillSearchResult) -> pb.SearchReply:
    """Return the result as the socket carries it."""
    answered, unanswered = answers_to_pb(result.answered, result.unanswered)
    return pb.SearchReply(
        results=map(skill_to_pb, result.results),
        answered=answered,
        unanswered=unanswered,
        method=result.method,
        notes=result.notes,
        left_out=result.left_out,
    )


def skill_search_from_pb(reply: pb.SearchReply) -> SkillSearchResult:
    """Return the result."""
    answered, unanswered = answers_from_pb(reply.answered, reply.unanswered)
    return Searched(
        results=tuple(map(skill_from_pb, reply.results)),
        answered=answered,
        unanswered=unanswered,
        method=reply.method,
        notes=tuple(reply.notes),
        left_out=reply.left_out,
    )


def vote_to_pb(report: VoteReport) -> pb.VoteReply:
    """Return the report as the socket carries it."""
    return pb.VoteReply(
        hash=report.hash, score=report.score, rank=report.rank, counted=report.counted
    )


def vote_from_pb(reply: pb.VoteReply) -> VoteReport:
    """Return the report."""
    return VoteReport(hash=reply.hash, score=reply.score, rank=reply.rank, counted=reply.counted)
