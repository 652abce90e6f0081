"""What the texts of the product must never say, wherever they are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = sorted(
    path
    for pattern in (
        "buddies_*/**/*.py",
        "proto/*.proto",
        "scripts/*",
        "docs/**/*.md",
        "*.md",
        "*.sh",
    )
    for path in ROOT.glob(pattern)
    if path.is_file()
)
FORCE = re.compile(r"kill\s+-(9|KILL|SIGKILL)|pkill|killall", re.IGNORECASE)
"""Whoever reads this may do it: a model, to whatever process has that pid by then."""


@pytest.mark.parametrize("path", [pytest.param(it, id=str(it.relative_to(ROOT))) for it in TEXTS])
def test_no_text_tells_its_reader_to_end_a_process_by_force(path: Path) -> None:
    assert FORCE.findall(path.read_text("utf-8")) == []


def test_all_parts_are_looked_at() -> None:
    """So that a folder that moves does not go unseen."""
    assert {it.relative_to(ROOT).parts[0] for it in TEXTS} == {
        "buddies_cli", "buddies_core", "buddies_mcp", "proto", "scripts", "docs", "README.md",
        "CHANGELOG.md", "CONTRIBUTING.md", "install.sh",
    }  # fmt: skip
