"""How long the network waits for what, in one place, so that tests can be in more of a hurry."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Waits and intervals, in seconds."""

    # A dial that succeeds takes milliseconds, or a second if a packet is lost; iroh's own 30 s are
    # spent on addresses where nobody answers.
    dial_timeout_s: float = 10.0
    # How long a request waits for a peer whose last dial failed; it is dialled again all the same.
    patience_after_failure_s: float = 0.5
    # From a peer's first packet to the end of its handshake.
    handshake_timeout_s: float = 10.0
    # QUIC takes 1.25 MB for a stream whose reader sleeps, then blocks for ever.
    write_stall_s: float = 10.0
    # A peer writes a stream's header, or a whole request, at once.
    first_read_s: float = 10.0
    # How long our own broadcasts wait for a peer on a slow line before its outbox may overflow.
    room_wait_s: float = 0.5
    # Until the other side's QUIC has acknowledged the end of our streams.
    finish_timeout_s: float = 5.0
    # iroh sends something every 5 s: a connection that is silent for longer is dead or cut off.
    silent_after_s: float = 8.0
    # Dead after two misses: 10 + 5 + 5, ± the jitter of a fifth.
    ping_interval_s: float = 10.0
    ping_timeout_s: float = 5.0
    # A connection is there before the join that it is for, which takes 10 s at most.
    unneeded_after_s: float = 30.0
    # A peer may be updated to one that speaks the direct protocol.
    direct_refusal_kept_s: float = 600.0
    # How long a request may stay unanswered here; who asked has long given up.
    answer_timeout_s: float = 60.0
    # The own address and the connections' counters are polled; both cost microseconds.
    poll_interval_s: float = 1.0
    # A relay is reached 3 s after the start, and later on a slow line.
    relay_patience_s: float = 15.0
    # iroh dials a relay that it has lost at once; after that it pauses ever longer.
    relay_redial_s: float = 2.0
    # How often a relay is tried by TCP while none is connected; less often after a minute of that.
    relay_probe_every_s: float = 2.0
    # How long iroh may look for n0's relays where none of them answers.
    quiet_after_s: float = 5.0
    # At the end, for the last messages of all topics together.
    close_timeout_s: float = 2.0


TIMING = Timing()
"""What the product runs with."""
