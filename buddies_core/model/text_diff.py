"""What one text changes in another, as a unified diff. Pure."""

from collections import Counter
from difflib import unified_diff

LINES_MAX = 1000
"""How long either text may be: difflib's worst case is cubic, and a peer may have written both."""
CHARS_MAX = 10_000
"""Of a diff that is one part of an answer: hosts cut results of some 50,000 characters."""


def text_diff(old: str, new: str, old_name: str, new_name: str, chars_max: int = CHARS_MAX) -> str:
    """Return a unified diff, empty if nothing changes.

    What is too long to compare or to show is summed up in a last line.
    """
    if old == new:
        return ""
    old_lines, new_lines = old.splitlines(), new.splitlines()
    if not old_lines or not new_lines:  # Nothing is to be compared.
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
