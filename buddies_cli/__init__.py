"""The program `buddies-cli`: commands that people type, and what they see.

Not here: what the answers mean. Each command asks the daemon through `buddies_core.client`,
or starts and stops it through `buddies_core.launcher`.
"""
