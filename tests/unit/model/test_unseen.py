"""Characters that people don't see: all of Unicode's, but for those that emoji and scripts need."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.model.unseen import describe_unseen, find_unseen, without_unseen

# DerivedCoreProperties.txt of Unicode 16: Default_Ignorable_Code_Point.
DEFAULT_IGNORABLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip


def is_found(char: str) -> bool:
    return [one.char for one in find_unseen(f"a{char}b")] == [char]


def test_every_character_that_may_be_ignored_is_found() -> None:
    ignorable = (chr(code) for first, last in DEFAULT_IGNORABLE for code in range(first, last + 1))
    assert [hex(ord(char)) for char in ignorable if not is_found(char)] == []


def test_every_control_format_private_and_separating_character_is_found() -> None:
    def of_a_kind_that_is_unseen(char: str) -> bool:
        return unicodedata.category(char) in ("Cc", "Cf", "Co", "Zl", "Zp")

    everything = map(chr, range(sys.maxunicode + 1))
    unseen = [char for char in everything if of_a_kind_that_is_unseen(char)]
    assert [char for char in unseen if not is_found(char)] == ["\t", "\n", "\r"]


@pytest.mark.parametrize("code", [0x378, 0x2FE0, 0xFFFE, 0x1FFFE, 0x10FFFF])
def test_a_character_that_is_not_assigned_is_found(code: int) -> None:
    assert is_found(chr(code))


def test_letters_marks_digits_and_signs_are_seen() -> None:
    seen = [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(char)[0] in "LNPS" and is_found(char)
    ]
    # Fillers of Hangul, a blank pattern of Braille, a blank head of a note.
    assert seen == ["\u115f", "\u1160", "\u2800", "\u3164", "\uffa0", "\U0001d159"]


@pytest.mark.parametrize(
    "text",
    [
        "👩\u200d💻", "👨\u200d👩\u200d👧", "❤\ufe0f\u200d🔥", "🏳\ufe0f\u200d🌈", "🧑🏽\u200d🚀",
        "👨\u200d⚕\ufe0f", "1\ufe0f\u20e3", "#\ufe0f\u20e3", "©\ufe0f", "✔\ufe0e", "\u2139\ufe0f",
        "‼\ufe0f", "🙂\u200d↔\ufe0f", "〰\ufe0f", "🇩🇪", "\U0001fa77", "\U0001fae9", "\U000323b0",
        "\u0645\u06cc\u200c\u062e\u0648", "क्\u200dष", "क्\u200cष", "日本\u3000語", "é\u00a0!",
        "naïve – “so”…", "",
        "plain text,\twith a tab\r\nand lines\n",
    ],
)  # fmt: skip
def test_what_emoji_and_scripts_need_is_let_through(text: str) -> None:
    assert describe_unseen(text) == ""
    assert without_unseen(text) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a\u200db", 1), ("a\u200cb", 1), ("1\ufe0f", 1), ("a\ufe0f", 1), ("\ufe0f", 1),
        ("\u200d", 1),
        ("😀\ufe0f\ufe0f", 1), ("😀\ufe01", 1), ("😀\U000e0100\U000e0101", 2), ("😀\u200d", 1),
        ("😀\u200da", 1), ("😀\u200d\u200d😀", 2), ("م\u200ca", 1), ("+\u200d=", 1),
        ("漢\ufe0f", 1),
        ("漢\U000e0100", 1), ("🏴\U000e0067\U000e007f", 2),
    ],
)  # fmt: skip
def test_the_same_characters_elsewhere_are_found(text: str, count: int) -> None:
    assert len(list(find_unseen(text))) == count


def test_each_kind_is_named_with_its_first_place() -> None:
    text = "a\u200bb\u200b\n\nx \u202e\U000e0041\ue000\x1b\u0378\ufe01"
    assert describe_unseen(text) == (
        "8 characters that can't be seen, and an agent reads: "
        "ZERO WIDTH SPACE (U+200B) in line 1, column 2; "
        "RIGHT-TO-LEFT OVERRIDE (U+202E) in line 3, column 3; "
        "TAG LATIN CAPITAL LETTER A (U+E0041) in line 3, column 4; "
        "private use (U+E000) in line 3, column 5; "
        "control character (U+001B) in line 3, column 6; 2 more kinds"
    )
    assert describe_unseen("\u00ad").startswith("1 character that can't be seen")
    assert describe_unseen("\u200b" * 100_000).startswith("at least 1000 characters")


@given(st.text())
def test_nothing_unseen_is_left_once_it_is_removed_again_and_again(text: str) -> None:
    """A character that is removed may have been what the one beside it needed."""
    while (shorter := without_unseen(text)) != text:
        assert len(shorter) < len(text)
        text = shorter
    assert list(find_unseen(text)) == []
