"""The MCP shim: turns tool calls into questions to the daemon. Its stdout carries MCP alone."""
