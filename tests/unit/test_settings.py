"""What the environment and config.toml say, which of both counts, and what is wrong with them."""

import os
import sys
from pathlib import Path

import platformdirs
import pytest

from buddies_core.errors import InvalidInput
from buddies_core.identity.choosing import SignerKind
from buddies_core.net.binding import NetworkMode
from buddies_core.paths import config_file
from buddies_core.settings import FILE_BYTES_MAX, NAMED, Settings, checked_value


def home_with(tmp_path: Path, text: str | bytes) -> dict[str, str]:
    """Return the environment of a person whose config.toml holds this."""
    environ = {"HOME": str(tmp_path)}
    file = config_file(environ)
    assert file is not None
    file.parent.mkdir(parents=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return environ


def file_of(environ: dict[str, str]) -> Path:
    file = config_file(environ)
    assert file is not None
    return file


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    environ = home_with(tmp_path, 'network = "lan"\nuser = "ann"\n')
    settings = Settings.load({**environ, "BUDDIES_USER": " bob ", "BUDDIES_NETWORK": " "})

    assert [
        (value.text, value.source) for value in map(settings.value, ("user", "network", "legacy"))
    ] == [("bob", "BUDDIES_USER"), ("lan", "file"), ("on", "default")]
    assert [settings.text(name) for name in ("user", "network", "legacy")] == ["bob", "lan", ""]


def test_the_file_fills_in_what_the_environment_lacks_and_nothing_else(tmp_path: Path) -> None:
    environ = home_with(tmp_path, 'relay = "https://r.example"\nlog = "info"\nsigner = "ssh"\n')
    environ |= {"RUST_LOG": "debug", "OTHER": "x"}

    assert Settings.load(environ).environment() == {
        **environ,
        "BUDDIES_RELAY_URL": "https://r.example",
        "BUDDIES_SIGNER": "ssh",
    }


def test_the_files_public_key_is_not_taken_for_the_environments_private_one(
    tmp_path: Path,
) -> None:
    environ = home_with(tmp_path, 'ssh_private_key = "~/.ssh/a"\nssh_public_key = "~/.ssh/a.pub"\n')

    assert Settings.load(environ).text("ssh_public_key") == "~/.ssh/a.pub"
    for variable in ("BUDDIES_SSH_PRIVATE_KEY", "BUDDIES_SIGNING_KEY"):
        settings = Settings.load({**environ, variable: "~/.ssh/b"})
        assert settings.text("ssh_private_key") == "~/.ssh/b"
        assert settings.text("ssh_public_key") == ""
        assert "BUDDIES_SSH_PUBLIC_KEY" not in settings.environment()


def test_an_agent_goes_by_the_name_that_the_file_gives_it(tmp_path: Path) -> None:
    settings = Settings.load(home_with(tmp_path, '[agents]\nclaude-code = "Ann\'s Claude"\n'))

    assert settings.agent_name("claude-code") == "Ann's Claude"
    assert settings.agent_name("codex") == "codex"


def test_a_boolean_is_another_way_to_say_on_or_off(tmp_path: Path) -> None:
    assert Settings.load(home_with(tmp_path, "legacy = false\n")).text("legacy") == "off"


def test_without_a_file_or_a_home_only_the_environment_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings.load({"HOME": str(tmp_path)}).in_file == {}

    monkeypatch.setattr("pwd.getpwuid", _nobody)
    settings = Settings.load({"BUDDIES_USER": "ann"})
    assert (settings.path, settings.text("user")) == (None, "ann")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("user = \n", 1, "Invalid value"),
        ('user = "ann"\nnetwork "lan"\n', 2, "Expected '='"),
        ('user = "ann"\nuser = "bob"\n', 2, "Cannot overwrite a value"),
        ('# mine\n\nnetwork = "wan"\n', 3, "network is 'wan'; it must be one of public, lan"),
        ('netwrok = "lan"\n', 1, "netwrok is not a setting; did you mean network?"),
        ('colour = "red"\n', 1, "colour is not a setting; settings are user, network"),
        ("\nuser = 7\n", 2, 'user must be text in quotes: user = "…"'),
        ('user = " "\n', 1, "user is ' '; it must not be empty"),
        ('user = "' + "x" * 65 + '"\n', 1, "at most 64 bytes"),
        ('relay = "relay.example"\n', 1, "it must be a URL such as https://relay.example"),
        ('log = "loud"\n', 1, "'loud' is no level"),
        ('agents = "claude"\n', 1, "agents must be a table"),
        ("[agents]\ncodex = 1\n", 2, "codex must be text in quotes"),
        ("[user]\nname = 1\n", 1, "user must be text in quotes"),
        (b'user = "ann"\n# \xff\n', 2, "it is not UTF-8"),
    ],
)
def test_what_is_wrong_with_the_file_is_told_with_its_line_and_the_way_out(
    tmp_path: Path, text: str | bytes, line: int, said: str
) -> None:
    environ = home_with(tmp_path, text)
    with pytest.raises(InvalidInput) as failed:
        Settings.load(environ)
    told = str(failed.value)
    assert str(file_of(environ)) in told
    assert f"line {line}" in told
    assert said in told
    assert "buddies-cli config" in told or "move it away" in told


def _as_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _as_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _as_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def _as_huge(file: Path) -> None:
    file.write_bytes(b"#" * (FILE_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_as_directory, "is not a file"),
        (_as_pipe, "is not a file"),
        (_as_loop, "Too many levels of symbolic links"),
        (_as_huge, f"has more than {FILE_BYTES_MAX} bytes"),
    ],
)
def test_what_cannot_be_read_as_a_file_is_told_and_not_waited_for(
    tmp_path: Path, spoil: "object", said: str
) -> None:
    environ = home_with(tmp_path, "")
    assert callable(spoil)
    spoil(file_of(environ))
    with pytest.raises(InvalidInput, match=said):
        Settings.load(environ)


def test_deep_nesting_is_told_too(tmp_path: Path) -> None:
    environ = home_with(tmp_path, "user = " + "[" * 100_000)
    with pytest.raises(InvalidInput, match="can't be read"):
        Settings.load(environ)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("colour", "red", "not a setting"),
        ("agents", "x", "not a setting"),
        ("agents.", "x", "not a setting"),
        ("agents.codex", "a\nb", "printable name"),
        ("network", "wan", "must be one of public, lan, loopback"),
        ("user", " ", "must not be empty"),
    ],
)
def test_a_value_that_would_be_wrong_in_the_file_is_refused(
    name: str, value: str, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        checked_value(name, value)


def test_the_file_is_where_platformdirs_looks_and_hangs_on_two_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in list(os.environ):
        if variable.startswith("XDG_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", "/home/ann")
    assert config_file(os.environ) == _as_platformdirs_says()

    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # which the specification ignores
    assert config_file(os.environ) == _as_platformdirs_says()

    monkeypatch.setenv("XDG_CONFIG_HOME", "/etc/ann")
    assert (
        config_file(os.environ) == _as_platformdirs_says() == Path("/etc/ann/buddies/config.toml")
    )


def test_on_macos_it_is_where_that_keeps_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    support = Path("/Users/ann/Library/Application Support")
    assert config_file({"HOME": "/Users/ann"}) == support / "buddies" / "config.toml"


def test_what_the_table_allows_is_what_the_daemon_knows() -> None:
    assert NAMED["network"].default in list(NetworkMode)
    for mode in NetworkMode:
        assert NAMED["network"].check(mode) == mode
    for kind in SignerKind:
        assert NAMED["signer"].check(kind) == kind


def _as_platformdirs_says() -> Path:
    return platformdirs.user_config_path("buddies", appauthor=False) / "config.toml"


def _nobody(uid: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {uid}")
