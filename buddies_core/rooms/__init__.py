"""Rooms: joining and leaving them, speaking in them, and who is present.

Not here: whether a message is believed (`trust`), and what it says about memories, skills or
tasks.
"""
