import getpass
from pathlib import Path

import pytest

from buddies_core.daemon.config import Config
from buddies_core.errors import InvalidInput
from buddies_core.finding.exports import Export
from buddies_core.net.binding import NetworkMode
from buddies_core.paths import Paths
from buddies_core.store.quotas import Quotas
from tests.support.exports import tiny_export


def test_what_the_environment_says_is_read_once(tmp_path: Path) -> None:
    model = tiny_export(tmp_path / "model", {"blue": 0})
    environ = {
        "HOME": str(tmp_path),
        "BUDDIES_DATA_DIR": str(tmp_path),
        "BUDDIES_USER": " ann ",
        "BUDDIES_NETWORK": "lan",
        "BUDDIES_RELAY_URL": "https://relay.example",
        "BUDDIES_LEGACY": "off",
        "BUDDIES_MODEL": str(model),
        "BUDDIES_ROOM_QUOTA": "2 GiB",
        "BUDDIES_AUTHOR_QUOTA": "512MiB",
    }
    assert Config.from_environment(environ) == Config(
        paths=Paths(tmp_path, tmp_path / "run"),
        user="ann",
        network=NetworkMode.LAN,
        relay_url="https://relay.example",
        legacy=False,
        model=Export.read(model),
        quotas=Quotas(room=2 << 30, author=512 << 20),
        environ=environ,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUDDIES_USER", "x" * 65),
        ("BUDDIES_USER", "a\nb"),
        ("BUDDIES_NETWORK", "wan"),
        ("BUDDIES_LEGACY", "no"),
        ("BUDDIES_MODEL", "models/e5"),
        ("BUDDIES_MODEL", "/nowhere/at/all"),
        ("BUDDIES_ROOM_QUOTA", "lots"),
        ("BUDDIES_AUTHOR_QUOTA", "1023KiB"),
        ("BUDDIES_RELAY_URL", "relay.example"),
        ("BUDDIES_RELAY_URL", "https://"),
        ("BUDDIES_RELAY_URL", "https://["),
    ],
)
def test_a_variable_that_cannot_be_is_named(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=name):
        Config.from_environment({"HOME": str(tmp_path), "BUDDIES_USER": "ann", name: value})


@pytest.mark.parametrize(("value", "talks"), [("", True), ("on", True), ("off", False)])
def test_old_peers_are_talked_with_unless_that_is_off(
    value: str, talks: bool, tmp_path: Path
) -> None:
    environ = {"HOME": str(tmp_path), "BUDDIES_USER": "ann", "BUDDIES_LEGACY": value}
    assert Config.from_environment(environ).legacy is talks


def test_a_model_in_the_home_is_found_and_what_it_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    model = tiny_export(tmp_path / "model", {"blue": 0})
    environ = {"HOME": str(tmp_path), "BUDDIES_USER": "ann", "BUDDIES_MODEL": "~/model"}
    assert Config.from_environment(environ).model == Export.read(model)
    (model / "tokenizer.json").unlink()
    with pytest.raises(InvalidInput, match=r"that BUDDIES_MODEL names can't be used: .* tokenizer"):
        Config.from_environment(environ)


@pytest.mark.parametrize("failure", [KeyError("uid not found"), OSError("no such user")])
def test_a_user_whom_the_system_does_not_know_is_asked_for_a_name(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a container that runs under an arbitrary user id."""

    def unknown() -> str:
        raise failure

    monkeypatch.setattr(getpass, "getuser", unknown)
    with pytest.raises(InvalidInput, match="set BUDDIES_USER"):
        Config.from_environment({"HOME": str(tmp_path)})
