"""Configures MCP clients: plans a change, shows it, asks, writes it, and can undo it.

Not here: which clients exist (`buddies_core.mcp_clients`) and how a file is replaced safely
(`buddies_core.edits`).
"""
