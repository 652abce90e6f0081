"""The commands, a module per feature."""
