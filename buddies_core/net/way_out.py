"""Finds the way back to the relays, and keeps a node quiet that has none.

iroh pauses up to 16 s before it dials a lost relay again, and each dial may take 10 s; but an
endpoint that is new dials at once. So while the node has no relay, its relays are tried with
nothing but a TCP connection, and as soon as one answers, the endpoint is bound anew: in 5 ms, and
back at the relay 0.2 s later (measured). That is only done while no peer is connected.

Where n0's relays are wanted and nothing leads to them, iroh sends some 3,500 DNS packets a minute
(measured). So an endpoint that knows nothing beyond the LAN takes its place until one answers. If
peers are connected then, it stays and its relays are taken from it, which leaves 500 packets.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from buddies_core.clock import Clock
from buddies_core.errors import BuddiesError
from buddies_core.net.timing import Timing

LONGEST_PAUSE_S = 300.0
"""Between two binds, where a relay takes TCP connections and iroh still doesn't get to it."""
LONGEST_PROBE_PAUSE_S = 15.0
_PAUSES = 30.0
"""So many times longer than the pause between two probes has the relay been away."""

_log = logging.getLogger(__name__)


class EndpointPort(Protocol):
    """An endpoint, as far as its ways out go; see `net.endpoint.Endpoint`."""

    @property
    def is_bound(self) -> bool:
        """Whether there is an endpoint: not if it could not be bound anew."""

    @property
    def is_outward(self) -> bool:
        """Whether it looks for relays and peers beyond the LAN."""

    def relays_connected(self) -> int:
        """Return how many relays this node has a connection to now."""

    def is_idle(self) -> bool:
        """Return whether no peer is connected."""

    async def bind_anew(self, *, outward: bool) -> None:
        """Put a new endpoint in the place of the present one."""

    async def use_relays(self, *, on: bool) -> None:
        """Have iroh look for the relays, or not."""


class ProbePort(Protocol):
    """Tries whether a host can be reached; see `net.probe.Probe`."""

    def forget(self) -> None:
        """Look all names up again, as this machine is in another network."""

    async def reaches(self, host: str, port: int) -> bool:
        """Return whether the host takes a connection, within a bounded time."""


class WayOut:
    """The only one that binds the endpoint of a node anew."""

    def __init__(
        self,
        endpoint: EndpointPort,
        doors: Sequence[tuple[str, int]],
        probe: ProbePort,
        sources: Callable[[], Sequence[str]],
        timing: Timing,
        clock: Clock,
        *,
        quiet: bool,
    ) -> None:
        """`doors` are the relays, `sources` the addresses by which this machine gets out.

        `quiet` says that the endpoint is to look for nothing while no relay answers.
        """
        self._endpoint = endpoint
        self._doors = itertools.cycle(doors)
        self._has_doors = bool(doors)
        self._probe = probe
        self._sources = sources
        self._timing = timing
        self._clock = clock
        self._is_quiet = quiet
        now_s = clock.now_s()
        self._seen = tuple(sources())
        self._wants_relays = True
        self._away_since_s = now_s
        self._undisturbed_until_s = now_s + timing.relay_patience_s
        self._pause_s = timing.relay_patience_s
        self._next_probe_s = now_s + timing.relay_redial_s

    async def run(self) -> None:
        """Watch the relays until cancelled; where none are used this returns at once."""
        while self._has_doors:
            await asyncio.sleep(self._timing.poll_interval_s)
            await self.look()

    async def look(self) -> None:
        """Do what is due now: nothing while a relay is connected."""
        now_s = self._clock.now_s()
        if not self._endpoint.is_bound:
            await self._bind(outward=self._wants_relays)
        if self._have_moved():
            self._probe.forget()
            self._away_since_s = self._undisturbed_until_s = self._next_probe_s = now_s
            self._pause_s = self._timing.relay_patience_s
        if self._endpoint.relays_connected() > 0:
            # iroh dials a relay that it loses once without a pause.
            self._away_since_s = now_s
            self._undisturbed_until_s = self._next_probe_s = now_s + self._timing.relay_redial_s
            self._pause_s = self._timing.relay_patience_s
            if not self._endpoint.is_outward and self._endpoint.is_idle():
                await self._bind(outward=True)
        elif now_s >= self._next_probe_s:
            await self._try_relay()
            away_s = now_s - self._away_since_s
            pause_s = min(away_s / _PAUSES, LONGEST_PROBE_PAUSE_S)
            self._next_probe_s = now_s + max(pause_s, self._timing.relay_probe_every_s)

    def _have_moved(self) -> bool:
        seen, self._seen = self._seen, tuple(self._sources())
        return bool(self._seen) and self._seen != seen

    async def _try_relay(self) -> None:
        answers = await self._probe.reaches(*next(self._doors))
        if self._endpoint.relays_connected() > 0:
            return
        now_s = self._clock.now_s()
        if answers:
            await self._turn_outward(now_s)
        elif self._is_quiet and now_s - self._away_since_s >= self._timing.quiet_after_s:
            await self._turn_inward()

    async def _turn_outward(self, now_s: float) -> None:
        wanted, self._wants_relays = self._wants_relays, True
        if wanted and now_s < self._undisturbed_until_s:
            return
        if self._endpoint.is_idle():
            self._undisturbed_until_s = now_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            await self._bind(outward=True)
        elif not wanted:
            await self._endpoint.use_relays(on=True)

    async def _turn_inward(self) -> None:
        wanted, self._wants_relays = self._wants_relays, False
        if self._endpoint.is_outward and self._endpoint.is_idle():
            await self._bind(outward=False)
        elif wanted:
            await self._endpoint.use_relays(on=False)

    async def _bind(self, *, outward: bool) -> None:
        try:
            await self._endpoint.bind_anew(outward=outward)
        except BuddiesError as error:
            _log.warning("not_bound reason=%s", error)  # It is tried again at the next look.
        else:
            _log.info("bound_anew outward=%s", outward)
