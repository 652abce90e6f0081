"""What befalls the machines of a soak: each fault ends by itself, and is noted with its time."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.support.worlds.machines import Machine
from tests.worlds.namespaces import NoNamespaces

CLONE_NEWNS = 0x00020000  # <linux/sched.h>
MS_REC, MS_PRIVATE = 0x4000, 0x40000  # <linux/mount.h>
DISK_MB = 96
"""Room for what a machine stores in ten minutes, and soon full."""
CHUNK = bytes(1 << 16)
CLOCK = Path(__file__).parent / "clock"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happened to whom, and when, in seconds since the beginning."""

    at_s: float
    kind: str
    user: str


@dataclass(slots=True)
class Faults:
    """Brings faults over machines, as the seed decides."""

    machines: tuple[Machine, ...]
    random: Random
    asleep_s_max: float
    with_disks: bool
    """Whether each machine has a disk of its own, which can be filled."""
    began_s: float = field(default_factory=time.monotonic)
    happened: list[Fault] = field(default_factory=list)
    _befallen: set[str] = field(default_factory=set)

    async def run(self, every_s: tuple[float, float]) -> None:
        """Bring one fault after another until cancelled; several machines may have one at once."""
        kinds: list[Callable[[Machine], contextlib.AbstractAsyncContextManager[None]]] = [
            self._killed,
            self._asleep,
            self._clock_jumps,
            *([self._disk_full] if self.with_disks else []),
        ]
        async with asyncio.TaskGroup() as group:
            number = 0
            while True:
                await asyncio.sleep(self.random.uniform(*every_s))
                free = [it for it in self.machines if it.user not in self._befallen]
                # One at least is left, so that there is always somebody to hear.
                if len(free) > 1:
                    machine = free[self.random.randrange(len(free))]
                    # By turns, so that even a short run has one of each.
                    group.create_task(self._bring(kinds[number % len(kinds)], machine))
                    number += 1

    async def _bring(
        self,
        kind: Callable[[Machine], contextlib.AbstractAsyncContextManager[None]],
        machine: Machine,
    ) -> None:
        self._befallen.add(machine.user)
        name = getattr(kind, "__name__", "").strip("_").replace("_", " ")
        self.happened.append(Fault(time.monotonic() - self.began_s, name, machine.user))
        try:
            async with kind(machine):
                await asyncio.sleep(self.random.uniform(self.asleep_s_max / 8, self.asleep_s_max))
        finally:
            self._befallen.discard(machine.user)

    @asynccontextmanager
    async def _killed(self, machine: Machine) -> AsyncIterator[None]:
        """As by `kill -9`: its agents start it again."""
        if (pid := machine.daemon_pid()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        yield

    @asynccontextmanager
    async def _asleep(self, machine: Machine) -> AsyncIterator[None]:
        pid = machine.daemon_pid()
        with contextlib.suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                if pid is not None:
                    os.kill(pid, signal.SIGCONT)

    @asynccontextmanager
    async def _clock_jumps(self, machine: Machine) -> AsyncIterator[None]:
        """An hour ahead or back, and later right again."""
        set_clock(machine, 3600 if self.random.randrange(2) else -3600)
        try:
            yield
        finally:
            set_clock(machine, 0)

    @asynccontextmanager
    async def _disk_full(self, machine: Machine) -> AsyncIterator[None]:
        ballast = machine.data_dir / "ballast"
        try:
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(CHUNK)
            yield
        finally:
            ballast.unlink(missing_ok=True)


def with_a_clock_that_jumps(machine: Machine) -> Machine:
    """Return the machine with a clock that `set_clock` sets."""
    return machine.with_environment(
        PYTHONPATH=str(CLOCK), BUDDIES_SOAK_CLOCK=str(machine.home / "clock")
    )


def set_clock(machine: Machine, seconds: int) -> None:
    """Set a machine's wall clock ahead of the right time, or behind it."""
    path = machine.home / "clock"
    new = path.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(path)


def own_mounts() -> None:
    """Let this process mount what no other sees; it has entered a user namespace before.

    Raises:
        NoNamespaces: the system forbids it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise NoNamespaces(f"mounts are forbidden: {os.strerror(ctypes.get_errno())}")
    libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)


def mount_a_disk(directory: Path) -> None:
    """Mount a small disk in memory there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={DISK_MB}m,mode=700".encode()
    if libc.mount(b"tmpfs", str(directory).encode(), b"tmpfs", 0, options) != 0:
        raise NoNamespaces(f"tmpfs can't be mounted: {os.strerror(ctypes.get_errno())}")


def unmount(directory: Path) -> None:
    """Take a disk away again, also while something still has it open."""
    ctypes.CDLL(None).umount2(str(directory).encode(), 2)  # MNT_DETACH
