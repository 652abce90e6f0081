"""Gives members the items they missed in a room: two sets are compared and made equal.

Not here: whether an item is believed. It goes through `rooms` and `trust` as a broadcast does.
"""
