"""How the source is laid out: what each package says of itself, and how long a module may be."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path
    for top in ("buddies_core", "buddies_mcp", "buddies_cli")
    for path in (ROOT / top).rglob("*.py")
    if not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))
)
PACKAGES = sorted({path.parent for path in MODULES})
LINES_MAX = 400


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", [pytest.param(it, id=name_of(it)) for it in PACKAGES])
def test_every_package_says_what_it_is_and_what_it_is_not(package: Path) -> None:
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8"))) or ""
    what, *more, what_not = text.split("\n\n")

    assert what.endswith(".")
    assert "\n" not in what
    assert re.fullmatch(r"Not here: .+\.", what_not, re.DOTALL)
    assert what_not.count("\n") <= 1
    assert len(more) <= 1


@pytest.mark.parametrize("package", [pytest.param(it, id=name_of(it)) for it in PACKAGES])
def test_every_place_that_a_package_points_to_exists(package: Path) -> None:
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text("utf-8"))) or ""
    places = re.findall(r"`([a-z_]+(?:\.[a-z_]+)*)`", text.rpartition("Not here: ")[2])

    assert [it for it in places if not exists(it, beside=package)] == []


def exists(place: str, beside: Path) -> bool:
    """Return whether that is a module or package: from the root, in the package or beside it."""
    starts = (ROOT, ROOT / "buddies_core", beside, beside.parent)
    paths = [start / place.replace(".", "/") for start in starts]
    return any(path.is_dir() or path.with_suffix(".py").is_file() for path in paths)


def test_no_module_is_longer_than_400_lines() -> None:
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES}

    assert {name: count for name, count in lines.items() if count > LINES_MAX} == {}
