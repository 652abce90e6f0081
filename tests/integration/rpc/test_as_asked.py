"""A daemon that takes no notice of what makes something private, and does not say so.

PROTOCOL should have kept it from being asked.
"""

from dataclasses import replace
from functools import partial

import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import InvalidInput, VersionMismatch
from buddies_core.model.ids import RoomName
from buddies_core.model.room import TicketReport
from tests.support.fakes.node import FakeNode
from tests.support.fakes.policies import ANN, OPEN_VIEW
from tests.support.fakes.policies import REPORT as POLICY_REPORT
from tests.support.fakes.services import JOIN_REPORT, invite_text

IGNORES = (
    r"^the daemon \(buddies .*\) does not do what it was asked for: it {}. "
    "Replace it: buddies-cli daemon restart$"
)


async def test_a_room_that_was_to_be_private_and_is_open_is_left_again_and_that_is_said(
    client: DaemonClient, node: FakeNode
) -> None:
    node.rooms.knows_private = False
    node.rooms.report = replace(JOIN_REPORT, already_joined=False)

    opened = "opened room 'feature-a' to everybody; this machine has left it again"
    with pytest.raises(VersionMismatch, match=IGNORES.format(opened)):
        await client.join_room("feature-a", private=True)

    assert node.rooms.calls == [
        ("join", "feature-a", None, None, True),
        ("leave", "feature-a", None, True),
    ]


async def test_an_open_room_that_this_machine_was_in_is_not_left_because_of_that(
    client: DaemonClient, node: FakeNode
) -> None:
    node.rooms.knows_private = False

    with pytest.raises(VersionMismatch, match=IGNORES.format("took open room .* private one")):
        await client.join_room("feature-a", private=True)

    assert node.rooms.calls == [("join", "feature-a", None, None, True)]


async def test_an_invite_without_the_limits_that_were_asked_for_is_not_handed_out(
    client: DaemonClient, node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gives(text: str, *_: object) -> TicketReport:
        return TicketReport(RoomName("feature-a"), text)

    for text, made in (
        ("ticket-text", None),
        (invite_text(10, 3600), "an invite for 10 uses in place of 1"),
        (invite_text(1, 86_400), r"an invite that lasts 86,\d+ s in place of 3,600 s"),
    ):
        monkeypatch.setattr(node.rooms, "ticket", partial(gives, text))
        kind = VersionMismatch if made else InvalidInput
        said = IGNORES.format(f"made {made}, which was not handed out") if made else "can't be read"
        with pytest.raises(kind, match=said):
            await client.room_ticket("feature-a", uses=1, expires_s=3600)


async def test_new_keys_that_a_member_got_all_the_same_are_told_of(
    client: DaemonClient, node: FakeNode
) -> None:
    node.rooms.knows_private = False

    told = "gave the new keys of room 'feature-a' to all members"
    with pytest.raises(VersionMismatch, match=IGNORES.format(told)):
        await client.rotate_room("feature-a", ["bob"])

    assert (await client.rotate_room("feature-a")).removed == ()


async def test_a_policy_that_is_wider_than_was_asked_for_is_told_of(
    client: DaemonClient, node: FakeNode
) -> None:
    node.policies.report = replace(POLICY_REPORT, view=OPEN_VIEW)

    unsigned = IGNORES.format("lets in what nobody has signed in room 'feature-a'")
    with pytest.raises(VersionMismatch, match=unsigned):
        await client.set_policy("feature-a", require_signed=True)
    nobody = IGNORES.format("put nobody on the whitelist of room 'feature-a', .* everybody")
    with pytest.raises(VersionMismatch, match=nobody):
        await client.set_policy("feature-a", [ANN])
    with pytest.raises(VersionMismatch, match=nobody):
        await client.add_to_policy("feature-a", ANN)

    assert (await client.set_policy("feature-a")).view == OPEN_VIEW
