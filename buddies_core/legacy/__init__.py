"""Everything that concerns peers of buddies 0.1.4. The rest of the node works without it."""
