"""Draw the terminal that the README shows, from what the programs really print: `make picture`.

Alice and Bob are two machines on loopback, each with a daemon of its own. Every command is run at a
terminal; what it prints goes into the picture as it is, but for the ticket, which is cut short.
"""

import asyncio
import fcntl
import io
import os
import pty
import re
import struct
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.support.worlds.machines import Machine, some_machines

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "terminal.svg"
WIDTH = 92
LINES = 40
TICKET_CHARS = 44
ROOM = "feature-a"
NOTE = "We're using PostgreSQL for the user table"
# A picture in a README must not fetch anything.
FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


async def main() -> None:
    """Run the story and write the picture."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    with some_machines("alice", "bob") as (alice, bob):
        for machine in (alice, bob):
            await machine.command("daemon", "start")
        ticket = (await alice.command("join", ROOM))["ticket"]
        said = f"{ticket[:TICKET_CHARS]}…"
        show(console, alice, f"buddies-cli join {ROOM}", f"{said}\n")
        await bob.command("join", ROOM, "--ticket", ticket)
        show(console, bob, f"buddies-cli join {ROOM} --ticket {ticket[:12]}…", "")
        await run(console, alice, "memory", "store", NOTE, "--room", ROOM)
        await run(console, bob, "memory", "search", "how is the DB set up?")
        await run(console, bob, "status")
    svg = console.export_svg(title="buddies", unique_id="terminal")
    PICTURE.write_text(FONTS.sub("", svg), "utf-8")


def show(console: Console, machine: Machine, command: str, output: str) -> None:
    """Put a command and what it printed into the picture."""
    prompt = Text.assemble((f"{machine.user}$ ", "bold cyan"), (command, "bold"))
    console.print(prompt, soft_wrap=True)
    console.print(Text.from_ansi(output.replace(str(machine.home), "~")))


async def run(console: Console, machine: Machine, *words: str) -> None:
    """Run a command at a terminal of this width, and put it into the picture."""
    typed = " ".join(f'"{word}"' if " " in word else word for word in words)
    show(console, machine, f"buddies-cli {typed}", await at_terminal(machine, *words))


async def at_terminal(machine: Machine, *words: str) -> str:
    """Return what a command prints where its output is a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, WIDTH, 0, 0))
    environ = os.environ | machine.environment() | {"TERM": "xterm-256color", "LANG": "C.UTF-8"}
    process = await asyncio.create_subprocess_exec(
        "buddies-cli", *words, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = await asyncio.to_thread(read_all, ours)
    if await process.wait() != 0:
        raise SystemExit(f"buddies-cli {' '.join(words)} failed:\n{said}")
    return said


def read_all(terminal: int) -> str:
    """Return all that is printed at a terminal until nobody has it open any more."""
    said = b""
    try:
        while chunk := os.read(terminal, 1 << 16):
            said += chunk
    except OSError:  # how Linux tells that the other end is closed
        pass
    finally:
        os.close(terminal)
    return said.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    asyncio.run(main())
