"""The lines that a client writes, made readable where they are not quite JSON."""

from __future__ import annotations

import io
import json
import re
import sys

import anyio

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def open_stdin() -> anyio.AsyncFile[str]:
    """Return this process's stdin, read line by line."""
    return anyio.wrap_file(_Lines(sys.stdin.buffer, encoding="utf-8", errors="replace"))


def mended(line: str) -> str:
    """Return the line with U+FFFD for each half of a surrogate pair in its texts.

    Clients write one where an emoji was cut in two. No UTF-8 can hold it, so that the SDK would
    drop the line, and the call that it makes would never be answered.
    """
    if not _SURROGATE.search(line):
        return line
    try:
        spelt_out = json.dumps(json.loads(line), ensure_ascii=False)
    except (ValueError, RecursionError):
        return line  # what is wrong with it is not for us to say
    return spelt_out.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Lines(io.TextIOWrapper):
    # As for TextIOWrapper's own, which overrides that of bytes.
    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]
        return mended(super().readline(size))
