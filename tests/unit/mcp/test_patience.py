import pytest

from buddies_core.errors import InvalidInput
from buddies_mcp.patience import Patience, tool_timeout_s


async def tell(_passed_s: float, _text: str) -> None:
    pass


async def test_a_call_reports_every_ten_seconds_as_long_as_it_may_wait() -> None:
    patience = Patience(60, tell)
    assert patience.until_report_s() == 10
    patience.limit(None)
    assert patience.until_report_s() == 10
    patience.limit(5)
    assert 4 < patience.until_report_s() <= 5
    patience.limit(30)
    assert patience.until_report_s() <= 5, "it never grows"
    patience.limit(0)
    assert patience.until_report_s() == 0


@pytest.mark.parametrize(("text", "seconds"), [(None, 50), ("", 50), ("600", 600), ("1.5", 1.5)])
def test_how_long_a_call_may_block_can_be_set(text: str | None, seconds: float) -> None:
    environ = {} if text is None else {"BUDDIES_TOOL_TIMEOUT_SECS": text}
    assert tool_timeout_s(environ) == seconds


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "86401"])
def test_what_is_no_such_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"BUDDIES_TOOL_TIMEOUT_SECS is .*; it must be 1 to"):
        tool_timeout_s({"BUDDIES_TOOL_TIMEOUT_SECS": text})
