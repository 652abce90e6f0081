"""Finds out what is wrong with buddies on this machine: facts are gathered, then judged."""
