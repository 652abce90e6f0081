"""Tasks: work handed to another agent. Their features are not built yet."""
