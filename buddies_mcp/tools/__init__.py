"""The MCP tools, one module per feature: what each takes, and which question it asks the daemon.

Not here: how an answer is written for a model (`render`, `hits`).
"""
