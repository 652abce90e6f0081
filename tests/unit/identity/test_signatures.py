"""Signatures of endpoints."""

from hypothesis import given
from hypothesis import strategies as st

from buddies_core.identity.node_key import NodeKey
from buddies_core.identity.signatures import verify_endpoint
from buddies_core.model.ids import EndpointId

ANN = NodeKey(b"a" * 32)
BEN = NodeKey(b"b" * 32)


@given(st.binary(max_size=300))
def test_what_an_endpoint_signed_verifies_for_it_and_for_nobody_else(payload: bytes) -> None:
    signature = ANN.sign(payload)
    assert verify_endpoint(ANN.endpoint, payload, signature)
    assert not verify_endpoint(BEN.endpoint, payload, signature)
    assert not verify_endpoint(ANN.endpoint, payload + b"x", signature)


@given(st.binary(max_size=70), st.binary(max_size=40), st.binary(max_size=70))
def test_nonsense_is_no_signature_and_raises_nothing(
    endpoint: bytes, payload: bytes, signature: bytes
) -> None:
    assert not verify_endpoint(EndpointId(endpoint), payload, signature)


def test_no_bit_of_a_signature_can_be_changed() -> None:
    signature = ANN.sign(b"hello")
    for bit in range(512):
        changed = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
        assert not verify_endpoint(ANN.endpoint, b"hello", changed)


def test_the_second_form_of_the_same_signature_is_refused() -> None:
    """S and S + L both satisfy the equation; RFC 8032, 5.1.7 takes S < L alone."""
    order = 2**252 + 27742317777372353535851937790883648493
    signature = ANN.sign(b"hello")
    second = int.from_bytes(signature[32:], "little") + order
    forged = signature[:32] + second.to_bytes(32, "little")
    assert not verify_endpoint(ANN.endpoint, b"hello", forged)


def test_a_key_of_small_order_signs_nothing() -> None:
    """With the neutral element as key, R = S·B would satisfy the equation for every payload."""
    neutral = EndpointId((1).to_bytes(32, "little"))
    assert not verify_endpoint(neutral, b"anything", bytes(neutral) + bytes(32))
