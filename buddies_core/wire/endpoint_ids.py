"""Endpoint ids from outside: 32 bytes that Rust's ed25519 accepts as a public key.

An Ed25519 key is the y of a point, with the sign of its x in the top bit. Rust accepts a key if the
curve -x² + y² = 1 + d·x²·y² (modulo p = 2²⁵⁵ - 19) has a point at that y; a y of p or more is taken
modulo p (RFC 8032, 5.1.3, is stricter there). libsodium also refuses points of small order,
including all-zero bytes: with its check we would drop messages that Rust peers relay.
"""

from functools import lru_cache

from buddies_core.errors import WireError
from buddies_core.model.ids import EndpointId

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_Y_BITS = (1 << 255) - 1


def endpoint_id(raw: bytes) -> EndpointId:
    """Return the bytes as an endpoint id.

    Raises:
        WireError: there are not 32 bytes, or they are not a valid public key.
    """
    if len(raw) != 32:
        raise WireError(f"an endpoint id of {len(raw)} bytes, 32 wanted")
    if not _is_on_curve(raw):
        raise WireError(f"{raw.hex()} is no endpoint id: no point of Ed25519")
    return EndpointId(raw)


# 0.1 ms if not cached (measured); an id is in every message of its peer.
@lru_cache(maxsize=16_384)
def _is_on_curve(raw: bytes) -> bool:
    """Return whether x² = (y² - 1) / (d·y² + 1) has a solution."""
    y_squared = pow(int.from_bytes(raw, "little") & _Y_BITS, 2, _P)
    # u/v is a square exactly if u·v is; v is never 0, as -1/d is not a square. Euler's criterion.
    return pow((y_squared - 1) * (_D * y_squared + 1), (_P - 1) // 2, _P) in (0, 1)
