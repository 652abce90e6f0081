"""Converts the messages of the daemon's socket between protobuf and `model`.

Not here: what peers send each other (`wire`), and what is on disk (`store`).
"""
