"""The wheel, the sdist and the image that are built from this checkout."""

import email
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from buddies_core import __version__

ROOT = Path(__file__).parents[2]
PACKAGES = ("buddies_cli", "buddies_core", "buddies_mcp")
DATA = {
    "buddies_cli/py.typed",
    "buddies_core/py.typed",
    "buddies_mcp/py.typed",
    "buddies_core/finding/vocab.txt",
}


def build(source: Path, target: str, place: Path) -> Path:
    """Return the file that hatchling makes of that directory."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(place)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (built,) = place.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel_file)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the sdist unpacks to."""
    place = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        archive.extractall(place, filter="data")
    return place / f"buddies-{__version__}"


def code_and_data() -> set[str]:
    """Return the files of the packages: modules, stubs of what is generated, and data."""
    code = (
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for pattern in ("*.py", "*.pyi")
        for path in (ROOT / package).rglob(pattern)
    )
    return DATA | set(code)


def test_the_version_of_the_package_is_the_one_that_the_programs_print(
    wheel: zipfile.ZipFile,
) -> None:
    metadata = wheel.read(f"buddies-{__version__}.dist-info/METADATA").decode()

    assert email.message_from_string(metadata)["Version"] == __version__


def test_the_wheel_holds_the_packages_the_licence_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    about = {
        f"buddies-{__version__}.dist-info/{name}"
        for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }

    assert set(wheel.namelist()) == code_and_data() | about


def test_the_sdist_holds_the_packages_their_sources_and_nothing_else(sdist: Path) -> None:
    sources = {f"proto/{path.name}" for path in (ROOT / "proto").iterdir()}
    top = {
        ".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "install.sh",
        "pyproject.toml",
    }  # fmt: skip

    held = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    assert held == code_and_data() | sources | top


def test_a_wheel_made_of_the_sdist_is_the_one_made_of_the_checkout(
    sdist: Path, wheel_file: Path, tmp_path: Path
) -> None:
    assert build(sdist, "wheel", tmp_path).read_bytes() == wheel_file.read_bytes()


def test_the_image_is_built_from_what_the_wheel_is_built_from(
    wheel_file: Path, tmp_path: Path
) -> None:
    """Docker sends only what .dockerignore names, and `pip install .` has to find all it needs."""
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in ignored
    context = tmp_path / "context"
    context.mkdir()
    for line in ignored:
        if line.startswith("!"):
            (context / line[1:]).symlink_to(ROOT / line[1:])

    built = build(context, "wheel", tmp_path / "wheel")
    assert built.read_bytes() == wheel_file.read_bytes()


def test_the_daemon_in_the_image_is_not_root_and_keeps_its_data_in_a_volume() -> None:
    last = instructions().rpartition("\nFROM ")[2]
    words = dict(line.split(maxsplit=1) for line in last.splitlines()[1:])

    assert words["USER"] == "10001"
    assert words["VOLUME"] == "/data"
    assert "BUDDIES_DATA_DIR=/data" in words["ENV"].split()
    assert words["ENTRYPOINT"] == '["buddies-core"]'


def test_the_health_check_of_the_image_fails_without_a_daemon_and_starts_none(
    tmp_path: Path,
) -> None:
    (command,) = re.findall(r"^HEALTHCHECK .* CMD (.*)$", instructions(), re.MULTILINE)

    seen = subprocess.run(
        json.loads(command),
        env={"PATH": f"{Path(sys.executable).parent}", "BUDDIES_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert seen.returncode == 3, seen.stderr
    assert os.listdir(tmp_path) == []


def instructions() -> str:
    """Return the Dockerfile with one instruction a line, without comments."""
    text = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    return "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))


def test_the_version_is_written_in_one_place() -> None:
    sources = [ROOT / "pyproject.toml", *ROOT.glob("buddies_*/**/*.py")]

    assert [
        str(path.relative_to(ROOT))
        for path in sources
        if f'"{__version__}"' in path.read_text("utf-8")
    ] == ["buddies_core/__init__.py"]
