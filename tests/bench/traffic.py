"""What a daemon pays for what others say, and for rooms in which nobody says anything."""

import asyncio
import time
from pathlib import Path

from tests.bench.flow import received
from tests.bench.rows import Goal, Row, row
from tests.bench.teams import a_team
from tests.support.worlds.attacker import cpu_s
from tests.support.worlds.machines import Machine

IDLE_MACHINES, IDLE_ROOMS = 3, 10
SETTLES_IN_S = 10
"""What comes of the joins is over by then."""
IDLE_S = 45


async def messages(*, quick: bool) -> list[Row]:
    """Measure how a daemon takes in what five neighbors say at once: 1,000 messages each."""
    rows = []
    for kind, is_kept in (("statuses", False), ("memories", True)):
        found = await received(is_kept=is_kept, relays=False, sustained=False)
        said = f"{found.messages:,} messages that five neighbors say at once"
        rows += [
            row(
                f"{kind} received",
                f"{said}, until the last is acted on.",
                [found.per_s],
                unit="/s",
                goal=Goal(median=1000, at_least=True),
            ),
            row(
                f"CPU of one of the {kind} received",
                f"All threads of the daemon, for each of {said}.",
                [found.cpu_ms_each],
            ),
            row(
                f"{kind} lost",
                f"Of {said}, those that are to be kept and are not.",
                [found.lost],
                unit="",
                goal=Goal(median=0),
            ),
        ]
    return rows


async def idle(*, quick: bool) -> list[Row]:
    """Measure daemons that share rooms in which nobody says anything."""
    lasts_s = 10 if quick else IDLE_S
    async with a_team(IDLE_MACHINES, IDLE_ROOMS) as team:
        await asyncio.sleep(SETTLES_IN_S)
        before = [(cpu_s(it), written_kb(it)) for it in team.machines]
        began_s = time.perf_counter()
        await asyncio.sleep(lasts_s)
        passed_s = time.perf_counter() - began_s
        after = [(cpu_s(it), written_kb(it)) for it in team.machines]
    what = f"Each of {IDLE_MACHINES} daemons in {IDLE_ROOMS} rooms, nobody speaking."
    spent = list(zip(before, after, strict=True))
    return [
        row(
            "idle: CPU",
            what,
            [100 * (now[0] - then[0]) / passed_s for then, now in spent],
            unit="% of a core",
            goal=Goal(median=0.5),
        ),
        row(
            "idle: disk",
            what,
            [60 * (now[1] - then[1]) / passed_s for then, now in spent],
            unit="KB a minute",
            goal=Goal(median=20),
        ),
    ]


def written_kb(machine: Machine) -> float:
    """Return how much the machine's daemon has had written to the disk. Linux alone."""
    lines = Path(f"/proc/{machine.daemon_pid()}/io").read_text().splitlines()
    return int(next(it for it in lines if it.startswith("write_bytes:")).split()[1]) / 1024
