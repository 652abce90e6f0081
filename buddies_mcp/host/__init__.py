"""The server behind a relay: one process for every agent of a machine, or the relay's own."""
