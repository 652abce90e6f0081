"""Fuzz every decoder for a bounded time: `make fuzz`.

    python -m tests.fuzz.run [--seconds N] [--only TEXT] [--keep]

Where atheris is installed it is guided by coverage, in build/fuzz; else hypothesis changes what is
kept, with another seed each time. A crash is printed with its input, and makes this fail. `--keep`
writes what reached new code back to tests/fuzz/corpus, as far as it is short.
"""

import argparse
import importlib.util
import logging
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.mutations import EDITS_MAX, edited_by
from tests.fuzz.targets import CORPUS, TARGETS, Target

WORK = Path(__file__).parents[2] / "build" / "fuzz"
INPUT_BYTES_MAX = 4096
"""Longer contents lie apart in the store."""
GUIDED_FROM_S = 5.0
"""A guided run that is shorter has hardly begun."""
KEPT_BYTES_MAX, KEPT_MAX = 512, 40
"""Of each input and of each target: the corpus stays small."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one target."""

    name: str
    tried: int
    crash: str = ""
    """What happened and with which input; empty if nothing did."""


def unguided(target: Target[Any], seconds: float, seed: int) -> Outcome:
    """Try changes of what is kept until time is up."""
    random, corpus, tried = Random(seed), target.corpus(), 0
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        data = corpus[random.randrange(len(corpus))]
        data = edited_by(random, data, corpus, random.randrange(EDITS_MAX + 1))
        tried += 1
        try:
            target.try_out(data)
        except Exception:  # noqa: BLE001 - whatever it is, it is what we look for
            return Outcome(target.name, tried, f"{traceback.format_exc()}{_keep_it(target, data)}")
    return Outcome(target.name, tried)


def guided(target: Target[Any], seconds: float) -> Outcome:
    """Let atheris look for inputs that reach new code until time is up."""
    directory = WORK / target.name
    directory.mkdir(parents=True, exist_ok=True)
    for data in target.corpus():
        (directory / sha256(data).hexdigest()).write_bytes(data)
    crash = WORK / f"{target.name}.crash"
    crash.unlink(missing_ok=True)
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.guided", target.name, str(directory)),
            *(f"-max_total_time={seconds:.0f}", f"-max_len={INPUT_BYTES_MAX}"),
            *(f"-exact_artifact_path={crash}", "-print_final_stats=1", "-timeout=10"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = ended.stdout.decode(errors="replace")
    tried = int(said.rpartition("number_of_executed_units:")[2].split("\n")[0] or 0)
    if ended.returncode == 0:
        return Outcome(target.name, tried)
    found = _keep_it(target, crash.read_bytes()) if crash.exists() else ""
    return Outcome(target.name, tried, f"{said[-3000:]}{found}")


def keep(target: Target[Any]) -> None:
    """Write the inputs that are worth it to the corpus: those that a merge chooses, if short."""
    merged = WORK / f"{target.name}.merged"
    merged.mkdir(exist_ok=True)
    for path in merged.iterdir():
        path.unlink()
    directory = WORK / target.name
    subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.guided", target.name, str(merged)),
            *(str(directory), "-merge=1"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    found = sorted((path.read_bytes() for path in merged.iterdir()), key=lambda it: (len(it), it))
    short = [data for data in found if len(data) <= KEPT_BYTES_MAX]
    # Evenly, as the shortest ones are refused at once.
    step = max(1, len(short) // KEPT_MAX)
    kept = dict.fromkeys([*target.corpus(), *short[::step]])
    lines = "".join(f"{data.hex()}\n" for data in list(kept)[: KEPT_MAX + 10])
    (CORPUS / f"{target.name}.hex").write_text(lines, "ascii")


def _keep_it(target: Target[Any], data: bytes) -> str:
    return (
        f"\n{target.name} crashed with {data!r}\n"
        f"keep it as a line of tests/fuzz/corpus/{target.name}.hex: {data.hex()}"
    )


def fuzz(targets: list[Target[Any]], seconds: float, seed: int) -> Iterator[Outcome]:
    """Yield what came of each target; all of them together take about so many seconds."""
    workers = os.cpu_count() or 1
    with_atheris = importlib.util.find_spec("atheris") is not None
    share_s = seconds * workers / len(targets)
    if not with_atheris or share_s < GUIDED_FROM_S:
        print(f"make fuzz: not guided by coverage; SEED={seed}", file=sys.stderr)  # noqa: T201
        yield from (unguided(target, seconds / len(targets), seed) for target in targets)
        return
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(guided, targets, [share_s] * len(targets))


def main() -> int:
    """Return 0 if nothing crashed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--only", default="", help="only targets whose name has this in it")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--keep", action="store_true", help="add to the corpus; needs atheris")
    given = parser.parse_args()
    logging.disable()  # what is dropped is not news here
    targets = [target for target in TARGETS if given.only in target.name]
    outcomes = []
    for outcome in fuzz(targets, given.seconds, given.seed):
        outcomes.append(outcome)
        if outcome.crash:
            print(f"{outcome.name}: {outcome.crash}", file=sys.stderr)  # noqa: T201
    if given.keep:
        for target in targets:
            keep(target)
    crashed = [outcome.name for outcome in outcomes if outcome.crash]
    tried = sum(outcome.tried for outcome in outcomes)
    print(  # noqa: T201
        f"make fuzz: {len(targets)} decoders, {tried:,} inputs in {given.seconds:.0f} s, "
        f"{len(crashed)} crashed{': ' if crashed else ''}{', '.join(crashed)}"
    )
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
