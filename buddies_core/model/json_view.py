"""The JSON that agents and people get as MCP's structured content and the CLI's `--json`.

`json_of` shows any value of the model, each field under its own name; FIELDS lists the fields that
are shown differently. The keys of buddies 0.1.4 keep their names and meanings; the others are ours.
Names of times end in their unit, except 0.1.4's `timestamp`, which is in Unix seconds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import StrEnum
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

from buddies_core.model.bodies import AgentPresence
from buddies_core.model.excerpt import Match
from buddies_core.model.policy import PolicyReport, PolicyView
from buddies_core.model.revocation import Revocation, RevocationView
from buddies_core.model.room import (
    AwayMember,
    CatchingUp,
    JoinReport,
    LeaveReport,
    Member,
    NotifyReport,
    RoomList,
    RoomStatus,
)
from buddies_core.model.skill_views import SkillPage, SkillVersion, SkillView, VoteReport
from buddies_core.model.task import TaskFailed, TaskList, TaskSucceeded, TaskView
from buddies_core.model.views import (
    DaemonInfo,
    DaemonStatus,
    DiskUse,
    Link,
    MemoryPage,
    MemoryView,
    Relation,
)

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]

MATCHES_MAX = 8
"""The most words of a question that are shown with a search result, each once."""

Show: TypeAlias = Callable[[Any, str], JsonObject]
"""Takes a value and the name of one of its fields, and returns the keys for this field."""


def json_of(value: object) -> JsonObject:
    """Return a dataclass as an object: a key for each field, in order, or as FIELDS says.

    Ids are texts, bytes are hex digits, and a dataclass in a field is an object too.
    """
    shown: JsonObject = {}
    for name, key, show in _PLANS.get(type(value)) or _plan(type(value)):
        if show is not None:
            shown |= show(value, name)
        else:
            it = getattr(value, name)
            shown[key] = it if type(it) in _AS_THEY_ARE else _json(it)
    return shown


_PLANS: dict[type, tuple[tuple[str, str, Show | None], ...]] = {}
"""For each kind of value shown so far: the name, the key and the `Show` of each field."""


def _plan(kind: Any) -> tuple[tuple[str, str, Show | None], ...]:
    how = {**EVERYWHERE, **FIELDS.get(kind, {})}
    names = [(field.name, how.get(field.name, field.name)) for field in fields(kind)]
    _PLANS[kind] = plan = tuple(
        (name, it, None) if isinstance(it, str) else (name, name, it) for name, it in names
    )
    return plan


_AS_THEY_ARE = frozenset({str, int, float, bool, NoneType})


def _json(it: Any) -> JsonValue:
    match it:
        case StrEnum():
            return it.value
        case str() | int() | float() | None:
            return it
        case tuple():
            return [_json(one) for one in it]
        case UUID():
            return str(it)
        case bytes():
            return it.hex()
        case _:
            assert is_dataclass(it), f"no JSON is known for {type(it).__name__}"
            return json_of(it)


# Other ways to show a field than under its name


def _left_out(_value: object, _name: str) -> JsonObject:
    return {}


def _in_place(value: object, name: str) -> JsonObject:
    """Return the keys of a field's value, as if they were the outer value's own."""
    return json_of(getattr(value, name))


def _if_known(value: object, name: str) -> JsonObject:
    """Return no key if the field is None, empty or false."""
    it = getattr(value, name)
    return {} if it is None or it is False or it in ("", ()) else {name: _json(it)}


def _or_none(key: str = "") -> Show:
    """Return a `Show` that gives an empty text as null."""
    return lambda value, name: {key or name: getattr(value, name) or None}


def _as_map(value: object, name: str) -> JsonObject:
    """Return pairs as an object."""
    return {name: dict(getattr(value, name))}


def _used(value: object, name: str) -> JsonObject:
    return {name: {it.name: it.bytes for it in getattr(value, name)}}


EVERYWHERE: Mapping[str, str | Show] = {
    "endpoint": "endpoint_id",
    "created_at_s": "timestamp",
    "signed_by": _or_none(),
}
"""The fields that are shown differently in all values."""

FIELDS: Mapping[type, Mapping[str, str | Show]] = {
    # Rooms
    JoinReport: {"members": lambda it, _: {"members": list(agent_rows(it.members))}},
    # As in 0.1.4, one row per agent; a member without agents has one row, with an empty `agent`.
    RoomStatus: {
        "members": lambda it, _: {
            "members": it.members_total or len(it.members),
            "peers": list(agent_rows(it.members)),
        },
        "members_total": _left_out,
    },
    RoomList: {"next_cursor": _if_known},
    AwayMember: {"last_seen_ms": "last_seen_at_ms"},
    CatchingUp: {"name": "from"},
    # Memories
    MemoryView: {
        "supersedes": _if_known,
        "superseded_by": _if_known,
        "proposals": _if_known,
        "proposed_for": _if_known,
        "told": _if_known,
        "held_by": _if_known,
        "match": lambda it, _: match_json(it.content, it.match),
    },
    MemoryPage: {
        "memory": _in_place,
        "links": lambda it, _: {"links": links_json(it.links)} if it.links else {},
    },
    # Skills
    SkillView: {
        "votes": lambda it, _: {"rank": it.votes.rank, "votes": json_of(it.votes)},
        "uncounted": "uncounted_votes",
        "match": lambda it, _: match_json(it.content, it.match),
    },
    SkillVersion: {"by_endpoint": _left_out},
    SkillPage: {"skill": _in_place, "diff": "diff_from_parent"},
    VoteReport: {"score": "your_score", "rank": "new_rank"},
    # Tasks: `truncated` says that the description or the result is only a part.
    TaskList: {"tasks": "results"},
    TaskView: {
        "id": "task_id",
        "requester": "source_peer",
        "worker": "worker_endpoint_id",
        "left_s": lambda it, _: {
            "timeout_secs": None if it.left_s is None else round(it.left_s, 1)
        },
        "description_page": lambda it, _: {
            "truncated": it.description_page is not None or it.result_page is not None
        },
        "result_page": _left_out,
        "result": lambda it, _: _result(it),
        "warning": _if_known,
        "already_yours": _if_known,
    },
    # Policies and identities
    PolicyView: {
        "local_identity": _or_none(),
        "private": lambda it, _: {"meaning": it.meaning},
    },
    PolicyReport: {"view": _in_place},
    RevocationView: {"revocation": _in_place},
    Revocation: {"label": "identity"},
    # The daemon
    DaemonInfo: {
        "identity": _or_none("local_identity"),
        "signer_problem": _or_none(),
        "relay_url": _or_none(),
        "legacy": lambda it, _: {"legacy": "on" if it.legacy else "off"},
        "agents": _left_out,
    },
    DaemonStatus: {"info": _in_place, "relay": _or_none(), "counters": _as_map},
    DiskUse: {"rooms": _used, "authors": _used},
}
"""How the fields of a kind of value are shown: under another key, or by a function."""


def _result(task: TaskView) -> JsonObject:
    match task.result:
        case TaskSucceeded(output):
            return {"output": output}
        case TaskFailed(message):
            return {"error": message}
        case None:
            return {}


# Answers that combine several values, or show parts of one


def leave_json(report: LeaveReport) -> JsonObject:
    """Return leave_room's answer; `node_left` is false while other agents keep the node there."""
    return {"left": True, **json_of(report)}


def notify_json(report: NotifyReport) -> JsonObject:
    """Return notify_peers' answer."""
    return {"notified": True, **json_of(report)}


def vote_json(report: VoteReport) -> JsonObject:
    """Return vote_skill's answer; `counted` is false if the room's policy ignores the vote."""
    return {"voted": True, **json_of(report)}


def restored_json(view: RevocationView) -> JsonObject:
    """Return the counts of items that are shown again."""
    return {"identity": view.revocation.label, "shown_again": json_of(view.hidden)}


def forgotten_json(id: str, titles: Sequence[str], *, undo: bool = False) -> JsonObject:
    """Return forget_memory's answer."""
    return {"id": id, "forgotten": not undo, "titles": list(titles)}


def whoami_json(info: DaemonInfo) -> JsonObject:
    """Return the answer of `buddies-cli whoami`."""
    shown = json_of(info)
    keys = ("user", "endpoint_id", "signer", "local_identity", "signer_problem")
    return {key: shown[key] for key in keys}


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


def match_json(text: str, match: Match | None) -> JsonObject:
    """Return why a search found the item of this text; `weak` is present only if true."""
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


def links_json(links: Sequence[Link]) -> JsonObject:
    """Return the linked memories, grouped by their relation to this one."""
    return {
        relation.value: [
            {"id": str(it.id), "title": it.title, "author_name": it.author_name}
            for it in links
            if it.relation is relation
        ]
        for relation in Relation
        if any(it.relation is relation for it in links)
    }
