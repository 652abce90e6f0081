"""Cuts answers about rooms and policies to what a model can take; see `fitting`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TypeAlias

from buddies_core.convert.cursors import identity_cursor, member_cursor, refused
from buddies_core.model.budget import json_cost
from buddies_core.model.ids import RoomName
from buddies_core.model.json_view import agent_rows, json_of
from buddies_core.model.policy import PolicyReport, PolicyView
from buddies_core.model.room import JoinReport, Member, MemberPlace, RoomList, RoomStatus
from buddies_core.rpc.fitting import FITTING_COST_MAX, first_fitting

TRIED_SHARE = FITTING_COST_MAX // 4
WARNINGS_SHARE = FITTING_COST_MAX // 8
AFFECTED_SHARE = FITTING_COST_MAX // 4
"""For the members that a policy shuts out, and as much for those that it lets in."""

Row: TypeAlias = tuple[MemberPlace, Member]
"""A member with one of its agents, or with none, and its place in the list."""


def room_list(rooms: Sequence[RoomName], after: RoomName | None) -> RoomList:
    """Return the rooms behind this one that fit."""
    rest = [name for name in rooms if after is None or name > after]
    room = FITTING_COST_MAX - json_cost(json_of(RoomList(())))
    fitting = first_fitting(rest, str, room)
    return RoomList(fitting, fitting[-1] if len(fitting) < len(rest) else None)


def room_status(status: RoomStatus, after: MemberPlace | None) -> RoomStatus:
    """Return the status with the members behind this place that fit."""
    status = replace(status, warnings=first_fitting(status.warnings, str, WARNINGS_SHARE))
    rows = [row for row in _rows(status.members) if after is None or _is_behind(row, after)]
    if after is not None:
        status = replace(status, away=())
    empty = replace(status, members=(), members_total=len(status.members))
    fitting = _fitting_rows(rows, FITTING_COST_MAX - json_cost(json_of(empty)))
    is_end = len(fitting) == len(rows)
    if is_end and after is None:
        return status
    return replace(
        empty,
        members=_members(fitting),
        next_cursor=None if is_end else member_cursor(fitting[-1][0]),
    )


def join_report(report: JoinReport) -> JoinReport:
    """Return the report with the members and the attempts that fit; a warning tells of others."""
    empty = replace(report, members=(), tried=())
    tried = first_fitting(
        report.tried,
        lambda attempt: json_of(replace(empty, tried=(attempt,)))["tried"],
        TRIED_SHARE,
    )
    warnings = first_fitting(report.warnings, str, WARNINGS_SHARE)
    left = FITTING_COST_MAX - json_cost(json_of(replace(empty, tried=tried, warnings=warnings)))
    rows = list(_rows(report.members))
    fitting = _fitting_rows(rows, left)
    if len(fitting) < len(rows):
        warnings += (
            f"the first {len(fitting)} of {len(rows)} agents are shown; get_room_status shows all",
        )
    if len(tried) < len(report.tried):
        warnings += (f"{len(report.tried) - len(tried)} more peers of the ticket were tried",)
    members = report.members if len(fitting) == len(rows) else _members(fitting)
    return replace(report, members=members, tried=tried, warnings=warnings)


def policy_view(view: PolicyView, cursor: str = "") -> PolicyView:
    """Return the policy with the identities behind the cursor that fit."""
    view = replace(view, warnings=first_fitting(view.warnings, str, WARNINGS_SHARE))
    return _with_fitting_identities(view, cursor, json_cost(json_of(_bare(view))))


def policy_report(report: PolicyReport) -> PolicyReport:
    """Return the report with the identities and members that fit; the totals tell of others."""
    warnings = first_fitting(report.view.warnings, str, WARNINGS_SHARE)
    report = replace(
        report,
        view=replace(report.view, warnings=warnings),
        shut_out=first_fitting(report.shut_out, json_of, AFFECTED_SHARE),
        admitted=first_fitting(report.admitted, json_of, AFFECTED_SHARE),
    )
    taken = json_cost(json_of(replace(report, view=_bare(report.view))))
    return replace(report, view=_with_fitting_identities(report.view, "", taken))


def _bare(view: PolicyView) -> PolicyView:
    return replace(view, identities=(), left_out=len(view.identities))


def _with_fitting_identities(view: PolicyView, cursor: str, taken: int) -> PolicyView:
    places = [identity_cursor(label) for label in view.identities]
    if cursor and cursor not in places:
        raise refused(cursor)
    begin = places.index(cursor) + 1 if cursor else 0
    fitting = first_fitting(view.identities[begin:], str, FITTING_COST_MAX - taken)
    end = begin + len(fitting)
    return replace(
        view,
        identities=fitting,
        left_out=len(places) - len(fitting),
        next_cursor=places[end - 1] if end < len(places) else None,
    )


def _rows(members: Sequence[Member]) -> Iterator[Row]:
    for member in members:
        place = MemberPlace(member.is_self, member.name, member.endpoint, 0)
        if not member.agents:
            yield place, member
        for number, agent in enumerate(member.agents, 1):
            yield replace(place, agents=number), replace(member, agents=(agent,))


def _is_behind(row: Row, after: MemberPlace) -> bool:
    place, _ = row
    return (place.order, place.agents) > (after.order, after.agents)


def _fitting_rows(rows: Sequence[Row], cost_max: int) -> tuple[Row, ...]:
    return first_fitting(rows, lambda row: list(agent_rows((row[1],))), cost_max)


def _members(rows: Sequence[Row]) -> tuple[Member, ...]:
    """Return the members of these rows, each with those of its agents that have one."""
    return tuple(
        replace(members[0], agents=tuple(agent for member in members for agent in member.agents))
        for _, group in groupby(rows, lambda row: row[0].order)
        for members in [[member for _, member in group]]
    )
