"""Configures MCP clients: plan, show, confirm, write, and the same backwards."""
