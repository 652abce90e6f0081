"""GitHub checks what `.ci/run` checks."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
ALLOW_NAMESPACES = "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
PYTHON = "Programming Language :: Python :: 3."


def jobs() -> dict[str, Any]:
    text = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    read: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return read


def commands(job: str) -> list[str]:
    return [step["run"] for step in jobs()[job]["steps"] if "run" in step]


def test_github_runs_the_command_that_ci_runs() -> None:
    assert commands("check") == [ALLOW_NAMESPACES, ".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_the_unit_tests_run_on_every_other_python_that_the_package_promises() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    promised = [it.removeprefix("Programming Language :: Python :: ")
                for it in project["classifiers"] if it.startswith(PYTHON)]  # fmt: skip
    (checked,) = [
        step["with"]["python-version"]
        for step in jobs()["check"]["steps"]
        if "setup-python" in step.get("uses", "")
    ]

    assert [checked, *jobs()["unit"]["strategy"]["matrix"]["python"]] == promised
    assert commands("unit") == [ALLOW_NAMESPACES, "make unit"]


def test_every_action_is_pinned_to_a_commit() -> None:
    used = [step["uses"] for job in jobs().values() for step in job["steps"] if "uses" in step]

    assert used != []
    assert [it for it in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", it)] == []
