import getpass
from pathlib import Path

import pytest

from buddies_core.daemon.config import Config
from buddies_core.errors import InvalidInput
from buddies_core.net.endpoint import NetworkMode
from buddies_core.paths import Paths


def test_what_the_environment_says_is_read_once(tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "BUDDIES_DATA_DIR": str(tmp_path),
        "BUDDIES_USER": " ann ",
        "BUDDIES_NETWORK": "lan",
        "BUDDIES_RELAY_URL": "https://relay.example",
        "BUDDIES_LEGACY": "off",
    }
    assert Config.from_environment(environ) == Config(
        paths=Paths(tmp_path, tmp_path / "run"),
        user="ann",
        network=NetworkMode.LAN,
        relay_url="https://relay.example",
        legacy=False,
        environ=environ,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUDDIES_USER", "x" * 65),
        ("BUDDIES_USER", "a\nb"),
        ("BUDDIES_NETWORK", "wan"),
        ("BUDDIES_LEGACY", "no"),
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
