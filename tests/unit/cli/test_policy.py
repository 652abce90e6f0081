"""The commands for policies, as a person types them."""

import io
from dataclasses import replace

import pytest

from buddies_core.model.json_view import json_of
from tests.support.fakes.policies import ANN, BEN, LOCKED_OUT, OPEN_VIEW, REPORT, VIEW
from tests.support.fakes.policy_client import PolicyClient
from tests.unit.cli.conftest import Person


@pytest.fixture
def daemon(person: Person) -> PolicyClient:
    client = PolicyClient()
    person.machine.daemon = client
    return client


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def answers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(io.BytesIO(text.encode())))


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (("show", "a"), ("get_policy", "a")),
        (("set", "a", "--require-signed"), ("set_policy", "a", (), True, False)),
        (
            ("set", "a", "--identity", ANN, "--identity", BEN, "--no-require-signed", "--yes"),
            ("set_policy", "a", (ANN, BEN), False, True),
        ),
        (("add", "a", ANN), ("add_to_policy", "a", ANN, False)),
        (("remove", "a", ANN, "--yes"), ("remove_from_policy", "a", ANN, True)),
        (("clear", "a"), ("set_policy", "a", (), False, False)),
    ],
)
def test_a_command_asks_the_daemon_one_question(
    person: Person, daemon: PolicyClient, words: tuple[str, ...], question: tuple[object, ...]
) -> None:
    assert person.asked("policy", *words) == [question]


def test_a_policy_is_shown_in_words_with_whom_it_lists(
    person: Person, daemon: PolicyClient
) -> None:
    seen = person.types("policy", "show", "feature-a")
    assert seen.out.splitlines() == [
        "feature-a: Only what the 2 identities on the whitelist sign is heard.",
        f"{ANN}\tthis machine's",
        f"{BEN}\t",
        f"This machine's own identity: {ANN}",
    ]
    assert seen.err == "warning: a warning\n"
    assert person.types("policy", "show", "feature-a", "--json").json == json_of(VIEW)


def test_an_open_room_says_that_everybody_who_knows_its_name_is_heard(
    person: Person, daemon: PolicyClient
) -> None:
    daemon.view = OPEN_VIEW
    seen = person.types("policy", "show", "feature-a")
    assert "There is no policy: everybody who knows the room's name is heard." in seen.out
    assert "own identity: none" in seen.out


def test_a_change_prints_whom_it_drops_and_lets_in(person: Person, daemon: PolicyClient) -> None:
    seen = person.types("policy", "add", "feature-a", BEN)
    assert "Not accepted any more, or still not (70)" in seen.out
    assert "carol\t0102030405\tpresent\tno key known" in seen.out
    assert "old\tunknown\tpresent\tno key known" in seen.out
    assert "and 68 more" in seen.out
    assert "Accepted from now on (1)" in seen.out
    assert f"ben\t0102030405\tabsent\t{BEN}" in seen.out
    changed = person.types("policy", "add", "feature-a", BEN, "--json")
    assert changed.json == json_of(REPORT)


@pytest.mark.parametrize("command", [("set", "--identity"), ("add",), ("remove",)])
def test_a_lockout_asks_at_a_terminal(
    person: Person,
    daemon: PolicyClient,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
) -> None:
    daemon.needs_confirm = LOCKED_OUT
    words = ("policy", command[0], "a", *command[1:], BEN)
    answers(monkeypatch, "n\n")
    seen = person.types(*words)
    assert (seen.code, len(daemon.asked)) == (1, 1)
    assert f"warning: {LOCKED_OUT}" in seen.err
    assert "error: the policy is unchanged" in seen.err

    answers(monkeypatch, "y\n")
    assert person.types(*words).code == 0
    assert len(daemon.asked) == 3


def test_a_lockout_needs_yes_where_nobody_can_be_asked(
    person: Person, daemon: PolicyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.needs_confirm = LOCKED_OUT
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"y\n")))
    seen = person.types("policy", "add", "a", BEN)
    assert (seen.code, seen.err) == (1, f"error: {LOCKED_OUT}\n")
    answers(monkeypatch, "y\n")
    assert person.types("policy", "add", "a", BEN, "--json").code == 1
    assert person.types("policy", "add", "a", BEN, "--json", "--yes").code == 0


def test_setting_nothing_is_told_from_clearing(person: Person, daemon: PolicyClient) -> None:
    seen = person.types("policy", "set", "a")
    assert (seen.code, daemon.asked) == (2, [])
    assert "policy clear" in seen.err


def test_what_a_peer_calls_itself_can_t_move_the_cursor(
    person: Person, daemon: PolicyClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = replace(REPORT.shut_out[0], name="\x1b[2Jcarol\nroot", signed_by="\x1b[0m")
    monkeypatch.setattr(
        "tests.support.fakes.policy_client.REPORT", replace(REPORT, shut_out=(evil,))
    )
    seen = person.types("policy", "add", "a", BEN)
    assert "\x1b[2J" not in seen.out
    assert "carol root" in seen.out
