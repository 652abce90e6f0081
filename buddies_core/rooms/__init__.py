"""Rooms: joining, leaving, saying something, and who is there."""
