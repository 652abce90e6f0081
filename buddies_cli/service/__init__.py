"""Runs the daemon as a service of the user's session: at login, and again after a crash.

Not here: starting the daemon for an agent or a command, which `buddies_core.launcher` does.
"""
