"""What daemons take of their machines during a soak, and the chart of it."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.soak.faults import Fault
from tests.support.worlds.attacker import memory_mb
from tests.support.worlds.machines import Machine

MARKS = {"killed": "x", "asleep": "v", "clock jumps": "d", "disk full": "s"}


@dataclass(frozen=True, slots=True)
class Sample:
    """What a machine's daemon has in use at one moment, in seconds since the beginning."""

    at_s: float
    user: str
    pid: int
    mb: float
    files: int

    @classmethod
    def of(cls, machine: Machine, at_s: float) -> "Sample | None":
        """Return what its daemon has in use now; None if none runs."""
        with contextlib.suppress(OSError):
            if (pid := machine.daemon_pid()) is not None:
                files = len(os.listdir(f"/proc/{pid}/fd"))
                return cls(at_s, machine.user, pid, memory_mb(machine), files)
        return None


def draw(
    samples: Sequence[Sample],
    faults: Sequence[Fault],
    quiet_from_s: float,
    memory_mb_max: float,
    path: Path,
) -> None:
    """Draw memory and descriptors of each daemon over time, with the faults, as an SVG file."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "buddies"  # so that the same figures give the same file
    figure = Figure(figsize=(9, 5), layout="constrained")
    panels = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    users = sorted({sample.user for sample in samples})
    for user in users:
        own = [sample for sample in samples if sample.user == user]
        times = [sample.at_s for sample in own]
        panels[0].plot(times, [sample.mb for sample in own], linewidth=1.2, label=user)
        panels[1].plot(times, [sample.files for sample in own], linewidth=1.2)
    panels[0].axhline(memory_mb_max, color="black", linewidth=0.8, linestyle="--", label="goal")
    panels[0].set_ylabel("memory, MB")
    panels[0].legend(frameon=False, ncols=len(users) + 1, loc="upper left")
    panels[1].set_ylabel("descriptors")
    for kind, mark in MARKS.items():
        befell = [fault for fault in faults if fault.kind == kind]
        panels[2].plot(
            [fault.at_s for fault in befell],
            [users.index(fault.user) for fault in befell],
            mark,
            label=kind,
            color="black",
            fillstyle="none",
        )
    panels[2].set_yticks(range(len(users)), labels=users)
    panels[2].set_xlabel("seconds; quiet in the grey part")
    panels[2].legend(frameon=False, ncols=len(MARKS), loc="lower left", bbox_to_anchor=(0, 1))
    for axes in panels:
        axes.set_ylim(bottom=0 if axes is not panels[2] else -0.7)
        axes.axvspan(quiet_from_s, max(sample.at_s for sample in samples), color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
