"""The program `buddies`: what an MCP client's configuration names.

It decides what to do and imports only what that needs: a relay must be there at once.
"""

from __future__ import annotations

import os
import signal
import sys

from buddies_core import __version__, streams

DESCRIPTION = """\
usage: buddies [--help] [--version]

The MCP server of buddies, on stdin and stdout: name it in the configuration of an MCP client.
With BUDDIES_TRANSPORT=http it serves agents by HTTP, on BUDDIES_HOST and BUDDIES_PORT (127.0.0.1
and 8080 unless set). People use buddies-cli.

options:
  -h, --help     show this text and exit; so does: buddies help
  -V, --version  show the version and exit
"""
HOST = "BUDDIES_MCP_HOST"
MISUSED = 2
FAILED = 1


def main() -> None:
    """Serve one MCP client on stdin and stdout until it is gone."""
    streams.open_missing()
    match sys.argv[1:]:
        case []:
            pass
        case ["-h"] | ["--help"] | ["help"]:
            raise SystemExit(streams.say(DESCRIPTION))
        case ["-V"] | ["--version"]:
            raise SystemExit(streams.say(f"buddies {__version__}\n"))
        case arguments:
            _misused(f"{arguments[0]!r} is not an option; see buddies --help")
    transport = os.environ.get("BUDDIES_TRANSPORT") or "stdio"
    if transport == "http":
        from buddies_mcp.host.http import serve_http

        raise SystemExit(serve_http(os.environ))
    if transport != "stdio":
        _misused(f"BUDDIES_TRANSPORT is {transport!r}; it must be stdio or http")
    wanted = os.environ.get(HOST) or "on"
    if wanted not in ("on", "off"):
        _misused(f"{HOST} is {wanted!r}; it must be on or off")
    # To die at once loses nothing: the daemon sees the connection end. SIGPIPE stays ignored, as
    # gRPC raises it when its last channel closes: one of its threads may wake a loop that has gone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os._exit(_relay(own=wanted == "off"))


def _relay(*, own: bool) -> int:
    from buddies_mcp.reaching import HostDoor, HostUnusable, Server, SettingsRefused
    from buddies_mcp.relay import Relay

    # What a library prints must not get into the client's messages.
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        return Relay(0, stdout, Server(HostDoor(os.environ), own=own).reach).run()
    except SettingsRefused as error:
        streams.complain(str(error))
        return MISUSED
    except HostUnusable as error:
        streams.complain(f"this agent can't be served: {error}")
        return FAILED


def _misused(text: str) -> None:
    streams.complain(text)
    raise SystemExit(MISUSED)


if __name__ == "__main__":
    main()
