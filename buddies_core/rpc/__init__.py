"""The door for agents and people: gRPC on a Unix socket, one module per service.

Not here: any decision. A method converts, calls one service, and cuts the answer to a size
that a model can read.
"""
