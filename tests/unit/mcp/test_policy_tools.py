import pytest

from buddies_core.errors import InvalidInput, NotAllowed
from buddies_core.model.json_view import JsonObject
from buddies_mcp.server import TOOLS
from tests.support.callers import a_call
from tests.support.fakes.policies import ANN, BEN, LOCKED_OUT, OPEN_VIEW, PEER
from tests.support.fakes.policy_client import PolicyClient


async def call(daemon: PolicyClient, tool: str, **given: object) -> JsonObject:
    return await TOOLS[tool].ask(daemon, TOOLS[tool].check(given), a_call())


@pytest.mark.parametrize(
    ("tool", "given", "question"),
    [
        (
            "set_identity_policy",
            {"room": "a", "identities": [ANN, BEN]},
            ("set_policy", "a", (ANN, BEN), False, False),
        ),
        (
            "set_identity_policy",
            {"room": "a", "identities": [], "require_signed": True, "confirm": True},
            ("set_policy", "a", (), True, True),
        ),
        (
            "add_whitelisted_identity",
            {"room": "a", "identity": ANN},
            ("add_to_policy", "a", ANN, False),
        ),
        (
            "add_whitelisted_identity",
            {"room": "a", "identity": ANN, "remove": True, "confirm": True},
            ("remove_from_policy", "a", ANN, True),
        ),
        ("get_identity_policy", {"room": "a"}, ("get_policy", "a")),
    ],
)
async def test_a_tool_asks_the_daemon_one_question(
    tool: str, given: dict[str, object], question: tuple[object, ...]
) -> None:
    daemon = PolicyClient()
    await call(daemon, tool, **given)
    assert daemon.asked == [question]


async def test_the_keys_of_0_1_4_are_there_and_whom_a_change_concerns() -> None:
    shown = await call(PolicyClient(), "get_identity_policy", room="feature-a")
    assert shown == {
        "room": "feature-a",
        "require_signed": True,
        "identities": [ANN, BEN],
        "left_out": 0,
        "next_cursor": None,
        "local_identity": ANN,
        "meaning": "Only what the 2 identities on the whitelist sign is heard.",
        "warnings": ["a warning"],
    }
    changed = await call(PolicyClient(), "add_whitelisted_identity", room="a", identity=BEN)
    carol = {"name": "carol", "endpoint_id": PEER.hex(), "signed_by": None, "present": True}
    assert changed == shown | {
        "shut_out": [carol, carol | {"name": "old", "endpoint_id": ""}],
        "shut_out_total": 70,
        "admitted": [carol | {"name": "ben", "signed_by": BEN, "present": False}],
        "admitted_total": 1,
    }


async def test_an_open_room_says_who_is_heard() -> None:
    daemon = PolicyClient()
    daemon.view = OPEN_VIEW
    shown = await call(daemon, "get_identity_policy", room="feature-a")
    assert (shown["meaning"], shown["local_identity"]) == (
        "There is no policy: everybody who knows the room's name is heard.",
        None,
    )


async def test_a_lockout_is_refused_until_it_is_confirmed() -> None:
    daemon = PolicyClient()
    daemon.needs_confirm = LOCKED_OUT
    with pytest.raises(NotAllowed, match=LOCKED_OUT):
        await call(daemon, "add_whitelisted_identity", room="a", identity=BEN)
    done = await call(daemon, "add_whitelisted_identity", room="a", identity=BEN, confirm=True)
    assert done["shut_out_total"] == 70


@pytest.mark.parametrize(
    "given",
    [
        {"room": "a"},
        {"room": "a", "identities": ANN},
        {"room": "a", "identities": [""]},
        {"room": "a", "identities": ["x" * 10_000]},
        {"room": "a", "identities": [ANN] * 257},
        {"room": "a", "identities": [], "confirm": "yes"},
    ],
)
async def test_what_is_no_policy_is_not_asked_for(given: dict[str, object]) -> None:
    daemon = PolicyClient()
    with pytest.raises(InvalidInput):
        await call(daemon, "set_identity_policy", **given)
    assert daemon.asked == []
