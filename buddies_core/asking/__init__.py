"""Asks the members of rooms that are present, for memories and skills alike.

Not here: what a memory or a skill is. `memory` and `skills` say how they ask, and how they
read an answer.
"""
