"""How the doctor's findings are shown."""

import re

import click

from buddies_cli.commands.doctor import report_json, shown
from buddies_cli.doctor.findings import Finding, Level

FINDINGS = [
    Finding("data", Level.OK, "/data: all is well"),
    Finding("daemon", Level.FAIL, "a daemon has it and does not answer at all", "replace it now"),
    Finding("clients", Level.WARN, "no\x1b[31m client", "install one"),
]


def test_each_finding_is_a_line_and_what_to_do_is_below_it() -> None:
    assert click.unstyle(shown(FINDINGS, 100)).splitlines() == [
        "ok    data     /data: all is well",
        "fail  daemon   a daemon has it and does not answer at all",
        "               → replace it now",
        "warn  clients  no�[31m client",
        "               → install one",
        "",
        "1 failure, 1 warning. More on each: docs/troubleshooting.md",
    ]


def test_no_line_is_wider_than_the_terminal() -> None:
    lines = click.unstyle(shown(FINDINGS, 40)).splitlines()

    assert [line for line in lines[:-1] if len(line) > 40] == []
    assert re.sub(r"\s+", " ", lines[1] + lines[2]) == (
        "fail daemon a daemon has it and does not answer at all"
    )


def test_as_json_they_are_objects_and_ok_is_false_with_a_failure() -> None:
    assert report_json(FINDINGS[:2]) == {
        "ok": False,
        "findings": [
            {"check": "data", "level": "ok", "text": "/data: all is well", "remedy": None},
            {
                "check": "daemon",
                "level": "fail",
                "text": "a daemon has it and does not answer at all",
                "remedy": "replace it now",
            },
        ],
    }
    assert report_json(FINDINGS[:1])["ok"] is True
