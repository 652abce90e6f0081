"""The key that a person signs with is found, and named in the settings."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Person
from tests.unit.cli.setup.conftest import Home


@pytest.fixture
def git(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where git is, whose configuration this returns."""
    monkeypatch.setenv("PATH", f"{home.path / 'bin'}:/usr/bin:/bin")
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    return home.path / ".gitconfig"


def key(home: Home, name: str) -> None:
    file = home.path / ".ssh" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("a key")


def settings(home: Home) -> str:
    file = home.path / ".config" / "buddies" / "config.toml"
    return file.read_text() if file.exists() else ""


def test_the_key_that_git_signs_with_is_used_as_it_is(
    person: Person, home: Home, git: Path
) -> None:
    git.write_text('[user]\n\tsigningkey = "~/.ssh/work.pub"\n')
    key(home, "id_ed25519")
    seen = person.types("setup", "identity", "--yes", "--json")
    assert seen.json == {"signer": "git", "key": "~/.ssh/work.pub", "set": True}
    assert (person.machine.checked, settings(home)) == ([], "")


def test_an_ssh_key_that_works_without_its_agent_is_set(
    person: Person, home: Home, git: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    key(home, "id_rsa")
    key(home, "id_ed25519")
    seen = person.types("setup", "identity", "--yes")
    assert seen.out == "This machine signs by ssh, with ~/.ssh/id_ed25519.\n"
    assert settings(home) == 'signer = "ssh"\nssh_private_key = "~/.ssh/id_ed25519"\n'
    (checked,) = person.machine.checked
    assert checked["BUDDIES_SSH_PRIVATE_KEY"] == "~/.ssh/id_ed25519"
    assert "SSH_AUTH_SOCK" not in checked

    again = person.types("setup", "identity", "--yes", "--json")
    assert again.json == {"signer": "ssh", "key": "~/.ssh/id_ed25519", "set": True}


def test_a_key_that_cannot_work_is_passed_over_and_the_way_out_told(
    person: Person, home: Home, git: Path
) -> None:
    key(home, "id_ed25519")
    key(home, "id_rsa")
    person.machine.refuses = "it has a passphrase"
    seen = person.types("setup", "identity", "--yes")
    assert seen.code == 0
    assert "No key signs for this machine" in seen.out
    assert "buddies-cli config set signer generated" in seen.out
    assert len(person.machine.checked) == 2
    assert settings(home) == ""


def test_nothing_is_set_without_a_yes(
    person: Person, home: Home, git: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key(home, "id_ed25519")
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    assert person.types("setup", "identity").out == "Nothing was set.\n"
    assert person.types("setup", "identity", "--json").json["set"] is False
    assert settings(home) == ""


def test_a_system_without_git_is_no_problem(person: Person, home: Home) -> None:
    assert person.types("setup", "identity", "--json").json["signer"] is None
    with pytest.raises(FileNotFoundError):
        subprocess.run(["git"], check=False)
