import pytest

from buddies_core.errors import InvalidInput
from buddies_mcp.server import TOOLS


def refusal(tool: str, given: dict[str, object]) -> str:
    with pytest.raises(InvalidInput) as refused:
        TOOLS[tool].check(given)
    return str(refused.value)


def test_a_missing_argument_is_named_with_what_it_means() -> None:
    assert refusal("get_room_status", {}) == (
        "get_room_status was not called: room is missing (Name of the room)"
    )


def test_every_wrong_argument_is_named_at_once() -> None:
    given = {"room": 7, "content": "", "kind": "rumour", "tags": ["ok", ""], "title": "x" * 513}
    assert refusal("store_memory", given) == (
        "store_memory was not called: room must be of type string, not 7;"
        " content must not be empty;"
        ' kind must be one of decision, implementation, context, skill, status, not "rumour";'
        " tags[1] must not be empty;"
        " title has 513 characters; at most 512 are allowed"
    )


def test_an_unknown_argument_is_refused_with_the_known_ones() -> None:
    assert refusal("list_rooms", {"room": "a"}) == (
        "list_rooms was not called: there is no argument 'room'; allowed: none"
    )
    assert refusal("get_memory", {"id": "x", "size": None}) == (
        "get_memory was not called: there is no argument 'size'; allowed: id, offset, limit"
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"limit": 0}, "limit must be at least 1, not 0"),
        ({"limit": 501}, "limit must be at most 500, not 501"),
        ({"limit": "5"}, 'limit must be of type integer, not "5"'),
        ({"limit": True}, "limit must be of type integer, not true"),
        ({"tags": "db"}, 'tags must be of type array, not "db"'),
        ({"tags": ["t"] * 33}, "tags has 33 items; at most 32 are allowed"),
    ],
)
def test_a_wrong_filter_is_refused(given: dict[str, object], problem: str) -> None:
    assert refusal("list_memories", given) == f"list_memories was not called: {problem}"


@pytest.mark.parametrize("timeout_secs", [float("nan"), float("inf")])
def test_a_time_out_is_a_finite_number(timeout_secs: float) -> None:
    assert refusal("search_memory", {"query": "x", "timeout_secs": timeout_secs}) == (
        "search_memory was not called: timeout_secs must be a finite number"
    )


def test_a_long_wrong_value_is_shown_by_its_beginning() -> None:
    assert len(refusal("list_memories", {"limit": "9" * 100_000})) < 150


def test_a_null_for_an_argument_that_may_be_left_out_leaves_it_out() -> None:
    arguments = TOOLS["join_room"].check({"room": "a", "ticket": None})
    assert (arguments.text("room"), arguments.optional_text("ticket")) == ("a", None)


def test_a_null_for_a_required_argument_is_refused() -> None:
    assert refusal("join_room", {"room": None}) == (
        "join_room was not called: room must be of type string, not null"
    )


def test_an_argument_that_was_left_out_has_the_default_that_the_schema_shows() -> None:
    arguments = TOOLS["search_memory"].check({"query": "db"})
    assert (arguments.integer("limit"), arguments.number("timeout_secs")) == (20, 3.0)


def test_a_whole_number_may_come_as_a_fraction_of_zero() -> None:
    limit = TOOLS["list_memories"].check({"limit": 3.0}).integer("limit")
    assert (limit, type(limit)) == (3, int)
