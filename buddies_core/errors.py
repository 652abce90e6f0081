"""What can go wrong, one class for each thing that a caller would do differently.

The message of each is written for the person or the agent that reads it: what happened, whose fault
it is, what to do next.
"""


class BuddiesError(Exception):
    """The root of everything that buddies raises on purpose."""


class InvalidInput(BuddiesError):
    """The caller's argument can't be taken; nothing has changed."""


class NotFound(BuddiesError):
    """What was named does not exist here."""


class NotAllowed(BuddiesError):
    """The caller may not do this, here or at the peer that was asked."""


class NotAttached(NotAllowed):
    """The daemon knows no such agent: it was replaced since that attached. Nothing was done."""


class Rotated(NotAllowed):
    """The private room has a new secret, which whoever asked has yet to be handed."""


class TimedOut(BuddiesError):
    """A deadline passed before an answer came."""


class Busy(BuddiesError):
    """A limit is reached for now; the same call may succeed later."""


class Unreachable(BuddiesError):
    """No connection to that peer could be made, or it was lost."""


class StoreError(BuddiesError):
    """The disk refused, or what it holds is damaged; nothing of the operation is visible."""


class StoreGone(StoreError):
    """The store's files were deleted or replaced while it is open; nothing more can be kept."""


class QuotaExceeded(StoreError):
    """A room or an author uses as much of the disk as it may; nothing was kept."""


class DaemonUnavailable(BuddiesError):
    """No daemon answers on this machine's socket, or none can start."""


class VersionMismatch(DaemonUnavailable):
    """The daemon that answers speaks another version of our protocol."""


class WireError(BuddiesError):
    """A peer sent bytes that make no sense: count it, drop it, live on."""
