"""The difference between two texts, as a unified diff. Pure."""

from collections import Counter
from difflib import unified_diff

LINES_MAX = 1000
"""The most lines of either text: difflib's worst case is cubic, and peers may write both."""
CHARS_MAX = 10_000
"""The longest diff within an answer: hosts cut results of some 50,000 characters."""


def text_diff(old: str, new: str, old_name: str, new_name: str, chars_max: int = CHARS_MAX) -> str:
    """Return a unified diff, empty if nothing changes.

    A last line sums up anything too long to compare or to show.
    """
    if old == new:
        return ""
    old_lines, new_lines = old.splitlines(), new.splitlines()
    if not old_lines or not new_lines:  # There is nothing to compare.
        lines = [f"--- {old_name}", f"+++ {new_name}"]
        lines += [f"-{line}" for line in old_lines] + [f"+{line}" for line in new_lines]
        return _cut(lines, chars_max)
    if max(len(old_lines), len(new_lines)) > LINES_MAX:
        before, after = Counter(old_lines), Counter(new_lines)
        return (
            f"--- {old_name}\n+++ {new_name}\n… too long to compare line by line: "
            f"{(after - before).total()} lines added, {(before - after).total()} removed"
        )
    lines = list(unified_diff(old_lines, new_lines, old_name, new_name, lineterm=""))
    if not lines:
        return f"--- {old_name}\n+++ {new_name}\n… only the ends of lines differ"
    return _cut(lines, chars_max)


def _cut(lines: list[str], chars_max: int) -> str:
    diff = "\n".join(lines)
    if len(diff) <= chars_max:
        return diff
    return f"{diff[:chars_max]}\n… and {len(diff) - chars_max} more characters"
