"""The tools, a module per feature."""
