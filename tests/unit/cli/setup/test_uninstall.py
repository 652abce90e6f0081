"""Uninstalling takes away what buddies made, and nothing else."""

import os
from pathlib import Path

import pytest

from buddies_cli.setup.removing import Installation, installation
from buddies_core.mcp_clients import client_named
from tests.unit.cli.conftest import Person
from tests.unit.cli.setup.conftest import Home


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that took this process's place."""
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr("os.execv", lambda _, command: commands.append(tuple(command)))
    return commands


@pytest.fixture
def data(home: Home) -> Path:
    """A data directory as a daemon leaves it."""
    place = home.path / ".local" / "share" / "buddies"
    for directory in ("store", "store.before-20261101-120000", "index", "run"):
        (place / directory).mkdir(parents=True)
        (place / directory / "file").touch()
    for name in (
        "node_key",
        "identity_ed25519",
        "udp_port",
        "core.log",
        "core.log.1",
        "lock",
        "host.lock",
        "http_token",
    ):
        (place / name).touch()
    return place


def as_uv_tool(home: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    prefix = home.path / "opt" / "venv"
    prefix.mkdir()
    (prefix / "uv-receipt.toml").touch()
    monkeypatch.setattr(
        "buddies_cli.setup.removing.installation",
        lambda environ: installation(environ, prefix),
    )
    return str(home.program("uv"))


def test_all_of_it_goes_and_what_is_somebody_elses_stays(
    person: Person,
    home: Home,
    data: Path,
    replaced: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uv = as_uv_tool(home, monkeypatch)
    person.machine.hosted = 7
    home.install(client_named("zed"), '{"theme": "dark"}')
    before = home.snapshot()
    person.types("setup", "--all")
    person.types("config", "set", "user", "ann")
    mine = data / "mine.txt"
    mine.touch()

    seen = person.types("uninstall", "--yes", "--json")

    assert seen.code == 0, seen.err
    assert (seen.json["program"], seen.json["stays"]) == ("uv", [str(data)])
    assert os.listdir(data) == ["mine.txt"]
    assert not person.machine.hosted
    assert not person.machine.runs
    assert replaced == [(uv, "tool", "uninstall", "buddies")]
    ours = f"{data.relative_to(home.path)}/"
    kept = {path: it for path, it in home.snapshot().items() if not path.startswith(ours)}
    assert kept == {path: it for path, it in before.items() if not path.startswith(ours)}


def test_data_and_settings_stay_where_that_is_asked_for(
    person: Person, home: Home, data: Path, replaced: list[tuple[str, ...]]
) -> None:
    person.types("config", "set", "user", "ann")
    before = home.snapshot()
    seen = person.types("uninstall", "--yes", "--keep-data", "--json")
    assert seen.code == 0
    assert home.snapshot() == before
    settings = home.path / ".config" / "buddies" / "config.toml"
    program, *others = reversed(seen.json["stays"])
    assert others == [str(settings), str(data)]
    assert "pip uninstall buddies" in program
    assert replaced == []


def test_a_directory_that_was_never_a_daemons_is_left_alone(
    person: Person, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUDDIES_DATA_DIR", str(home.path / "work"))
    (home.path / "work" / "store").mkdir(parents=True)
    (home.path / "work" / "store" / "goods").touch()
    before = home.snapshot()
    assert person.types("uninstall", "--yes").code == 0
    assert home.snapshot() == before


def test_nothing_goes_without_a_yes(
    person: Person, home: Home, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = home.snapshot()
    asked = []
    monkeypatch.setattr("click.confirm", lambda text, **_: asked.append(text))
    for words in (("uninstall",), ("uninstall", "--json")):
        assert "nothing was removed" in person.types(*words).err
    assert asked == [f"Uninstall buddies? All rooms, memories and keys in {data} will be lost."]
    assert home.snapshot() == before
    assert person.machine.runs


def test_the_program_stays_until_every_client_is_seen_to(
    person: Person,
    home: Home,
    replaced: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_uv_tool(home, monkeypatch)
    cursor = home.install(client_named("cursor"))
    person.types("setup", "--all")
    cursor.chmod(0o444)
    seen = person.types("uninstall", "--yes")
    assert seen.code == 1
    assert f"{cursor} is read-only" in seen.err
    assert replaced == []


@pytest.mark.parametrize(
    ("mark", "program", "command"),
    [
        ("uv-receipt.toml", "uv", ("tool", "uninstall", "buddies")),
        ("pipx_metadata.json", "pipx", ("uninstall", "buddies")),
    ],
)
def test_what_installed_it_is_what_removes_it(
    mark: str, program: str, command: tuple[str, ...], home: Home
) -> None:
    prefix = home.path / "venv"
    prefix.mkdir()
    (prefix / mark).touch()
    assert installation(home.environ, prefix) == Installation("other", None)  # it is not there
    path = home.program(program)
    assert installation(home.environ, prefix) == Installation(program, (str(path), *command))


def test_of_a_private_environment_only_links_into_it_are_removed_with_it(home: Home) -> None:
    prefix, links = home.path / "venv", home.path / ".local" / "bin"
    links.mkdir(parents=True)
    (prefix / "bin").mkdir(parents=True)
    (links / "buddies").symlink_to(prefix / "bin" / "buddies")
    (links / "buddies-cli").symlink_to("/elsewhere/buddies-cli")
    assert installation(home.environ, prefix) == Installation("other", None)
    (prefix / "made-by-buddies").touch()
    assert installation(home.environ, prefix) == Installation(
        "venv", ("/bin/rm", "-rf", "--", str(prefix), str(links / "buddies"))
    )
