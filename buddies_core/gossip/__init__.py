"""iroh-gossip's protocol, HyParView and PlumTree, as state machines without I/O.

`node.Node` is the door: `handle(event, now_s)` takes what happened and returns what to do.
File names are those of iroh-gossip, so that both can be read together.

Not here: connections and timers (`net`), and what the broadcast bytes mean (`wire`).
"""
