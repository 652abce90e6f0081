"""Who this node is, and whether a signature is good."""
