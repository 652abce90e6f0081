"""The size limit for answers to tool calls, and the cost of texts and JSON values. Pure.

Models read answers token by token. We count in quarters of a token: an ASCII character is about a
quarter of one, a character of any other script about a whole one.
"""

import json

ANSWER_COST_MAX = 80_000
"""The limit is 20,000 tokens. Claude Code refuses answers of more than 25,000."""

_LAST_LINE_COST = 50


def answer_cost(text: str) -> int:
    """Return what a text costs a model, in quarters of a token."""
    if text.isascii():
        return len(text)
    return 4 * len(text) - 3 * len(text.encode("ascii", "ignore"))


def json_text(value: object) -> str:
    """Return a JSON value as models read it: compact, with every script written as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def json_cost(value: object) -> int:
    """Return what a JSON value costs a model. Quotes, line ends and controls count as escaped."""
    return answer_cost(json_text(value))


def fitting_chars(text: str, cost_max: int) -> int:
    """Return how many characters from the beginning of a text fit, written as a JSON string."""
    low, high = 0, min(len(text), max(0, cost_max))
    if json_cost(text[:high]) <= cost_max:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if json_cost(text[:middle]) <= cost_max:
            low = middle
        else:
            high = middle - 1
    return low


def fitting_text(text: str, cost_max: int) -> str:
    """Return a text that fits: all of it, or its beginning and a line that says what is missing."""
    if fitting_chars(text, cost_max) == len(text):
        return text
    end = fitting_chars(text, cost_max - _LAST_LINE_COST)
    return f"{text[:end]}\n… and {len(text) - end} more characters"
