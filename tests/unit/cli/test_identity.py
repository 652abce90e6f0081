"""The commands that revoke and restore identities, as a person types them."""

import pytest

from buddies_cli.terminal import when
from buddies_core.clock import SystemClock
from buddies_core.model.json_view import json_of
from tests.support.fakes.identities import (
    ANN,
    NOBODY,
    OWN,
    REVOKED,
    REVOKED_OWN,
    IdentityClient,
)
from tests.unit.cli.conftest import Person

SINCE = "2023-11-14T22:13:20Z"
SINCE_MS = 1_700_000_000_000


@pytest.fixture(autouse=True)
def daemon(person: Person) -> IdentityClient:
    client = IdentityClient()
    person.machine.daemon = client
    return client


class Terminal:
    """Stdin with a person at it, who has typed this."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, typed: str) -> None:
        self._typed = typed

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        typed, self._typed = self._typed, ""
        return typed


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (("revoke", ANN, "--since", SINCE), ("revoke_identity", ANN, SINCE_MS, False)),
        (("revoke", OWN, "--since", SINCE, "--yes"), ("revoke_identity", OWN, SINCE_MS, True)),
        (("restore", ANN), ("restore_identity", ANN)),
        (("list",), ("revoked_identities",)),
    ],
)
def test_a_command_asks_the_daemon_one_question(
    person: Person, words: tuple[str, ...], question: tuple[object, ...]
) -> None:
    assert person.asked("identity", *words) == [question]


def test_a_time_may_be_a_span_back_from_now(person: Person, daemon: IdentityClient) -> None:
    before_ms = SystemClock().wall_ms()
    person.types("identity", "revoke", ANN, "--since", "2h")
    after_ms = SystemClock().wall_ms()
    [(_, _, since_ms, _)] = daemon.asked  # type: ignore[misc]
    assert before_ms <= since_ms + 7_200_000 <= after_ms  # type: ignore[has-type]


@pytest.mark.parametrize("words", [("revoke", ANN), ("revoke", ANN, "--since", "lately")])
def test_without_a_time_nothing_is_revoked(
    person: Person, daemon: IdentityClient, words: tuple[str, ...]
) -> None:
    assert person.types("identity", *words).code == 2
    assert daemon.asked == []


def test_revoking_says_what_is_hidden_and_what_stays(person: Person) -> None:
    assert person.types("identity", "revoke", ANN, "--since", SINCE).out == (
        f"{ANN} is revoked since {when(SINCE_MS)}.\n"
        "  Hidden: 3 memories, 1 skill, 8589934592 votes.\n"
        "  Received before, and still shown: 2 memories, 0 skills, 0 votes.\n"
    )


def test_revoking_an_identity_that_nothing_is_known_of_says_so(person: Person) -> None:
    seen = person.types("identity", "revoke", NOBODY, "--since", SINCE)
    assert (seen.code, seen.out) == (
        0,
        f"{NOBODY} is revoked since {when(0)}.\n"
        "  This machine has nothing from it; later entries will be hidden.\n",
    )


def test_ones_own_identity_is_refused_where_nobody_can_be_asked(
    person: Person, daemon: IdentityClient
) -> None:
    seen = person.types("identity", "revoke", OWN, "--since", SINCE)
    assert (seen.code, seen.out) == (1, "")
    assert "is this machine's own identity; if you mean it, add --yes" in seen.err
    assert daemon.asked == [("revoke_identity", OWN, SINCE_MS, False)]


@pytest.mark.parametrize(("typed", "code"), [("n\n", 1), ("\n", 1), ("y\n", 0)])
def test_ones_own_identity_is_revoked_at_a_terminal_after_asking(
    person: Person,
    daemon: IdentityClient,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    code: int,
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    seen = person.types("identity", "revoke", OWN, "--since", SINCE)
    assert seen.code == code
    assert "is this machine's own identity" in seen.err
    asked = [("revoke_identity", OWN, SINCE_MS, own_too) for own_too in (False, True)]
    assert daemon.asked == asked[: 1 if code else 2]
    if code == 0:
        assert f"{OWN}, which is this machine's own, is revoked" in seen.out


def test_as_json_nobody_is_asked(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert person.types("identity", "revoke", OWN, "--since", SINCE, "--json").code == 1


def test_restoring_says_what_is_back(person: Person) -> None:
    assert person.types("identity", "restore", ANN).out == (
        f"{ANN} is restored. Shown again: 3 memories, 1 skill, 8589934592 votes.\n"
    )
    assert person.types("identity", "restore", ANN, "--json").json == {
        "identity": ANN,
        "shown_again": {"memories": 3, "skills": 1, "votes": 1 << 33},
    }


def test_the_list_names_each_with_what_it_hides(person: Person) -> None:
    assert person.types("identity", "list").out == (
        f"{OWN}, which is this machine's own, is revoked since {when(0)}.\n"
        "  Hidden: 0 memories, 0 skills, 2 votes.\n"
        "  Received before, and still shown: 0 memories, 1 skill, 4 votes.\n"
        f"{ANN} is revoked since {when(SINCE_MS)}.\n"
        "  Hidden: 3 memories, 1 skill, 8589934592 votes.\n"
        "  Received before, and still shown: 2 memories, 0 skills, 0 votes.\n"
    )
    assert person.types("identity", "list", "--json").json == {
        "results": [json_of(REVOKED_OWN), json_of(REVOKED)]
    }


def test_where_nothing_is_revoked_the_list_says_so(person: Person, daemon: IdentityClient) -> None:
    daemon.revoked = ()
    seen = person.types("identity", "list")
    assert (seen.out, seen.err) == ("", "no identity is revoked\n")


def test_the_json_of_a_revocation_has_every_field(person: Person) -> None:
    assert person.types("identity", "revoke", ANN, "--since", SINCE, "--json").json == {
        "identity": ANN,
        "since_ms": 1_700_000_000_000,
        "revoked_at_ms": 1_700_000_900_000,
        "hidden": {"memories": 3, "skills": 1, "votes": 1 << 33},
        "shown": {"memories": 2, "skills": 0, "votes": 0},
        "is_own": False,
    }
