"""Our agents' door: gRPC on a Unix socket, one module a service."""
