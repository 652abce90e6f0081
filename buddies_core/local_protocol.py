"""What both ends of the daemon's Unix socket must agree on. No behaviour."""

from pathlib import Path
from urllib.parse import quote

PROTOCOL = 6
"""Raised with every change of `proto/`: an older program drops silently what it does not know.
Handshake and Stop stay as they are for ever, so that any two versions can at least part."""
PROTO_HASH = "7a7e55139a63e185"
"""Stands for `proto/` without its comments; a test compares it, so that nobody forgets PROTOCOL."""

AGENT_METADATA = "buddies-agent"
"""The metadata key under which a call names the attached agent that makes it."""
WAITING_METADATA = "buddies-waiting"
"""The trailing metadata key under which an answer says how many tasks wait for that agent."""

ERROR_DOMAIN = "buddies"
"""Of the ErrorInfo that comes with each error; its reason is the name of a class in `errors`."""

CHANNEL_OPTIONS = (
    # A memory of 1 MiB with everything around it fits; a list of long ones does too.
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    # Errors travel in the trailing metadata, several times over; 8 KiB would cut long ones off.
    ("grpc.max_metadata_size", 64 << 10),
)


def grpc_address(socket: Path) -> str:
    """Return what gRPC calls this Unix socket: a URI, so a space or a % is written as %xx."""
    return "unix:" + quote(str(socket))
