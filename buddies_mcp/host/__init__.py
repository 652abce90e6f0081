"""The MCP server behind the relays: one process for every agent of a machine, or the relay's own.

Not here: the relay itself (`relay`), and what the server offers (`server`, `tools`).
"""
