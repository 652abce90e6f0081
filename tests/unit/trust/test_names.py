import pytest

from buddies_core.errors import InvalidInput
from buddies_core.trust.names import room_name


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("feature-a", "feature-a"),
        (" feature-a\n", "feature-a"),
        ("\ufefffeature-a\u200b", "feature-a"),
        ("\u200b \u00a0feature a\u2060\t\u3164", "feature a"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u1112\u1161\u11ab", "\ud55c"),
        ("\u212b", "\u00c5"),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("1\ufe0f\u20e3-team", "1\ufe0f\u20e3-team"),
        ("\u0440\u0443\u0441", "\u0440\u0443\u0441"),
        ("`a`", "`a`"),
        ("a\ufe0f", "a"),
        ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ("\u0645\u06cc\u200c\u062e\u0648", "\u0645\u06cc\u200c\u062e\u0648"),
    ],
)
def test_a_name_is_what_is_seen_of_it_in_composed_form(typed: str, name: str) -> None:
    assert room_name(typed) == name
    assert room_name(name) == name


@pytest.mark.parametrize(
    ("typed", "code_point"),
    [
        ("a\u200bb", "U+200B"),
        ("a\u200db", "U+200D"),
        ("a\ufeffb", "U+FEFF"),
        ("a\u00adb", "U+00AD"),
        ("a\u034fb", "U+034F"),
        ("a\u3164b", "U+3164"),
        ("a\u2800b", "U+2800"),
        ("a\ufe0fb", "U+FE0F"),
        ("a\ufe00b", "U+FE00"),
        ("a\U000e0100b", "U+E0100"),
        ("a\U000e0061b", "U+E0061"),
        ("a\0b", "U+0000"),
        ("a\nb", "U+000A"),
        ("a\u00a0b", "U+00A0"),
        ("a\u2028b", "U+2028"),
        ("a\x1b[1m", "U+001B"),
        ("a\ue000b", "U+E000"),
    ],
)
def test_a_name_with_something_unseen_in_it_is_refused_with_what_that_is(
    typed: str, code_point: str
) -> None:
    with pytest.raises(InvalidInput, match="which cannot be seen or told from a space") as refused:
        room_name(typed)
    assert code_point in str(refused.value).partition(" contains ")[2].partition(",")[0]


@pytest.mark.parametrize("typed", ["", " ", "\ufeff", "\u200b\u200b", "\n\t", "\u3164"])
def test_a_name_of_which_nothing_is_seen_is_empty(typed: str) -> None:
    with pytest.raises(InvalidInput, match="room is empty"):
        room_name(typed)


def test_the_length_counts_in_composed_form() -> None:
    assert len(room_name("e\u0301" * 128).encode()) == 256
    with pytest.raises(InvalidInput, match="room is 258 bytes long, 256 are allowed"):
        room_name("e\u0301" * 129)
