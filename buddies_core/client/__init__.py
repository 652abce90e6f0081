"""The only client of the daemon: typed calls over its socket, answered with model values.

Not here: starting a daemon (`launcher`), and any rule about what is asked.
"""

from buddies_core.client.calls import DaemonClient

__all__ = ["DaemonClient"]
