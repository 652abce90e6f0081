"""The commands for skills, as a person types them."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

from buddies_core.model import json_view
from buddies_core.model.identity import Verified
from buddies_core.model.skill_file import skill_md
from tests.support.fakes.skill_client import SkillClient
from tests.support.fakes.skills import (
    CHILD,
    HASH,
    PAGE,
    PARENT,
    SEARCH_RESULT,
    SKILL,
    a_version,
)
from tests.support.matches import a_match
from tests.unit.cli.conftest import Person

NEWER = replace(SKILL, hash=CHILD, parent_hash=HASH, version=3, content="1. improved")


@pytest.fixture
def daemon(person: Person) -> SkillClient:
    client = SkillClient()
    person.machine.daemon = client
    return client


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.mark.parametrize(
    ("words", "question"),
    [
        (
            ("publish", "do it", "--room", "a", "--title", "t"),
            ("publish_skill", "a", "t", "do it", (), 0, ""),
        ),
        (
            ("publish", "c", "--room", "a", "--title", "t", "--tag", "x", "--parent", PARENT,
             "--version", "4"),
            ("publish_skill", "a", "t", "c", ("x",), 4, PARENT),
        ),
        (("search", "q"), ("search_skills", "q", None, (), 3.0, 20)),
        (
            ("search", "q", "--room", "a", "--tag", "x", "--timeout", "1", "--limit", "2"),
            ("search_skills", "q", "a", ("x",), 1.0, 2),
        ),
        (("vote", HASH, "down", "--room", "a"), ("vote_skill", "a", HASH, -1)),
        (("vote", HASH, "up", "--room", "a"), ("vote_skill", "a", HASH, 1)),
        (("list", "--tag", "x"), ("list_skills", None, ("x",), 20)),
    ],
)  # fmt: skip
def test_a_command_asks_the_daemon_one_question(
    person: Person, daemon: SkillClient, words: tuple[str, ...], question: tuple[object, ...]
) -> None:
    assert person.asked("skill", *words) == [question]


def test_a_search_shows_who_said_it_and_how_that_is_known(
    person: Person, daemon: SkillClient
) -> None:
    seen = person.types("skill", "search", "q")
    assert "version 2 in feature-a by bob (codex), unverified" in seen.out
    assert "version 2 in feature-a by bob (codex), signed" in seen.out
    assert "rank 2: 3 up, 1 down and 7 that do not count" in seen.out
    assert "carol did not answer: timed out" in seen.err
    assert person.types("skill", "search", "q", "--json").json == (json_view.json_of(SEARCH_RESULT))


def test_reading_a_skill_shows_its_versions_and_changes(
    person: Person, daemon: SkillClient
) -> None:
    seen = person.types("skill", "get", HASH)
    assert "1. run make release" in seen.out
    assert f"2\t→\t2\tbob (signer)\t{HASH}\n" in seen.out
    assert "+2. tag it" in seen.out


def test_installing_shows_all_and_asks(
    person: Person, daemon: SkillClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / ".cursor/skills/release/SKILL.md"
    answers(monkeypatch, "n\n")
    seen = person.types("skill", "install", HASH, "--client", "cursor")
    assert (seen.code, file.exists()) == (0, False)
    for shown in ("from bob", "signed by ssh:ssh-ed25519 AAAA bob", str(file), "+2. tag it ☺"):
        assert shown in seen.out

    answers(monkeypatch, "y\n")
    assert person.types("skill", "install", HASH, "--client", "cursor").code == 0
    assert file.read_text() == skill_md(SKILL, "release")


def test_nobody_at_the_terminal_means_no(
    person: Person, daemon: SkillClient, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, "")
    seen = person.types("skill", "install", HASH, "--client", "cursor")
    assert (seen.code, seen.err) == (
        1,
        "error: the question was not answered, so nothing was done\n",
    )
    assert not (home / ".cursor/skills/release").exists()


def test_as_json_it_is_only_shown_without_yes(
    person: Person, daemon: SkillClient, home: Path
) -> None:
    words = ("skill", "install", HASH, "--client", "project", "--name", "rel", "--json")
    shown = person.types(*words).json
    assert (shown["installed"], shown["path"]) == (False, str(home / ".agents/skills/rel/SKILL.md"))
    assert not (home / ".agents").exists()

    assert person.types(*words, "--yes").json["installed"] is True
    listed = person.types("skill", "list", "--installed", "--json").json["results"]
    assert [(one["client"], one["name"], one["hash"]) for one in listed] == [
        ("project", "rel", HASH)
    ]


def test_updating_follows_the_publisher_alone(
    person: Person, daemon: SkillClient, home: Path
) -> None:
    person.types("skill", "install", HASH, "--client", "claude", "--yes")
    hijack = replace(NEWER, hash="99" * 32, version=9, signed_by="ssh:other", content="evil")
    chain = (*PAGE.chain, a_version(NEWER), a_version(hijack))
    for view in (SKILL, NEWER, hijack):
        daemon.pages[view.hash] = replace(PAGE, skill=view, chain=chain)
    file = home / ".claude/skills/release/SKILL.md"

    seen = person.types("skill", "update", "--yes")
    assert "Updated" in seen.out
    assert file.read_text() == skill_md(NEWER, "release")
    assert "release is up to date" in person.types("skill", "update", "release").out


def test_updating_follows_whose_it_was_when_it_was_installed(
    person: Person, daemon: SkillClient, home: Path
) -> None:
    bobs, newer = (replace(v, verified=Verified.PEER, signed_by="") for v in (SKILL, NEWER))
    daemon.pages[HASH] = replace(PAGE, skill=bobs, chain=(a_version(bobs),))
    person.types("skill", "install", HASH, "--client", "claude", "--yes")
    signed_copy = replace(SKILL, author="99" * 32, signed_by="ssh:other")
    evil = replace(signed_copy, hash="99" * 32, parent_hash=HASH, version=9, content="evil")
    chain = (a_version(signed_copy), a_version(newer), a_version(evil))
    for view in (signed_copy, newer, evil):
        daemon.pages[view.hash] = replace(PAGE, skill=view, chain=chain)

    person.types("skill", "update", "--yes")
    assert (home / ".claude/skills/release/SKILL.md").read_text() == skill_md(newer, "release")


def test_updating_finds_what_only_a_member_has(
    person: Person, daemon: SkillClient, home: Path
) -> None:
    person.types("skill", "install", HASH, "--client", "claude", "--yes")
    daemon.skills_found = replace(SEARCH_RESULT, results=(replace(NEWER, match=a_match(1.0)),))
    daemon.pages[CHILD] = replace(PAGE, skill=NEWER)
    daemon.asked.clear()

    person.types("skill", "update", "--yes")
    assert ("get_skill", CHILD, 0, 1) in daemon.asked


def test_one_that_can_t_be_looked_up_does_not_stop_the_others(
    person: Person, daemon: SkillClient
) -> None:
    person.types("skill", "install", HASH, "--client", "claude", "--yes")
    person.types("skill", "install", HASH, "--client", "codex", "--yes")
    daemon.pages.clear()

    seen = person.types("skill", "update")
    assert (seen.code, seen.err.count("is not on this machine")) == (0, 2)


def test_uninstalling_removes_it(person: Person, daemon: SkillClient, home: Path) -> None:
    person.types("skill", "install", HASH, "--client", "claude", "--yes")
    assert person.types("skill", "uninstall", "release", "--client", "claude").code == 0
    assert not (home / ".claude/skills/release").exists()
    assert person.types("skill", "uninstall", "release", "--client", "claude").code == 1
    assert person.types("skill", "uninstall", "../x", "--client", "claude").code == 2


def test_what_a_peer_wrote_can_t_move_the_cursor(person: Person, daemon: SkillClient) -> None:
    evil = replace(
        SKILL, title="\x1b[2Jtitle", content="\x1b[1A", author_name="\x1b[0m", tags=("\x1b",)
    )
    evil = replace(evil, verified=Verified.PEER, signed_by="")
    daemon.pages[HASH] = replace(PAGE, skill=evil, chain=(), diff="\x1b[2J")
    assert "\x1b[2J" not in person.types("skill", "get", HASH).out
    seen = person.types("skill", "install", HASH, "--client", "claude", "--yes")
    assert "\x1b[1A" not in seen.out
    assert "\x1b[2J" not in seen.out
