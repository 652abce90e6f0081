"""Values of the model cross the socket, and come back as they were."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from buddies_core.convert.codec import from_proto, to_proto
from buddies_core.model.policy import PolicyReport, PolicyView
from buddies_core.model.revocation import RevocationView
from buddies_core.model.room import (
    JoinReport,
    LeaveReport,
    NotifyReport,
    RoomList,
    RoomStatus,
    RotateReport,
    TicketReport,
)
from buddies_core.model.skill_views import (
    SkillList,
    SkillPage,
    SkillSearchResult,
    SkillView,
    VoteReport,
)
from buddies_core.model.task import InboxChange, SubmitVerdict, TaskList, TaskView
from buddies_core.model.transfer import BackedUp, Exported, Imported, Verified
from buddies_core.model.views import (
    DaemonInfo,
    DaemonStatus,
    DeletedMemory,
    MemoryList,
    MemoryPage,
    MemoryView,
    SearchResult,
)
from buddies_core.pb import (
    daemon_pb2,
    identity_pb2,
    memory_pb2,
    policy_pb2,
    room_pb2,
    skill_pb2,
    store_pb2,
    task_pb2,
)
from tests.support.fakes.services import MEMORY

PAIRS: tuple[tuple[type[object], type[Message]], ...] = (
    (DaemonInfo, daemon_pb2.HandshakeReply),
    (InboxChange, daemon_pb2.InboxChanged),
    (DaemonStatus, daemon_pb2.StatusReply),
    (RevocationView, identity_pb2.RevocationView),
    (MemoryView, memory_pb2.MemoryView),
    (MemoryList, memory_pb2.ListReply),
    (MemoryPage, memory_pb2.GetReply),
    (SearchResult, memory_pb2.SearchReply),
    (DeletedMemory, memory_pb2.DeleteReply),
    (PolicyView, policy_pb2.PolicyView),
    (PolicyReport, policy_pb2.ChangeReply),
    (JoinReport, room_pb2.JoinReply),
    (LeaveReport, room_pb2.LeaveReply),
    (RoomList, room_pb2.ListReply),
    (RoomStatus, room_pb2.StatusReply),
    (TicketReport, room_pb2.TicketReply),
    (RotateReport, room_pb2.RotateReply),
    (NotifyReport, room_pb2.NotifyReply),
    (SkillView, skill_pb2.SkillView),
    (SkillList, skill_pb2.ListReply),
    (SkillPage, skill_pb2.GetReply),
    (SkillSearchResult, skill_pb2.SearchReply),
    (VoteReport, skill_pb2.VoteReply),
    (Exported, store_pb2.ExportReply),
    (Imported, store_pb2.ImportReply),
    (BackedUp, store_pb2.BackupReply),
    (Verified, store_pb2.VerifyReply),
    (TaskView, task_pb2.TaskView),
    (SubmitVerdict, task_pb2.SubmitReply),
    (TaskList, task_pb2.ListReply),
)
"""What the daemon answers, and the messages that carry it."""

WITHOUT_A_VALUE = {
    daemon_pb2.AttachEvent,  # one of several
    daemon_pb2.StopReply,  # a number
    identity_pb2.ListReply,  # a list
    memory_pb2.ForgetReply,  # a list
    task_pb2.PollReply,  # a list
}

# Each message's range: uint32 for most numbers, so that all of them can be carried.
NUMBERS = st.integers(0, 2**31 - 1)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of this kind with anything in their fields."""
    origin = get_origin(kind) or kind
    arguments = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
    return st.builds(
        origin,
        **{
            name: anything(hint[tuple(arguments.values())] if arguments and needs(hint) else hint)
            for name, hint in get_type_hints(origin).items()
        },
    )


def needs(hint: Any) -> bool:
    return bool(getattr(hint, "__parameters__", ()))


def anything(hint: Any) -> st.SearchStrategy[Any]:
    hint = getattr(hint, "__supertype__", hint)
    if hint is int:
        return NUMBERS
    if hint == tuple[tuple[str, int], ...]:
        return st.dictionaries(st.text(), NUMBERS).map(lambda it: tuple(sorted(it.items())))
    if get_origin(hint) is tuple:
        first, *rest = get_args(hint)
        if rest == [...]:
            return st.lists(anything(first), max_size=3).map(tuple)
        return st.tuples(*map(anything, get_args(hint)))
    if dataclasses.is_dataclass(get_origin(hint) or hint):
        return values(hint)
    if hint is float:
        return st.floats(allow_nan=False)
    if cases := get_args(hint):
        return st.one_of(*map(st.just if isinstance(cases[0], str) else anything, cases))
    return st.none() if hint is type(None) else st.from_type(hint)


def whole(value: Any) -> Any:
    """Return all that is in a value, including fields that don't count when it is compared."""
    return dataclasses.asdict(value), type(value)


@pytest.mark.parametrize(
    ("kind", "message"), [pytest.param(*it, id=it[1].DESCRIPTOR.full_name) for it in PAIRS]
)
@settings(max_examples=20)
@given(data=st.data())
def test_a_value_comes_back_as_it_went(
    kind: type[object], message: type[Message], data: st.DataObject
) -> None:
    value = data.draw(values(kind))

    back = from_proto(message.FromString(to_proto(value, message).SerializeToString()), kind)

    assert whole(back) == whole(value)


def answers_of(module: ModuleType) -> Iterator[type[Message]]:
    for service in module.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            yield GetMessageClass(method.output_type)


def test_no_answer_of_the_daemon_is_missing_from_this_comparison() -> None:
    modules = (
        daemon_pb2,
        identity_pb2,
        memory_pb2,
        policy_pb2,
        room_pb2,
        skill_pb2,
        store_pb2,
        task_pb2,
    )
    answers = {answer for module in modules for answer in answers_of(module)}

    assert answers == {it for _, it in PAIRS if it is not daemon_pb2.InboxChanged} | WITHOUT_A_VALUE


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Known:
    endpoint: bytes
    name: str


@dataclass(frozen=True)
class Fewer:
    endpoint: bytes


@dataclass(frozen=True)
class Unnamed:
    endpoint: bytes
    name: str | None


@dataclass(frozen=True)
class More(Known):
    colour: Colour


@pytest.mark.parametrize(
    ("kind", "value", "lacking"),
    [(Fewer, Fewer(b"e"), "name"), (More, More(b"e", "n", Colour.RED), "colour")],
)
def test_a_value_with_other_fields_than_the_message_is_refused_both_ways(
    kind: type, value: object, lacking: str
) -> None:
    said = rf"{kind.__name__} and buddies\.room\.Peer must have the same fields.* {lacking}$"
    with pytest.raises(TypeError, match=said):
        to_proto(value, room_pb2.Peer)
    with pytest.raises(TypeError, match=said):
        from_proto(room_pb2.Peer(endpoint=b"e"), kind)


def test_what_may_be_none_has_an_optional_field() -> None:
    with pytest.raises(TypeError, match=r"^name may be None in Unnamed, so it must be optional in"):
        to_proto(Unnamed(b"e", None), room_pb2.Peer)


def test_an_unknown_kind_and_what_is_no_id_are_refused() -> None:
    for field, value in (("kind", "opinion"), ("kind", ""), ("id", "7"), ("references", ["7"])):
        fields = {"id": str(MEMORY.id), "verified": "peer", "kind": "context"} | {field: value}
        message = memory_pb2.MemoryView(**fields)  # type: ignore[arg-type] # texts by name
        with pytest.raises(ValueError, match=r"is not a valid MemoryKind|badly formed"):
            from_proto(message, MemoryView)


def test_nothing_is_something_else_than_none_where_a_field_may_be_absent() -> None:
    for told in (None, 0, 1):
        view = dataclasses.replace(MEMORY, told=told)
        assert from_proto(to_proto(view, memory_pb2.MemoryView), MemoryView).told == told
