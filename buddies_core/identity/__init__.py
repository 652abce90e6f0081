"""The node's key, the keys of people, and whether a signature is valid.

Not here: what a valid signature allows, which `trust` decides.
"""
