"""The network: the iroh endpoint, connections, the gossip driver, the direct protocol.

Not here: the gossip protocol itself (`gossip`), and what peers say to each other. No other
package imports iroh.
"""
