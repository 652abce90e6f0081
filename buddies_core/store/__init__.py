"""What is kept on disk: one RocksDB, one writer thread, versioned records."""
