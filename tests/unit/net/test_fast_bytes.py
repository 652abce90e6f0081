from collections.abc import Iterator
from typing import Any

import iroh
import pytest
from iroh import iroh_ffi
from nacl.signing import SigningKey

from buddies_core.net import fast_bytes

BUILDER: Any = iroh_ffi._UniffiRustBufferBuilder


@pytest.fixture
def stock() -> Iterator[Any]:
    """What `write` was before; put back afterwards."""
    before = BUILDER.write
    yield before
    BUILDER.write = before


def test_rust_gets_the_very_bytes_that_are_sent(stock: Any) -> None:
    assert fast_bytes.install() is None
    assert BUILDER.write is not stock or stock is fast_bytes._write
    message = bytes(range(256)) * 40
    theirs = iroh.SecretKey.from_bytes(b"k" * 32).sign(message).to_bytes()
    assert theirs == SigningKey(b"k" * 32).sign(message).signature


def _reversed(builder: Any, value: bytes) -> None:
    fast_bytes._write(builder, bytes(reversed(value)))


def _cut_short(builder: Any, value: bytes) -> None:
    fast_bytes._write(builder, value[:100])


def _raising(builder: Any, value: bytes) -> None:
    raise AttributeError("rbuf")


@pytest.mark.parametrize("wrong", [_reversed, _cut_short, _raising])
def test_a_wrong_way_of_writing_is_not_kept(stock: Any, wrong: fast_bytes.Write) -> None:
    warning = fast_bytes.install(wrong)
    assert warning is not None
    assert "large messages will be slow" in warning
    assert BUILDER.write is stock


def test_another_version_of_iroh_is_left_alone(stock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_bytes, "version", lambda name: "1.3.0")
    assert fast_bytes.install() == "iroh is not 1.2.0: large messages will be slow"
    assert BUILDER.write is stock
