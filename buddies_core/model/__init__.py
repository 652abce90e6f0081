"""What users see, as frozen values.

Not here: I/O, clocks, bytes on the wire, and any import from a package above.
"""
