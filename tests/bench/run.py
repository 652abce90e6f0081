"""Measures what is felt, and writes it down: `make bench`.

    python -m tests.bench.run [--quick] [--only SECTION …] [JSON]

Prints a table, and how it differs from the last result that was committed (`last.json`). How fast
something is fails nothing; that it does not work does. `--keep` makes the result the last one.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Protocol

from tests.bench import attacks, calls, reunion, signing, storing, teams, traffic, weight
from tests.bench.rows import Row, differences, from_json, table, to_json

LAST = Path(__file__).with_name("last.json")
RESULT = Path("build/bench.json")


class Section(Protocol):
    """Some rows that are measured together."""

    def __call__(self, *, quick: bool) -> Awaitable[list[Row]]:
        """Measure, with few samples if it has to be quick."""


SECTIONS: Mapping[str, Section] = {
    "calls": calls.calls,
    "starts": calls.starts,
    "two": teams.two,
    "eight": teams.eight,
    "rooms": teams.fifty_rooms,
    "agents": weight.agents,
    "memory": weight.memory,
    "unused": weight.unused,
    "messages": traffic.messages,
    "idle": traffic.idle,
    "signing": signing.signing,
    "storing": storing.storing,
    "reunion": reunion.reunion,
    "attacks": attacks.attacks,
}
LONG = ("reunion", "attacks", "unused")
"""They take minutes, and are measured when they are asked for."""
QUICK = ("calls", "two")
"""What CI measures at each change, in some 30 s."""


async def measured(names: list[str], *, quick: bool) -> list[Row]:
    """Return the rows of these sections."""
    rows: list[Row] = []
    for name in names:
        began_s = time.perf_counter()
        rows += await SECTIONS[name](quick=quick)
        say(f"{name}: {time.perf_counter() - began_s:.0f} s", to=sys.stderr.write)
    return rows


def write(path: Path, rows: list[Row]) -> None:
    """Write a result down; the rows of other sections stay as they are."""
    old = from_json(path.read_text("utf-8")) if path.exists() else []
    new = {it.name: it for it in rows}
    kept = [new.pop(it.name, it) for it in old]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json([*kept, *new.values()]) + "\n", "utf-8")


def say(text: str, to: Callable[[str], object] = sys.stdout.write) -> None:
    to(f"{text}\n")


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description="Measure what agents and people wait for.")
    parser.add_argument("--quick", action="store_true", help="few sections, few samples")
    parser.add_argument("--keep", action="store_true", help="make this the last result")
    parser.add_argument("--only", nargs="+", choices=[*SECTIONS], help="these sections")
    parser.add_argument("result", nargs="?", type=Path, default=RESULT)
    wanted = parser.parse_args()
    usual = [name for name in SECTIONS if name not in LONG]
    names = wanted.only or [*(QUICK if wanted.quick else usual)]
    rows = asyncio.run(measured(names, quick=wanted.quick))
    write(wanted.result, rows)
    say(table(rows))
    if LAST.exists():
        last = from_json(LAST.read_text("utf-8"))
        say(f"\nbeside the last result ({LAST.name}):\n{differences(rows, last)}")
    if wanted.keep:
        write(LAST, rows)


if __name__ == "__main__":
    main()
