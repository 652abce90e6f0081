"""Which 32 bytes Rust's ed25519 takes for a public key."""

import random

import pytest
from nacl.signing import SigningKey

from buddies_core.errors import WireError
from buddies_core.wire.endpoint_ids import endpoint_id

P = 2**255 - 19


@pytest.mark.parametrize(
    "hexadecimal",
    [
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    ],
)
def test_the_keys_of_rfc_8032_are_endpoint_ids(hexadecimal: str) -> None:
    assert endpoint_id(bytes.fromhex(hexadecimal)).hex() == hexadecimal


def test_every_key_that_signs_is_an_endpoint_id() -> None:
    for n in range(50):
        key = bytes(SigningKey(n.to_bytes(32, "big")).verify_key)
        assert endpoint_id(key) == key


@pytest.mark.parametrize(
    ("y", "sign"),
    [
        (0, 0),  # all zero bytes, a point of order 4, which libsodium refuses
        (1, 0),  # the neutral point
        (1, 1),  # the same with a negative zero for x, which Rust takes
        (P - 1, 0),  # the point of order 2
        (P, 0),  # 0 again, as p is not reduced
        (P + 1, 1),
    ],
)
def test_points_of_small_order_and_unreduced_ones_are_taken(y: int, sign: int) -> None:
    raw = (y | sign << 255).to_bytes(32, "little")
    assert endpoint_id(raw) == raw


def test_about_half_of_all_bytes_are_no_point() -> None:
    rng = random.Random(8032)
    taken = 0
    for _ in range(400):
        try:
            endpoint_id(rng.randbytes(32))
        except WireError:
            continue
        taken += 1
    assert 160 < taken < 240


def test_y_is_no_point_if_x_has_no_square_root() -> None:
    with pytest.raises(WireError, match="no point of Ed25519"):
        endpoint_id((2).to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(WireError, match=f"of {size} bytes"):
        endpoint_id(bytes(size))
