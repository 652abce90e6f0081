"""What agents and people get as JSON: MCP's structured content and the CLI's `--json` are these.

The keys of buddies 0.1.4 keep their names and meanings; the others are ours. Times end in their
unit, save for 0.1.4's `timestamp`, which is in Unix seconds.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from buddies_core.model.bodies import AgentPresence
from buddies_core.model.excerpt import Match
from buddies_core.model.room import (
    CatchingUp,
    JoinReport,
    LeaveReport,
    Member,
    NamedPeer,
    NotifyReport,
    RoomList,
    RoomStatus,
    RotateReport,
    TicketReport,
)
from buddies_core.model.views import (
    DaemonInfo,
    DaemonStatus,
    DeletedMemory,
    Link,
    MemoryList,
    MemoryPage,
    MemoryView,
    PeerAnswer,
    PeerSilence,
    Relation,
    SearchResult,
)

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]

MATCHES_MAX = 8
"""Words of a question that are shown with what a search found, each once."""

# Rooms


def join_json(report: JoinReport) -> JsonObject:
    """Return what join_room answers."""
    return {
        "room": report.room,
        "ticket": report.ticket,
        "endpoint_id": report.endpoint.hex(),
        "private": report.private,
        "already_joined": report.already_joined,
        "members": list(agent_rows(report.members)),
        "tried": [
            {
                "endpoint_id": attempt.endpoint.hex(),
                "reached": attempt.reached,
                "outcome": attempt.outcome,
            }
            for attempt in report.tried
        ],
        "warnings": list(report.warnings),
        "history": report.history.value,
        "catching_up": _catching_up(report.catching_up),
    }


def ticket_json(report: TicketReport) -> JsonObject:
    """Return what `ticket` answers."""
    return {"room": report.room, "ticket": report.ticket, "warnings": list(report.warnings)}


def rotate_json(report: RotateReport) -> JsonObject:
    """Return what `room rotate` answers."""
    return {
        "room": report.room,
        "epoch": report.epoch,
        "removed": list(map(_peer_json, report.removed)),
        "told": list(map(_peer_json, report.told)),
        "waiting": list(map(_peer_json, report.waiting)),
        "brought": list(map(_peer_json, report.brought)),
    }


def _peer_json(peer: NamedPeer) -> JsonObject:
    return {"endpoint_id": peer.endpoint.hex(), "name": peer.name}


def leave_json(report: LeaveReport) -> JsonObject:
    """Return what leave_room answers; `node_left` is false while others keep the machine there."""
    return {
        "left": True,
        "room": report.room,
        "node_left": report.node_left,
        "still_joined_by": list(report.still_joined_by),
    }


def rooms_json(rooms: RoomList) -> JsonObject:
    """Return what list_rooms answers; a `next_cursor` is there only if there are more."""
    more: JsonObject = {} if rooms.next_cursor is None else {"next_cursor": rooms.next_cursor}
    return {"rooms": list(rooms.rooms), **more}


def room_status_json(status: RoomStatus) -> JsonObject:
    """Return what get_room_status answers: as in 0.1.4 one row an agent.

    A member without agents has one row, with an empty `agent`.
    """
    return {
        "room": status.room,
        "private": status.private,
        "topic": status.topic.hex(),
        "joined_at_ms": status.joined_at_ms,
        "neighbors": status.neighbors,
        "members": status.members_total or len(status.members),
        "peers": list(agent_rows(status.members)),
        "warnings": list(status.warnings),
        "history": status.history.value,
        "catching_up": _catching_up(status.catching_up),
        "next_cursor": status.next_cursor,
        "away": [
            {
                "name": it.name,
                "endpoint_id": it.endpoint.hex(),
                "last_seen_at_ms": it.last_seen_ms,
            }
            for it in status.away
        ],
    }


def notify_json(report: NotifyReport) -> JsonObject:
    """Return what notify_peers answers."""
    return {
        "notified": True,
        "room": report.room,
        "text": report.text,
        "members": report.members,
    }


def agent_rows(members: Sequence[Member]) -> Iterator[JsonObject]:
    """Return a row for each agent of these members, and for a member without agents.

    `path` and `round_trip_ms` are there only with a connection to the member.
    """
    for member in members:
        for agent in member.agents or (AgentPresence(name=""),):
            yield {
                "name": member.name,
                "agent": agent.name,
                "user": agent.user or member.name,
                "last_status": agent.status,
                "last_status_at_ms": agent.status_at_ms or None,
                "capabilities": list(agent.capabilities),
                "endpoint_id": member.endpoint.hex(),
                "is_self": member.is_self,
                "speaks_direct": member.speaks_direct,
                "heard_at_ms": member.heard_at_ms,
                "verified": member.verified.value,
                "signed_by": member.signed_by or None,
                "online": not member.silent_since_ms,
                **_way_json(member),
            }


def _way_json(member: Member) -> JsonObject:
    if member.silent_since_ms:
        return {"silent_since_ms": member.silent_since_ms}
    if member.path is None:
        return {}
    return {"path": member.path.value, "round_trip_ms": member.round_trip_ms}


# Memories


def memory_json(memory: MemoryView) -> JsonObject:
    """Return a memory; one that a search found says why."""
    shown: JsonObject = {
        "id": str(memory.id),
        "author": memory.author,
        "author_name": memory.author_name,
        "agent": memory.agent,
        "verified": memory.verified.value,
        "signed_by": memory.signed_by or None,
        "room": memory.room,
        "kind": memory.kind.value,
        "title": memory.title,
        "content": memory.content,
        "tags": list(memory.tags),
        "references": [str(reference) for reference in memory.references],
        "timestamp": memory.created_at_s,
        "truncated": memory.truncated,
        "size": memory.size,
    }
    linked = {
        "supersedes": memory.supersedes,
        "superseded_by": memory.superseded_by,
        "proposals": memory.proposals,
        "proposed_for": memory.proposed_for,
    }
    for relation, ids in linked.items():
        if ids:
            shown[relation] = [str(id) for id in ids]
    counts = {"told": memory.told, "held_by": memory.held_by}
    shown |= {name: count for name, count in counts.items() if count is not None}
    return shown | match_json(memory.content, memory.match)


def match_json(text: str, match: Match | None) -> JsonObject:
    """Return why a search found what this text is a part of; `weak` is there only if it is."""
    if match is None:
        return {}
    words: dict[str, JsonValue] = {}
    for start, end in match.marks:
        words.setdefault(text[start:end].casefold(), {"text": text[start:end], "at": start})
    shown: JsonObject = {
        "score": round(match.score, 4),
        "why": match.why.value,
        "matches": list(words.values())[:MATCHES_MAX],
        "age": match.age,
        "offset": match.offset,
    }
    return shown | ({"weak": True} if match.weak else {})


def memory_list_json(memories: MemoryList) -> JsonObject:
    """Return what list_memories answers."""
    return {
        "results": _memories(memories.results),
        "damaged": memories.damaged,
        "next_cursor": memories.next_cursor,
    }


def deleted_json(deleted: DeletedMemory) -> JsonObject:
    """Return what delete_memory answers."""
    return {"id": str(deleted.id), "room": deleted.room, "title": deleted.title}


def forgotten_json(id: str, titles: Sequence[str], *, undo: bool = False) -> JsonObject:
    """Return what forget_memory answers."""
    return {"id": id, "forgotten": not undo, "titles": list(titles)}


def links_json(links: Sequence[Link]) -> JsonObject:
    """Return the linked memories by what they are to this one."""
    return {
        relation.value: [
            {"id": str(it.id), "title": it.title, "author_name": it.author_name}
            for it in links
            if it.relation is relation
        ]
        for relation in Relation
        if any(it.relation is relation for it in links)
    }


def memory_page_json(page: MemoryPage) -> JsonObject:
    """Return what get_memory answers: the memory, and which part of its content this is."""
    links: JsonObject = {"links": links_json(page.links)} if page.links else {}
    return (
        memory_json(page.memory)
        | links
        | {
            "offset": page.offset,
            "next_offset": page.next_offset,
            "total": page.total,
        }
    )


def search_json(result: SearchResult) -> JsonObject:
    """Return what search_memory answers."""
    return {
        "results": _memories(result.results),
        "left_out": result.left_out,
        **asked_json(result.answered, result.unanswered),
        "method": result.method,
        "notes": list(result.notes),
    }


def asked_json(answered: Sequence[PeerAnswer], unanswered: Sequence[PeerSilence]) -> JsonObject:
    """Return who answered a search, and who did not and why."""
    return {
        "answered": [
            {
                "endpoint_id": answer.endpoint.hex(),
                "name": answer.name,
                "results": answer.results,
                "elapsed_ms": answer.elapsed_ms,
            }
            for answer in answered
        ],
        "unanswered": [
            {"endpoint_id": silent.endpoint.hex(), "name": silent.name, "reason": silent.reason}
            for silent in unanswered
        ],
    }


def _memories(memories: Sequence[MemoryView]) -> list[JsonValue]:
    return [memory_json(memory) for memory in memories]


# The daemon


def whoami_json(info: DaemonInfo) -> JsonObject:
    """Return what `buddies-cli whoami` answers."""
    return {
        "user": info.user,
        "endpoint_id": info.endpoint.hex(),
        "signer": info.signer,
        "local_identity": info.identity or None,
        "signer_problem": info.signer_problem or None,
    }


def status_json(status: DaemonStatus) -> JsonObject:
    """Return what `buddies-cli daemon status` answers."""
    return {
        "version": status.info.version,
        "protocol": status.info.protocol,
        "pid": status.info.pid,
        "uptime_s": status.uptime_s,
        "user": status.info.user,
        "endpoint_id": status.info.endpoint.hex(),
        "signer": status.info.signer,
        "local_identity": status.info.identity or None,
        "signer_problem": status.info.signer_problem or None,
        "legacy": "on" if status.info.legacy else "off",
        "network": status.info.network,
        "relay_url": status.info.relay_url or None,
        "relay": status.relay or None,
        "addresses": list(status.addresses),
        "data_dir": status.info.data_dir,
        "rooms": list(status.rooms),
        "agents": [
            {
                "id": str(agent.id),
                "name": agent.name,
                "user": agent.user,
                "pid": agent.pid,
                "rooms": list(agent.rooms),
            }
            for agent in status.agents
        ],
        "peers_connected": status.peers_connected,
        "memories": status.memories,
        "index": status.index,
        "model": status.model,
        "disk": {
            "room_quota": status.disk.room_quota,
            "author_quota": status.disk.author_quota,
            "rooms": {used.name: used.bytes for used in status.disk.rooms},
            "authors": {used.name: used.bytes for used in status.disk.authors},
        },
        "counters": dict(status.counters),
        "warnings": list(status.warnings),
        "catching_up": _catching_up(status.catching_up),
    }


def _catching_up(exchanges: Iterable[CatchingUp]) -> JsonValue:
    """Return what is being fetched, from whom, and how much of it is here."""
    return [
        {"room": it.room, "from": it.name, "received": it.received, "expected": it.expected}
        for it in exchanges
    ]
