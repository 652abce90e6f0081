"""Memories: kept, found by meaning, asked for at every peer."""
