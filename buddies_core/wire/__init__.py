"""Bytes to values and back, pure. Whatever does not decode raises WireError."""
