"""Points in time, in the forms that agents and people write."""

import re
from datetime import UTC, datetime

from buddies_core.errors import InvalidInput

FORMS = (
    "a span back from now such as 30m, 2h or 7d, an ISO 8601 date or time"
    " (UTC unless it says otherwise), or Unix seconds"
)

_SPAN = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_AGES = (
    ("year", 365.25 * 86_400, 2),
    ("month", 30.4375 * 86_400, 2),
    ("week", 7 * 86_400, 2),
    ("day", 86_400, 1),
    ("hour", 3600, 1),
    ("minute", 60, 1),
)
"""Each unit with the least number of it that is shown: 13 days, not 1 week."""
_SPAN_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
# Fewer digits are an ISO date: 20260131 is a day. Nine digits of seconds reach back to 1973.
_UNIX_SECONDS = re.compile(r"\d{9,11}", re.ASCII)


def age(at_s: float, now_s: float) -> str:
    """Return in words how long ago a moment was: 3 weeks ago; the future counts as just now."""
    seconds = int(now_s - at_s)
    for unit, unit_s, least in _AGES:
        if seconds >= least * unit_s:
            count = int(seconds // unit_s)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def iso(at_s: float) -> str:
    """Return a moment in ISO 8601 form, to the second, in UTC."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def moment_ms(text: str, now_ms: int) -> int:
    """Return the moment in `text`, in one of FORMS, as Unix milliseconds; never before 1970.

    Raises:
        InvalidInput: it has none of these forms.
    """
    text = text.strip()
    if span := _SPAN.fullmatch(text):
        return max(0, now_ms - int(span[1]) * _SPAN_UNIT_S[span[2]] * 1000)
    if _UNIX_SECONDS.fullmatch(text):
        return int(text) * 1000
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0, int(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        raise InvalidInput(f"{text!r} is no point in time; allowed: {FORMS}") from None
