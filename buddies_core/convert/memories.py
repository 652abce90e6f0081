"""Memories, lists, pages and search results, to protobuf and back."""

from collections.abc import Iterable
from uuid import UUID

from buddies_core.model.excerpt import Match, Why
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId, MemoryId, RoomName
from buddies_core.model.memory import MemoryKind
from buddies_core.model.views import (
    DeletedMemory,
    Link,
    MemoryList,
    MemoryPage,
    MemoryView,
    PeerAnswer,
    PeerSilence,
    Relation,
    Searched,
    SearchResult,
)
from buddies_core.pb import memory_pb2


def memory_to_pb(memory: MemoryView) -> memory_pb2.MemoryView:
    """Return the memory as the socket carries it."""
    return memory_pb2.MemoryView(
        id=str(memory.id),
        author=memory.author,
        author_name=memory.author_name,
        agent=memory.agent,
        verified=memory.verified,
        room=memory.room,
        kind=memory.kind,
        title=memory.title,
        content=memory.content,
        tags=memory.tags,
        references=map(str, memory.references),
        created_at_s=memory.created_at_s,
        truncated=memory.truncated,
        size=memory.size,
        signed_by=memory.signed_by,
        match=match_to_pb(memory.match),
        supersedes=map(str, memory.supersedes),
        superseded_by=map(str, memory.superseded_by),
        proposals=map(str, memory.proposals),
        proposed_for=map(str, memory.proposed_for),
        told=memory.told,
        held_by=memory.held_by,
    )


def memory_from_pb(memory: memory_pb2.MemoryView) -> MemoryView:
    """Return the memory."""
    return MemoryView(
        id=MemoryId(UUID(memory.id)),
        author=memory.author,
        author_name=memory.author_name,
        agent=memory.agent,
        verified=Verified(memory.verified),
        room=RoomName(memory.room),
        kind=MemoryKind(memory.kind),
        title=memory.title,
        content=memory.content,
        tags=tuple(memory.tags),
        references=_ids(memory.references),
        created_at_s=memory.created_at_s,
        truncated=memory.truncated,
        size=memory.size,
        signed_by=memory.signed_by,
        match=match_from_pb(memory.match) if memory.HasField("match") else None,
        supersedes=_ids(memory.supersedes),
        superseded_by=_ids(memory.superseded_by),
        proposals=_ids(memory.proposals),
        proposed_for=_ids(memory.proposed_for),
        told=memory.told if memory.HasField("told") else None,
        held_by=memory.held_by if memory.HasField("held_by") else None,
    )


def _ids(texts: Iterable[str]) -> tuple[MemoryId, ...]:
    return tuple(MemoryId(UUID(text)) for text in texts)


def match_to_pb(match: Match | None) -> memory_pb2.Match | None:
    """Return why something was found, as the socket carries it."""
    if match is None:
        return None
    return memory_pb2.Match(
        score=match.score,
        why=match.why,
        age=match.age,
        offset=match.offset,
        passage_start=match.passage[0],
        passage_end=match.passage[1],
        marks=(at for mark in match.marks for at in mark),
    )


def match_from_pb(match: memory_pb2.Match) -> Match:
    """Return why something was found."""
    return Match(
        score=match.score,
        why=Why(match.why),
        age=match.age,
        offset=match.offset,
        passage=(match.passage_start, match.passage_end),
        marks=tuple(zip(match.marks[::2], match.marks[1::2], strict=True)),
    )


def memory_list_to_pb(memories: MemoryList) -> memory_pb2.ListReply:
    """Return the list as the socket carries it."""
    return memory_pb2.ListReply(
        results=map(memory_to_pb, memories.results),
        damaged=memories.damaged,
        next_cursor=memories.next_cursor or "",
    )


def memory_list_from_pb(reply: memory_pb2.ListReply) -> MemoryList:
    """Return the list."""
    return MemoryList(
        tuple(map(memory_from_pb, reply.results)), reply.damaged, reply.next_cursor or None
    )


def memory_page_to_pb(page: MemoryPage) -> memory_pb2.GetReply:
    """Return the page as the socket carries it."""
    return memory_pb2.GetReply(
        memory=memory_to_pb(page.memory),
        offset=page.offset,
        next_offset=page.next_offset,
        total=page.total,
        links=[
            memory_pb2.Link(
                relation=link.relation,
                id=str(link.id),
                title=link.title,
                author_name=link.author_name,
            )
            for link in page.links
        ],
    )


def memory_page_from_pb(reply: memory_pb2.GetReply) -> MemoryPage:
    """Return the page."""
    return MemoryPage(
        memory=memory_from_pb(reply.memory),
        offset=reply.offset,
        next_offset=reply.next_offset if reply.HasField("next_offset") else None,
        total=reply.total,
        links=tuple(
            Link(Relation(link.relation), MemoryId(UUID(link.id)), link.title, link.author_name)
            for link in reply.links
        ),
    )


def deleted_to_pb(deleted: DeletedMemory) -> memory_pb2.DeleteReply:
    """Return what was deleted as the socket carries it."""
    return memory_pb2.DeleteReply(id=str(deleted.id), room=deleted.room, title=deleted.title)


def deleted_from_pb(reply: memory_pb2.DeleteReply) -> DeletedMemory:
    """Return what was deleted."""
    return DeletedMemory(MemoryId(UUID(reply.id)), RoomName(reply.room), reply.title)


def search_result_to_pb(result: SearchResult) -> memory_pb2.SearchReply:
    """Return the result as the socket carries it."""
    answered, unanswered = answers_to_pb(result.answered, result.unanswered)
    return memory_pb2.SearchReply(
        results=map(memory_to_pb, result.results),
        answered=answered,
        unanswered=unanswered,
        method=result.method,
        notes=result.notes,
        left_out=result.left_out,
    )


def search_result_from_pb(reply: memory_pb2.SearchReply) -> SearchResult:
    """Return the result."""
    answered, unanswered = answers_from_pb(reply.answered, reply.unanswered)
    return Searched(
        results=tuple(map(memory_from_pb, reply.results)),
        answered=answered,
        unanswered=unanswered,
        method=reply.method,
        notes=tuple(reply.notes),
        left_out=reply.left_out,
    )


def answers_to_pb(
    answered: Iterable[PeerAnswer], unanswered: Iterable[PeerSilence]
) -> tuple[list[memory_pb2.Answer], list[memory_pb2.Silence]]:
    """Return who answered a search and who did not, as the socket carries it."""
    return [
        memory_pb2.Answer(
            endpoint=answer.endpoint,
            name=answer.name,
            results=answer.results,
            elapsed_ms=answer.elapsed_ms,
        )
        for answer in answered
    ], [
        memory_pb2.Silence(endpoint=silent.endpoint, name=silent.name, reason=silent.reason)
        for silent in unanswered
    ]


def answers_from_pb(
    answered: Iterable[memory_pb2.Answer], unanswered: Iterable[memory_pb2.Silence]
) -> tuple[tuple[PeerAnswer, ...], tuple[PeerSilence, ...]]:
    """Return who answered a search and who did not."""
    return tuple(
        PeerAnswer(
            endpoint=EndpointId(answer.endpoint),
            name=answer.name,
            results=answer.results,
            elapsed_ms=answer.elapsed_ms,
        )
        for answer in answered
    ), tuple(
        PeerSilence(endpoint=EndpointId(silent.endpoint), name=silent.name, reason=silent.reason)
        for silent in unanswered
    )
