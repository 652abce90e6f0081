"""Makes every part of the daemon in order, runs them, and closes them in reverse order.

Not here: what the parts do. This package knows all others, and none of them knows it.
"""
