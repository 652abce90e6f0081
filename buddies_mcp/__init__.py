"""The program `buddies`: the MCP server of an agent. Its stdout carries MCP alone.

Not here: rooms, memories, skills and tasks. Each tool call is one question to the daemon,
through `buddies_core.client`.
"""
