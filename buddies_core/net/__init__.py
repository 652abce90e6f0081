"""All that touches iroh: the endpoint, connections, the gossip driver, the direct protocol."""
