import pytest

from buddies_core.errors import InvalidInput
from buddies_core.model.moments import age, moment_ms

NOW_MS = 1_700_000_000_000  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("0s", NOW_MS),
        ("30m", NOW_MS - 1_800_000),
        (" 2h ", NOW_MS - 7_200_000),
        ("7d", NOW_MS - 604_800_000),
        ("1w", NOW_MS - 604_800_000),
        ("1699999999", 1_699_999_999_000),
        ("2023-11-14", 1_699_920_000_000),
        ("20231114", 1_699_920_000_000),
        ("2023-11-14T22:13:20", NOW_MS),
        ("2023-11-14T22:13:20Z", NOW_MS),
        ("2023-11-15T00:13:20+02:00", NOW_MS),
    ],
)
def test_a_moment_is_a_span_back_from_now_or_an_iso_time_or_unix_seconds(
    text: str, expected_ms: int
) -> None:
    assert moment_ms(text, NOW_MS) == expected_ms


def test_a_moment_before_1970_is_1970() -> None:
    assert moment_ms("999999w", NOW_MS) == moment_ms("1961-04-12", NOW_MS) == 0


@pytest.mark.parametrize("text", ["", "yesterday", "2h ago", "-2h", "2023-13-01", "٣h"])
def test_any_other_text_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidInput, match="allowed: a span back from now such as 30m"):
        moment_ms(text, NOW_MS)


DAY_S = 86_400


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-500, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (DAY_S - 1, "23 hours ago"),
        (DAY_S, "1 day ago"),
        (13.9 * DAY_S, "13 days ago"),
        (14 * DAY_S, "2 weeks ago"),
        (21 * DAY_S, "3 weeks ago"),
        (60 * DAY_S, "8 weeks ago"),
        (61 * DAY_S, "2 months ago"),
        (23.9 * 30.4375 * DAY_S, "23 months ago"),
        (2 * 365.25 * DAY_S, "2 years ago"),
        (11 * 365.25 * DAY_S, "11 years ago"),
    ],
)
def test_how_long_ago_a_moment_was_is_told_in_a_unit_that_a_person_would_use(
    seconds: float, words: str
) -> None:
    assert age(1_000_000, 1_000_000 + seconds) == words
