from buddies_core.model.text_diff import LINES_MAX, text_diff


def test_a_diff_names_both_and_what_changed() -> None:
    assert text_diff("a\nb\n", "a\nc\n", "old", "new").splitlines() == [
        "--- old",
        "+++ new",
        "@@ -1,2 +1,2 @@",
        " a",
        "-b",
        "+c",
    ]


def test_the_same_text_has_no_diff() -> None:
    assert text_diff("a", "a", "old", "new") == ""


def test_a_new_text_is_shown_whole_however_long() -> None:
    text = "\n".join(f"{n}" for n in range(LINES_MAX + 1))
    shown = text_diff("", text, "old", "new", chars_max=1_000_000).splitlines()
    assert shown == ["--- old", "+++ new", *(f"+{n}" for n in range(LINES_MAX + 1))]


def test_what_is_too_long_to_compare_is_summed_up() -> None:
    old = "x\n" * (LINES_MAX + 1)
    assert text_diff(old, old + "y\ny\n", "old", "new").splitlines()[-1] == (
        "… too long to compare line by line: 2 lines added, 0 removed"
    )


def test_what_is_too_long_to_show_is_cut_and_says_so() -> None:
    shown = text_diff("", "y" * 100, "old", "new", chars_max=30)
    assert shown.splitlines() == ["--- old", "+++ new", "+" + "y" * 13, "… and 87 more characters"]


def test_a_change_of_line_ends_alone_is_named() -> None:
    assert text_diff("a\r\n", "a\n", "old", "new").endswith("… only the ends of lines differ")
