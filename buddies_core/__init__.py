"""The daemon of a machine, with its peer identity, rooms and store, and the client that asks it."""

__version__ = "0.2.0"
