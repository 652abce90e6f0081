"""Bytes for iroh by memmove: the bindings of 1.2.0 copy them one by one, 0.2 µs each (measured).

So 64 KiB would block the event loop for 12 ms. The cure replaces a private method of exactly that
version, and stays only if a test shows that Rust still gets what was sent. uniffi 0.32 has it.
"""

import ctypes
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import iroh
from iroh import iroh_ffi
from nacl.signing import SigningKey

_PATCHED_VERSION = "1.2.0"
_SEED = bytes(range(32))
_TESTED_SIZES = (0, 1, 2, 15, 16, 17, 255, 4096, 65_536)

Write = Callable[[Any, bytes], None]


def _write(builder: Any, value: bytes) -> None:
    """Append the value to what the builder builds, as `_UniffiRustBufferBuilder.write` does."""
    with builder._reserve(len(value)):  # noqa: SLF001 - it is this class's method
        buffer = builder.rbuf
        start = ctypes.addressof(buffer.data.contents) + buffer.len
        ctypes.memmove(start, bytes(value), len(value))


def install(write: Write = _write) -> str | None:
    """Speed iroh up; return why that was not possible, as a warning for people.

    Doing it again changes nothing. After a failure iroh is as it was.
    """
    if version("iroh") != _PATCHED_VERSION:
        return f"iroh is not {_PATCHED_VERSION}: large messages will be slow"
    builder: Any = iroh_ffi._UniffiRustBufferBuilder  # noqa: SLF001 - see above
    stock = builder.write
    builder.write = write
    try:
        trusted = _rust_gets_what_is_sent()
    except Exception:  # noqa: BLE001 - whatever a wrong patch does, there is the stock code
        trusted = False
    if trusted:
        return None
    builder.write = stock
    return "the faster way of handing bytes to iroh failed its test: large messages will be slow"


def _rust_gets_what_is_sent() -> bool:
    """Have Rust sign messages of all kinds of sizes, and compare with libsodium's signatures."""
    theirs, ours = iroh.SecretKey.from_bytes(_SEED), SigningKey(_SEED)
    messages = [bytes(i * 7 % 251 for i in range(size)) for size in _TESTED_SIZES]
    return all(theirs.sign(it).to_bytes() == ours.sign(it).signature for it in messages)
