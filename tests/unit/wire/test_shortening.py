"""What of a memory goes into one broadcast."""

import hashlib
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.errors import InvalidInput
from buddies_core.gossip.messages import CONTENT_BYTES_MAX
from buddies_core.identity.node_key import NodeKey
from buddies_core.model.address import AddressInfo, SocketAddress
from buddies_core.model.bodies import MemoryCreated
from buddies_core.model.identity import SshIdentity
from buddies_core.model.ids import MemoryId, RoomName
from buddies_core.model.memory import (
    REFERENCES_MAX,
    TAG_BYTES_MAX,
    TAGS_MAX,
    TITLE_BYTES_MAX,
    MemoryEntry,
    MemoryKind,
    Whole,
)
from buddies_core.model.room import ROOM_NAME_BYTES_MAX
from buddies_core.wire.room_messages import (
    RoomMessage,
    Trailer,
    encode_room_message,
    open_envelope,
    seal,
)
from buddies_core.wire.shortening import LegacySignature, fit_memory

ANN = NodeKey(b"a" * 32)
SMALL = MemoryEntry(
    id=MemoryId(UUID("12345678-1234-4678-9234-567812345678")),
    author=ANN.endpoint.hex(),
    created_at_s=1_700_000_000,
    room=RoomName("demo"),
    kind=MemoryKind.DECISION,
    title="T",
    content="C",
)
LARGEST = replace(
    SMALL,
    room=RoomName("r" * ROOM_NAME_BYTES_MAX),
    title="t" * TITLE_BYTES_MAX,
    tags=("t" * TAG_BYTES_MAX,) * TAGS_MAX,
    references=(SMALL.id,) * REFERENCES_MAX,
)
ADDRESS = AddressInfo("https://relay.example./", (SocketAddress("192.168.1.5", 4433),))


def sealed(
    entry: MemoryEntry,
    whole: Whole | None,
    agent: str = "",
    user: str = "",
    address: AddressInfo | None = None,
) -> bytes:
    """Return the broadcast, at the latest time that there is."""
    trailer = Trailer(
        sender=ANN.endpoint,
        sent_at_ms=2**64 - 1,
        agent=agent or None,
        address=address,
        whole=whole,
        user=user or None,
    )
    message = RoomMessage(nonce=bytes(16), body=MemoryCreated(entry))
    return seal(encode_room_message(message), trailer, b"", ANN.sign)


def whole_of(content: str) -> Whole:
    raw = content.encode()
    return Whole(hashlib.sha256(raw).digest(), len(raw))


def test_what_fits_stays_as_it_is() -> None:
    assert fit_memory(SMALL, agent="claude", user="zoe") == (SMALL, None)


def test_the_largest_content_that_fits_is_sent_whole_and_one_byte_more_is_shortened() -> None:
    spare = CONTENT_BYTES_MAX - len(sealed(replace(SMALL, content="c" * 200), None))
    exact = replace(SMALL, content="c" * (200 + spare))
    assert fit_memory(exact) == (exact, None)
    assert len(sealed(*fit_memory(exact))) == CONTENT_BYTES_MAX

    longer = replace(SMALL, content=exact.content + "c")
    part, whole = fit_memory(longer)
    assert whole == whole_of(longer.content)
    assert part == replace(longer, content=longer.content[: len(part.content)])
    assert len(sealed(part, whole)) == CONTENT_BYTES_MAX


def test_room_is_left_for_the_signature_that_old_peers_want() -> None:
    signer, longest = SshIdentity("ssh-ed25519 AAAA ann@home"), replace(SMALL, content="c" * 9000)
    taken = LegacySignature(signer, 298).size
    part, whole = fit_memory(longest, size_max=CONTENT_BYTES_MAX - taken)
    trailer = Trailer(sender=ANN.endpoint, sent_at_ms=2**64 - 1, whole=whole)
    message = RoomMessage(
        nonce=bytes(16), body=MemoryCreated(part), signed_by=signer, signature=bytes(298)
    )
    raw = seal(encode_room_message(message), trailer, b"", ANN.sign)
    assert len(raw) == CONTENT_BYTES_MAX


def test_the_longest_content_is_shortened_to_fill_the_message() -> None:
    longest = replace(SMALL, content="c" * (1 << 20))
    part, whole = fit_memory(longest, agent="claude", user="zoe", address=ADDRESS)
    assert whole == whole_of(longest.content)
    assert len(sealed(part, whole, "claude", "zoe", ADDRESS)) == CONTENT_BYTES_MAX


@pytest.mark.parametrize("character", ["é", "€", "🙂"])
def test_no_character_is_cut_in_two(character: str) -> None:
    width = len(character.encode())
    for offset in range(width):
        content = "c" * offset + character * 3000
        part, whole = fit_memory(replace(SMALL, content=content))
        assert content.startswith(part.content)
        assert CONTENT_BYTES_MAX - width < len(sealed(part, whole)) <= CONTENT_BYTES_MAX


def test_the_largest_title_tags_references_and_room_fit_with_long_names_and_some_content() -> None:
    long = replace(LARGEST, content="c" * 5000)
    part, whole = fit_memory(long, agent="a" * 100, user="u" * 100)
    assert part == replace(long, content=part.content)
    assert len(part.content) > 100
    assert len(sealed(part, whole, "a" * 100, "u" * 100)) == CONTENT_BYTES_MAX


def test_names_that_leave_no_place_are_refused_with_the_excess() -> None:
    long = replace(SMALL, content="c" * 5000)
    part, _ = fit_memory(long, agent="a" * 1000)
    just = "a" * (1000 + len(part.content))
    assert fit_memory(long, agent=just)[0].content == ""
    with pytest.raises(InvalidInput, match="names of agent and user are 1 bytes more"):
        fit_memory(long, agent=just + "a")


@given(
    st.text(max_size=60), st.integers(min_value=1, max_value=300), st.text(max_size=30), st.text()
)
def test_what_is_sent_is_the_beginning_and_fits(
    text: str, times: int, agent: str, title: str
) -> None:
    entry = replace(SMALL, title=title, content=text * times)
    part, whole = fit_memory(entry, agent=agent)
    raw = sealed(part, whole, agent)
    assert len(raw) <= CONTENT_BYTES_MAX
    assert open_envelope(raw).message.body == MemoryCreated(part)
    assert part == replace(entry, content=part.content)
    assert entry.content.startswith(part.content)
    assert whole == (None if part == entry else whole_of(entry.content))
