"""What was said in a room while this node was away, and what others missed: sets made equal."""
