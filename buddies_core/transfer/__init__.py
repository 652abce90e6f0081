"""Rooms as files: what is kept of a room, written as lines of JSON and read again."""
