"""The daemon as a service: what systemd and launchd are told, and asked."""

import json
import os
import plistlib
import stat

import pytest

from buddies_cli.service.units import Service, launchd_plist, systemd_unit
from tests.unit.cli.conftest import Person
from tests.unit.cli.setup.conftest import Home

UNIT = ".config/systemd/user/buddies-core.service"
MANAGER = """
state = os.path.join(os.environ["HOME"], "enabled")
words = sys.argv[2:]
if words[0] == "enable":
    open(state, "w").close()
if words[0] == "disable" and os.path.exists(state):
    os.remove(state)
if words[0] in ("is-enabled", "is-active"):
    sys.exit(not os.path.exists(state))
"""


def asked(home: Home, program: str) -> list[list[str]]:
    """Return what the service manager was asked for so far, and forget it."""
    log = home.path / f"{program}.calls"
    calls = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return calls


def test_installing_writes_the_unit_and_starts_it_in_place_of_the_daemon_that_runs(
    person: Person, home: Home
) -> None:
    home.program("systemctl", MANAGER)

    seen = person.types("service", "install", "--yes")

    assert seen.code == 0, seen.err
    assert "Stopped the daemon, which was process 4321." in seen.err
    assert asked(home, "systemctl") == [
        ["--user", "show-environment"],
        ["--user", "daemon-reload"],
        ["--user", "enable", "buddies-core.service"],
        ["--user", "restart", "buddies-core.service"],
    ]
    lines = (home.path / UNIT).read_text().splitlines()
    [started] = [line for line in lines if line.startswith("ExecStart=")]
    assert started.endswith('/buddies-core"')
    assert os.access(started.removeprefix("ExecStart=").strip('"'), os.X_OK)
    status = person.types("service", "status", "--json").json
    assert (status["installed"], status["enabled"], status["active"]) == (True, True, True)


def test_what_was_installed_comes_out_without_a_trace(person: Person, home: Home) -> None:
    home.program("systemctl", MANAGER)
    before = home.snapshot()
    person.types("service", "install", "--yes")
    asked(home, "systemctl")

    seen = person.types("service", "uninstall", "--yes")

    assert seen.out == f"Deleted {home.path / UNIT}.\n"
    assert asked(home, "systemctl") == [
        ["--user", "disable", "--now", "buddies-core.service"],
        ["--user", "daemon-reload"],
    ]
    assert home.snapshot() == before
    assert person.types("service", "uninstall", "--yes").out == "It was not installed.\n"


def test_uninstalling_buddies_removes_the_service_first(
    person: Person, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would start another daemon."""
    monkeypatch.setattr("os.execv", lambda *_: None)
    home.program("systemctl", MANAGER)
    person.types("service", "install", "--yes")

    seen = person.types("uninstall", "--yes")

    assert seen.err.splitlines()[0] == f"Removed the service, {home.path / UNIT}."
    assert not (home.path / UNIT).exists()


def test_a_dry_run_and_a_no_change_nothing(person: Person, home: Home) -> None:
    home.program("systemctl", MANAGER)
    before = home.snapshot()

    tried = person.types("service", "install", "--dry-run")
    refused = person.types("service", "install", "--json")

    assert (tried.code, refused.code) == (0, 0)
    assert "+Restart=on-failure" in tried.out
    assert refused.err == "nothing was changed; add --yes to do it\n"
    assert (home.snapshot(), person.machine.runs) == (before, True)


def test_where_systemd_can_not_be_asked_nothing_is_written(person: Person, home: Home) -> None:
    home.program("systemctl", "print('no bus'); sys.exit(1)")

    seen = person.types("service", "install", "--yes")

    assert seen.code == 1
    assert "systemd can't be asked for services of this user: no bus." in seen.err
    assert (person.machine.runs, (home.path / UNIT).exists()) == (True, False)


def test_settings_that_are_wrong_leave_the_daemon_that_runs(person: Person, home: Home) -> None:
    home.program("systemctl", MANAGER)
    person.machine.refuses = "no such moon"

    seen = person.types("service", "install", "--yes")

    assert (seen.code, seen.err) == (2, "error: no such moon\n")
    assert (person.machine.runs, (home.path / UNIT).exists()) == (True, False)


def test_a_unit_of_an_older_version_is_told_and_replaced(person: Person, home: Home) -> None:
    home.program("systemctl", MANAGER)
    person.types("service", "install", "--yes")
    unit = home.path / UNIT
    now = unit.read_text()
    unit.write_text(now.replace("RestartSec=10", "RestartSec=1"))

    told = person.types("service", "status")
    person.types("service", "install", "--yes")

    assert told.code == 1
    assert "to fix it: buddies-cli service install" in told.err
    assert unit.read_text() == now
    assert stat.S_IMODE(unit.stat().st_mode) == 0o644


def test_on_macos_launchd_is_asked_and_told_the_same(
    person: Person, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setenv("BUDDIES_DATA_DIR", "/d")
    home.program("launchctl")

    seen = person.types("service", "install", "--yes")

    assert seen.code == 0, seen.err
    domain = f"gui/{os.getuid()}"
    plist = home.path / "Library/LaunchAgents/buddies-core.plist"
    assert asked(home, "launchctl") == [
        ["print", domain],
        ["bootout", f"{domain}/buddies-core"],
        ["bootstrap", domain, str(plist)],
    ]
    said = plistlib.loads(plist.read_bytes())
    assert said["EnvironmentVariables"]["BUDDIES_DATA_DIR"] == "/d"
    assert said["ProgramArguments"][0].endswith("/buddies-core")
    assert (said["RunAtLoad"], said["KeepAlive"]) == (True, {"SuccessfulExit": False})


SERVICE = Service('/opt/a b%h"$c/buddies-core', {"BUDDIES_DATA_DIR": "/d %n \\ $x"})


def test_paths_with_signs_that_systemd_reads_mean_themselves() -> None:
    lines = systemd_unit(SERVICE).splitlines()

    assert 'ExecStart="/opt/a b%%h\\"$$c/buddies-core"' in lines
    assert 'Environment="BUDDIES_DATA_DIR=/d %%n \\\\ $x"' in lines


def test_a_property_list_holds_any_path() -> None:
    said = plistlib.loads(launchd_plist(SERVICE).encode())

    assert said["ProgramArguments"] == [SERVICE.command]
    assert said["EnvironmentVariables"] == SERVICE.environ
