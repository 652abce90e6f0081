"""install.sh as a user runs it: into a home of its own, twice, and out again."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.worlds.machines import some_machines

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "install.sh"
PROGRAMS = ["buddies", "buddies-cli", "buddies-core"]
STUB = """\
#!/bin/sh
echo "$(basename "$0") $*" >>"$HOME/calls"
mkdir -p "$HOME/tools"
case "$*" in
    "tool dir --bin" | "environment --value PIPX_BIN_DIR") echo "$HOME/tools" ;;
    *install*) printf '#!/bin/sh\\necho "cli $*" >>"$HOME/calls"\\n' >"$HOME/tools/buddies-cli"
        chmod +x "$HOME/tools/buddies-cli" ;;
esac
"""
HANDSHAKE = """\
{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-11-25",\
 "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}}
"""


@dataclass(frozen=True)
class Owner:
    """A person with a new machine."""

    home: Path
    path: str
    """Where programs are found: nothing but what a small system has."""

    def runs(self, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run install.sh, without a terminal."""
        return self.types("sh", str(SCRIPT), *words, stdin=stdin, **more)

    def types(self, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program in this home."""
        environ = {"HOME": str(self.home), "PATH": self.path, "BUDDIES_NETWORK": "loopback"}
        return subprocess.run(
            words,
            env=environ | more,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def calls(self) -> list[str]:
        return (self.home / "calls").read_text().splitlines()

    def stub(self, name: str) -> None:
        """Put a program on the PATH that stands for an installer, and notes what it is asked."""
        program = self.home / "bin" / name
        program.write_text(STUB)
        program.chmod(0o755)


@pytest.fixture
def owner() -> Iterator[Owner]:
    with some_machines("ann") as (machine,):
        tools = machine.home / "bin"
        tools.mkdir()
        for name in ("python3", "git", "ssh-keygen"):
            found = sys.executable if name == "python3" else f"/usr/bin/{name}"
            (tools / name).symlink_to(os.path.realpath(found))
        yield Owner(machine.home, f"{tools}:/usr/bin:/bin")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is released, built from this checkout."""
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(place.glob("*.whl"))


def test_help_tells_the_options_and_does_nothing(owner: Owner) -> None:
    seen = owner.runs("--help")
    assert (seen.returncode, seen.stderr) == (0, "")
    for option in ("--all", "--from SOURCE", "--uninstall", "--keep-data"):
        assert option in seen.stdout
    assert sorted(os.listdir(owner.home)) == ["bin", "run"]


@pytest.mark.parametrize(
    ("words", "more", "code", "said"),
    [
        (("--al",), {}, 2, "--al is not an option; see install.sh --help"),
        (("--from",), {}, 2, "--from needs a value"),
        (("--keep-data",), {}, 2, "--keep-data goes with --uninstall"),
        ((), {"HOME": ""}, 1, "HOME is not set"),
        ((), {"BUDDIES_INSTALLER": "apt"}, 2, "BUDDIES_INSTALLER is apt, not uv, pipx or venv"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: tuple[str, ...], more: dict[str, str], code: int, said: str, owner: Owner
) -> None:
    seen = owner.runs(*words, **more)
    assert seen.returncode == code
    assert said in seen.stderr
    assert seen.stderr.count("\n") == 1


def test_uv_is_preferred_to_pipx_and_its_programs_are_used(owner: Owner) -> None:
    owner.stub("uv")
    owner.stub("pipx")
    seen = owner.runs("--all", "--from", "./some source")
    assert seen.returncode == 0, seen.stderr
    assert owner.calls() == [
        "uv tool install --quiet --upgrade --reinstall-package buddies ./some source",
        "uv tool dir --bin",
        "cli --version",
        "cli setup identity --yes",
        "cli setup --all",
    ]
    assert f"{owner.home}/tools is not on your PATH" in seen.stdout


def test_pipx_is_used_where_there_is_no_uv_and_nobody_is_asked_without_a_terminal(
    owner: Owner,
) -> None:
    owner.stub("pipx")
    seen = owner.runs("--from", "x.whl")
    assert seen.returncode == 0, seen.stderr
    assert owner.calls() == [
        "pipx install --quiet --force x.whl",
        "pipx environment --value PIPX_BIN_DIR",
        "cli --version",
        "cli setup identity --yes",
        "cli setup --dry-run",
    ]
    assert "no client was changed. To change them: buddies-cli setup" in seen.stdout


def test_the_checkout_that_the_script_is_in_is_what_it_installs(owner: Owner) -> None:
    owner.stub("uv")
    owner.runs("--no-setup")
    assert owner.calls()[0].endswith(f"--reinstall-package buddies {ROOT}")

    piped = owner.types("sh", stdin=SCRIPT.read_text())
    assert piped.returncode == 1
    assert "name a source: install.sh --from SOURCE" in piped.stderr


def test_a_script_that_has_not_arrived_whole_does_nothing(owner: Owner) -> None:
    owner.stub("uv")
    text = SCRIPT.read_text()
    for length in range(0, len(text) - len('main "$@"\n'), 500):
        owner.types("sh", "-s", "--", "--from", "x", stdin=text[:length])
    assert not (owner.home / "calls").exists()


def test_a_program_of_somebody_else_is_not_replaced(owner: Owner) -> None:
    theirs = owner.home / ".local" / "bin" / "buddies"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    seen = owner.runs("--from", "x.whl", BUDDIES_INSTALLER="venv")
    assert seen.returncode == 1
    assert f"{theirs} is there and is not ours" in seen.stderr
    assert theirs.read_text() == "theirs"
    assert not (owner.home / ".local" / "share").exists()


def test_from_nothing_to_a_configured_client_and_back_to_nothing(owner: Owner, wheel: Path) -> None:
    """The real package in a private environment; what it depends on comes from this one's."""
    more = {
        "BUDDIES_INSTALLER": "venv",
        "BUDDIES_PIP_OPTIONS": "--no-index --no-deps --force-reinstall",
        "PYTHONPATH": sysconfig.get_path("purelib"),
    }
    cursor = owner.home / ".cursor" / "mcp.json"
    cursor.parent.mkdir()
    cursor.write_text('{"mcpServers": {"other": {"command": "x"}}}')
    key = owner.home / ".ssh" / "id_ed25519"
    key.parent.mkdir(mode=0o700)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    links, program = owner.home / ".local" / "bin", owner.home / ".local/share/buddies-program"

    for _ in range(2):  # safe to run twice
        seen = owner.runs("--all", "--from", str(wheel), **more)
        assert seen.returncode == 0, seen.stderr
        assert "This machine signs by ssh, with ~/.ssh/id_ed25519." in seen.stdout
        assert sorted(os.listdir(links)) == PROGRAMS
        assert f'"command": "{links}/buddies"' in cursor.read_text()
    config = owner.home / ".config" / "buddies" / "config.toml"
    assert config.read_text() == 'signer = "ssh"\nssh_private_key = "~/.ssh/id_ed25519"\n'

    agent = owner.types(str(links / "buddies"), stdin=HANDSHAKE, **more)
    assert '"serverInfo"' in agent.stdout, agent.stderr
    started = owner.types(str(links / "buddies-cli"), "daemon", "start", **more)
    assert started.returncode == 0, started.stderr
    kept = owner.runs("--uninstall", "--keep-data", **more)
    data = owner.home / ".local" / "share" / "buddies"
    assert kept.returncode == 0, kept.stderr
    assert "Stopped the process that serves the agents" in kept.stderr
    assert "Stopped the daemon" in kept.stderr
    assert f"stays: {data}\n" in kept.stdout
    assert (data / "node_key").exists()
    assert cursor.read_text() == '{"mcpServers": {"other": {"command": "x"}}}'
    assert not program.exists()
    assert os.listdir(links) == []

    assert owner.runs("--all", "--from", str(wheel), **more).returncode == 0
    mine = data / "mine.txt"
    mine.write_text("notes")
    gone = owner.runs("--uninstall", **more)
    assert gone.returncode == 0, gone.stderr
    assert f"stays: {data}\n" in gone.stdout
    assert os.listdir(data) == ["mine.txt"]
    assert not config.parent.exists()
    assert not program.exists()
    assert "buddies is not installed for this user" in owner.runs("--uninstall", **more).stdout
