"""Keeps all data on disk: one RocksDB, written by one thread, with versioned records.

Not here: what a record means, and the search index (`finding`), which is rebuilt from this.
"""
