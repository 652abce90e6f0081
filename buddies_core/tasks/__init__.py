"""Tasks: handed to another agent, here or on another machine, with exactly one result.

Not here: doing the work. Agents do it, or `buddies-cli task watch`.
"""
