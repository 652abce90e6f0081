"""Values of the daemon's socket, protobuf to model and back, for both of its ends."""
