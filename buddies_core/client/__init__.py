"""The one client of the daemon: typed calls over its socket, answered in model values."""

from buddies_core.client.calls import DaemonClient

__all__ = ["DaemonClient"]
