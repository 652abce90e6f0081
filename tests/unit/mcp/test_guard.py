"""Which requests the HTTP server takes."""

import stat
from pathlib import Path

import pytest

from buddies_core.errors import InvalidInput, StoreError
from buddies_mcp.host.guard import Guard, is_loopback, token_of

TOKEN = "a token that is long"  # noqa: S105 - for tests


def guard(host: str = "127.0.0.1", token: str = "") -> Guard:
    async def nothing(*_: object) -> None:
        raise AssertionError("the guard alone is asked")

    return Guard(nothing, host, token)


def status(guard: Guard, path: str = "/mcp", **headers: str | list[str]) -> int | None:
    given = {name: it if isinstance(it, list) else [it] for name, it in headers.items()}
    refused = guard.refusal(path, given)
    return None if refused is None else refused[0]


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080"])
def test_a_request_to_this_machine_by_its_own_names_is_taken(host: str) -> None:
    assert status(guard(), host=host) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil", "", "@",
     "localhost@evil.example", "10.0.0.7:8080", "[::", "127.0.0.1:80/x@evil"],
)  # fmt: skip
def test_a_request_by_a_name_that_was_made_to_lead_here_is_refused(host: str) -> None:
    wanted = None if host == "127.0.0.1:80/x@evil" else 421
    assert status(guard(), host=host) == wanted


def test_a_request_with_no_host_or_two_is_refused() -> None:
    assert status(guard()) == 421
    assert status(guard(), host=["localhost", "localhost"]) == 421


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        ("http://localhost:3000", None),
        ("http://127.0.0.1", None),
        ("http://[::1]:5173", None),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
        ("", 403),
        (["http://localhost", "http://evil.example"], 403),
    ],
)
def test_a_page_of_another_site_may_not_ask(origin: str | list[str], wanted: int | None) -> None:
    assert status(guard(), host="localhost:8080", origin=origin) == wanted


def test_where_others_can_reach_it_the_server_is_called_by_its_name_or_any_address() -> None:
    public = guard("box.example", TOKEN)
    bearer = f"Bearer {TOKEN}"
    for host in ("box.example:8080", "10.0.0.7:8080", "[fe80::1]:8080", "localhost"):
        assert status(public, host=host, authorization=bearer) is None
    assert status(public, host="evil.example", authorization=bearer) == 421
    asks = {"host": "box.example", "authorization": bearer}
    assert status(public, origin="https://box.example", **asks) is None
    assert status(public, origin="https://10.0.0.7", **asks) == 403


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x",
     f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN}\u00fc", [f"Bearer {TOKEN}", "Bearer wrong"]],
)  # fmt: skip
def test_a_request_without_the_right_token_is_refused(authorization: str | list[str]) -> None:
    assert status(guard(token=TOKEN), host="localhost", authorization=authorization) == 401
    assert status(guard(token=TOKEN), host="localhost") == 401


def test_the_token_is_taken_however_its_scheme_is_spelt() -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        asked = {"host": "localhost", "authorization": f"{scheme} {TOKEN}"}
        assert status(guard(token=TOKEN), **asked) is None


def test_there_is_nothing_beside_mcp() -> None:
    assert status(guard(), "/", host="localhost") == 404
    assert status(guard(), "/mcp/x", host="localhost") == 404


@pytest.mark.parametrize(
    ("host", "wanted"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False),  # noqa: S104 - nothing listens
     ("10.0.0.7", False), ("box.example", False)],
)  # fmt: skip
def test_only_this_machine_reaches_loopback(host: str, wanted: bool) -> None:
    assert is_loopback(host) == wanted


def test_a_token_is_made_once_where_others_can_reach_the_server(tmp_path: Path) -> None:
    file = tmp_path / "http_token"
    assert token_of({}, "127.0.0.1", file) == ("", False)
    assert not file.exists()

    made, is_new = token_of({}, "0.0.0.0", file)  # noqa: S104 - nothing listens
    assert (len(made) > 30, is_new) == (True, True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token_of({}, "::", file) == (made, False)

    given = {"BUDDIES_HTTP_TOKEN": "0123456789abcdef"}
    assert token_of(given, "::", file) == ("0123456789abcdef", False)


@pytest.mark.parametrize("token", ["short", "with a space in it, though long", "\u00fc" * 20])
def test_a_token_that_is_no_good_is_refused(token: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="openssl rand -hex 32"):
        token_of({"BUDDIES_HTTP_TOKEN": token}, "::", tmp_path / "http_token")


def test_a_token_that_can_not_be_kept_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="set BUDDIES_HTTP_TOKEN"):
        token_of({}, "::", tmp_path / "nowhere" / "http_token")
