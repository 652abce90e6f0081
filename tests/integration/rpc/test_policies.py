"""Each call about policies, from the client over a real socket to what lies behind it, and back."""

import pytest

from buddies_core.client import DaemonClient
from buddies_core.errors import InvalidInput, NotAllowed
from tests.support.fakes.node import FakeNode
from tests.support.fakes.policies import ANN, BEN, LOCKED_OUT, REPORT, VIEW

ROOM = "feature-a"


async def test_a_policy_is_shown_and_changed(client: DaemonClient, node: FakeNode) -> None:
    assert await client.get_policy(ROOM) == VIEW
    assert await client.set_policy(ROOM, [ANN, BEN], require_signed=True) == REPORT
    assert await client.set_policy(ROOM, confirm=True) == REPORT
    assert await client.add_to_policy(ROOM, ANN) == REPORT
    assert await client.remove_from_policy(ROOM, ANN, confirm=True) == REPORT
    assert node.policies.calls == [
        ("get", ROOM),
        ("set", ROOM, (ANN, BEN), True, False),
        ("set", ROOM, (), False, True),
        ("add", ROOM, ANN, False),
        ("remove", ROOM, ANN, True),
    ]


async def test_what_has_to_be_confirmed_is_not_allowed_at_first(
    client: DaemonClient, node: FakeNode
) -> None:
    node.policies.needs_confirm = LOCKED_OUT
    with pytest.raises(NotAllowed, match=LOCKED_OUT):
        await client.add_to_policy(ROOM, ANN)
    assert await client.add_to_policy(ROOM, ANN, confirm=True) == REPORT


async def test_a_label_that_can_t_be_sent_never_arrives(
    client: DaemonClient, node: FakeNode
) -> None:
    with pytest.raises(InvalidInput):
        await client.add_to_policy(ROOM, "ssh:\ud800")
    assert node.policies.calls == []
