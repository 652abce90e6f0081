"""Memories: kept, searched here and at every peer, fetched whole."""
