"""The daemon of a machine, with its identity, rooms and store, and the client that asks it.

Not here: what agents see (`buddies_mcp`) and what people see (`buddies_cli`). Both reach the
daemon through `buddies_core.client` alone.
"""

__version__ = "0.2.0"
