"""The Rust peer's binary; where it can't be built for want of cargo, nothing here is tested."""

import subprocess
from pathlib import Path

import pytest

_BUILD = Path(__file__).resolve().parents[2] / "scripts/build-rust-peer"
_NO_CARGO = 3
_SKIPPED = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def rust_binary(request: pytest.FixtureRequest) -> Path:
    # Built by `make interop` before: in here, without a network, is no way to get its crates.
    build = subprocess.run([_BUILD], capture_output=True, text=True, check=False, timeout=15)
    if build.returncode == _NO_CARGO:
        request.config.stash[_SKIPPED] = build.stderr.strip()
        pytest.skip(build.stderr.strip())
    assert build.returncode == 0, f"{build.stderr}\nrun scripts/build-rust-peer first"
    return Path(build.stdout.strip())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the figures; and that nothing was tested, which must not look like having passed."""
    for report in terminalreporter.getreports("passed"):
        for figure, value in report.user_properties:
            terminalreporter.line(f"{figure}: {value}")
    if why := config.stash.get(_SKIPPED, None):
        terminalreporter.section("NOT TESTED: interoperation with Rust peers", red=True, bold=True)
        terminalreporter.line(why, red=True)
