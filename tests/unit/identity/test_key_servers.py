"""What a stranger signs doesn't make this machine tell a key server that it was here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from buddies_core.clock import SystemClock
from buddies_core.identity.verifying import Verdict, Verifier
from buddies_core.model.identity import GpgIdentity
from tests.support.worlds.person import needs, some_person

pytestmark = [needs("gpg"), needs("dirmngr")]

PAYLOAD = b"what was said"


@asynccontextmanager
async def a_key_server() -> AsyncIterator[tuple[int, list[bytes]]]:
    """Yield the port of one that has no keys, and what it is asked for."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.0 404 Not Found\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], asked


async def test_no_key_server_is_asked_for_the_key_of_a_signature() -> None:
    async with a_key_server() as (port, asked):
        with some_person() as ann, some_person() as ben:
            identity = GpgIdentity(ann.gpg_key())
            signature = ann.run("gpg", "--batch", "--detach-sign", given=PAYLOAD)
            (ben.home / "gnupg/gpg.conf").write_text("auto-key-retrieve\n")
            (ben.home / "gnupg/dirmngr.conf").write_text(f"keyserver hkp://127.0.0.1:{port}\n")

            verify = Verifier(ben.environ, SystemClock()).verify
            found = await verify(identity, PAYLOAD, signature, "buddies")
            assert (found.verdict, asked) == (Verdict.UNKNOWN, [])

            # By itself gpg would ask, as this user wants it to.
            (ben.home / "signature").write_bytes(signature)
            command = ("gpg", "--batch", "--verify", "signature", "-")
            with pytest.raises(AssertionError, match="No public key"):
                await asyncio.to_thread(ben.run, *command, given=PAYLOAD)
            [request] = asked
            assert identity.key_id.encode() in request
