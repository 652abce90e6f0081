"""Makes everything in order, runs it, and closes it backwards."""
