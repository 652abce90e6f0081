"""The settings as a person sees and changes them."""

import stat
from pathlib import Path

import pytest

from buddies_core.settings import NAMED
from tests.unit.cli.conftest import Person

MINE = """\
# Ann's settings
user = "ann"  # as in the chat

network = "lan"

[agents]
codex = "Ann's Codex"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ann's config.toml, in a home and an environment without anything else."""
    for setting in NAMED.values():
        for variable in setting.variables:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    file = tmp_path / ".config" / "buddies" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(MINE)
    return file


def test_each_value_is_shown_with_where_it_comes_from(
    person: Person, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDDIES_NETWORK", "loopback")
    assert person.types("config", "show", "--json").json == {
        "path": str(file),
        "settings": [
            {"name": "user", "value": "ann", "source": "file"},
            {"name": "network", "value": "loopback", "source": "BUDDIES_NETWORK"},
            {"name": "relay", "value": "", "source": "default"},
            {"name": "legacy", "value": "on", "source": "default"},
            {"name": "model", "value": "all-MiniLM-L6-v2", "source": "default"},
            {"name": "history", "value": "all", "source": "default"},
            {"name": "signer", "value": "git", "source": "default"},
            {"name": "gpg_key", "value": "", "source": "default"},
            {"name": "ssh_private_key", "value": "", "source": "default"},
            {"name": "ssh_public_key", "value": "beside the private key", "source": "default"},
            {"name": "room_quota", "value": "1GiB", "source": "default"},
            {"name": "author_quota", "value": "256MiB", "source": "default"},
            {"name": "log", "value": "warn", "source": "default"},
            {"name": "agents.codex", "value": "Ann's Codex", "source": "file"},
        ],
    }
    shown = person.types("config", "show").out.splitlines()
    assert shown[0].split()[:3] == ["user", "ann", "file"]
    assert shown[1].split()[:3] == ["network", "loopback", "BUDDIES_NETWORK"]


def test_setting_and_unsetting_leave_the_rest_of_the_file_as_it_is(
    person: Person, file: Path
) -> None:
    file.chmod(0o640)
    for name, value, line in (
        ("user", "bob", 'user = "bob"  # as in the chat'),
        ("network", "loopback", 'network = "loopback"'),
    ):
        assert person.types("config", "set", name, value).code == 0
        assert line in file.read_text().splitlines()
    assert file.read_text() == MINE.replace('"ann"', '"bob"').replace('"lan"', '"loopback"')
    assert stat.S_IMODE(file.stat().st_mode) == 0o640

    assert person.types("config", "unset", "network").code == 0
    assert file.read_text() == MINE.replace('"ann"', '"bob"').replace('network = "lan"\n', "")


def test_what_is_set_comes_before_the_table_and_what_is_unset_leaves_as_it_was(
    person: Person, file: Path
) -> None:
    file.write_text('[agents]\ncodex = "C"\n')

    assert person.types("config", "set", "user", "ann").code == 0
    assert person.types("config", "set", "agents.claude-code", "Ann's Claude").code == 0

    found = person.types("config", "show", "--json").json["settings"]
    assert {it["name"]: it["value"] for it in found if it["source"] == "file"} == {
        "user": "ann",
        "agents.codex": "C",
        "agents.claude-code": "Ann's Claude",
    }
    for name in ("agents.codex", "agents.claude-code", "user"):
        assert person.types("config", "unset", name).code == 0
    assert file.read_text().strip() == ""


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(person: Person, file: Path) -> None:
    file.unlink()
    file.parent.rmdir()
    assert person.types("config", "path").out == f"{file}\n"

    assert person.types("config", "set", "user", "ann").code == 0

    assert file.read_text() == 'user = "ann"\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_to_the_file_stays_a_link(person: Person, file: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.toml"
    file.rename(real)
    file.symlink_to(real)

    assert person.types("config", "set", "user", "bob").code == 0

    assert file.is_symlink()
    assert 'user = "bob"' in real.read_text()


def test_a_setting_that_the_environment_overrules_is_set_with_a_warning(
    person: Person, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDDIES_NETWORK", "public")
    seen = person.types("config", "set", "network", "loopback")
    assert seen.code == 0
    assert "BUDDIES_NETWORK=public in this environment overrides the file" in seen.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("set", "colour", "red"), 2, "'colour' is not a setting"),
        (("set", "network", "wan"), 2, "network can't be 'wan': it must be one of public, lan"),
        (("unset", "relay"), 1, "relay is not set"),
        (("unset", "agents.claude"), 1, "agents.claude is not set"),
    ],
)
def test_what_cannot_be_set_or_unset_leaves_the_file_alone(
    person: Person, file: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    seen = person.types("config", *words)
    assert (seen.code, seen.out) == (code, "")
    assert said in seen.err
    assert file.read_text() == MINE


def test_a_broken_file_is_shown_with_its_line_and_never_written(person: Person, file: Path) -> None:
    broken = MINE + "oops\n"
    file.write_text(broken)
    for words in (("show",), ("set", "user", "bob"), ("unset", "user")):
        seen = person.types("config", *words)
        assert (seen.code, seen.out) == (2, "")
        assert str(file) in seen.err
        assert "line 8" in seen.err
    assert person.types("config", "path").code == 0
    assert file.read_text() == broken


def test_two_wrong_lines_are_removed_one_after_the_other(person: Person, file: Path) -> None:
    file.write_text('netwrok = "lan"\nuser = 7\n')
    first = person.types("config", "unset", "netwrok")
    assert first.code == 0
    assert "user must be text in quotes" in first.err
    assert person.types("config", "unset", "user").code == 0
    assert person.types("config", "show").code == 0


def test_without_a_home_there_is_no_place_for_settings(
    person: Person, monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", nobody)
    for words in (("path",), ("set", "user", "ann")):
        seen = person.types("config", *words)
        assert (seen.code, seen.out) == (2, "")
        assert "set HOME or XDG_CONFIG_HOME" in seen.err
    assert person.types("config", "show").code == 0
