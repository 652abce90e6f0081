"""Starts, stops and restarts this machine's daemon, and ends its MCP host.

Not here: what the daemon does once it runs (`daemon`). This code runs in other processes.
"""

from buddies_core.launcher.restarting import check_settings, restart_daemon
from buddies_core.launcher.restoring import restore_backup
from buddies_core.launcher.spawning import reasons_in
from buddies_core.launcher.starting import ensure_daemon
from buddies_core.launcher.stopping import host_answers, stop_daemon, stop_host

__all__ = [
    "check_settings",
    "ensure_daemon",
    "host_answers",
    "reasons_in",
    "restart_daemon",
    "restore_backup",
    "stop_daemon",
    "stop_host",
]
