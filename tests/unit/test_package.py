"""What the released package says of itself, in a wheel built from this checkout."""

import email
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from buddies_core import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    place = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(place.glob("*.whl")))


def test_the_version_of_the_package_is_the_one_that_the_programs_print(
    wheel: zipfile.ZipFile,
) -> None:
    metadata = wheel.read(f"buddies-{__version__}.dist-info/METADATA").decode()

    assert email.message_from_string(metadata)["Version"] == __version__


def test_type_checkers_are_told_that_every_package_has_types(wheel: zipfile.ZipFile) -> None:
    marked = {Path(name).parent.name for name in wheel.namelist() if name.endswith("/py.typed")}

    assert marked == {"buddies_core", "buddies_mcp", "buddies_cli"}


def test_the_version_is_written_in_one_place() -> None:
    sources = [ROOT / "pyproject.toml", *ROOT.glob("buddies_*/**/*.py")]

    assert [
        str(path.relative_to(ROOT))
        for path in sources
        if f'"{__version__}"' in path.read_text("utf-8")
    ] == ["buddies_core/__init__.py"]
