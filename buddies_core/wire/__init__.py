"""Converts between bytes and values, without I/O. Bytes that do not decode raise WireError.

Not here: whether a decoded message is believed (`trust`), and the daemon's socket (`convert`).
"""
