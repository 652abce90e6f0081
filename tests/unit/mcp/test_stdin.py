import json

import pytest

from buddies_mcp.stdin import mended


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'{"a":"cut \ud83d"}', {"a": "cut �"}),
        (r'{"a":["\udc18 cut"]}', {"a": ["� cut"]}),
        (r'{"\ud83d":"\ud83d\ud83d\udc18"}', {"�": "�\N{ELEPHANT}"}),
        (r'{"a":"\uD83D\uDC18"}', {"a": "\N{ELEPHANT}"}),
        (r'{"a":"a path: \\ud83d, \n\u2028"}', {"a": "a path: \\ud83d, \n\u2028"}),
    ],
)
def test_halves_of_surrogate_pairs_are_replaced_and_nothing_else(
    written: str, read: object
) -> None:
    line = mended(written)
    assert json.loads(line) == read
    assert "\n" not in line
    line.encode()


@pytest.mark.parametrize("line", ["", '{"a":1}\n', r'{"a":"\ud83d', "[" * 100_000 + r"\ud83d"])
def test_any_other_line_is_left_as_it_is(line: str) -> None:
    assert mended(line) == line
