"""Memories: stored, received, listed, searched, fetched whole, replaced, deleted and forgotten.

Not here: the search engine (`finding`), asking members (`asking`), and the disk (`store`).
"""
