"""The real clients; where they can't be had for want of npm, nothing here is tested."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.homes import ClientHome
from tests.support.worlds.machines import some_machines

_INSTALL = Path(__file__).resolve().parents[2] / "scripts/install-clients"
_NO_NPM = 3
_SKIPPED = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def programs(request: pytest.FixtureRequest) -> Path:
    # Installed by `make clients` before: in here is no network.
    install = subprocess.run([_INSTALL], capture_output=True, text=True, check=False, timeout=15)
    if install.returncode == _NO_NPM:
        request.config.stash[_SKIPPED] = install.stderr.strip()
        pytest.skip(install.stderr.strip())
    assert install.returncode == 0, f"{install.stderr}\nrun scripts/install-clients first"
    return Path(install.stdout.strip())


@pytest.fixture
def home(programs: Path) -> Iterator[ClientHome]:
    with some_machines("ann") as (machine,):
        yield ClientHome(machine, programs)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show that nothing was tested, which must not look like having passed."""
    if why := config.stash.get(_SKIPPED, None):
        terminalreporter.section("NOT TESTED: the real MCP clients", red=True, bold=True)
        terminalreporter.line(why, red=True)
