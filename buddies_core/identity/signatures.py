"""Whether a signature is good."""

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from buddies_core.model.ids import EndpointId


def verify_endpoint(endpoint: EndpointId, payload: bytes, signature: bytes) -> bool:
    """Whether this endpoint signed this payload. Never raises: nonsense is just not its signature.

    libsodium decides. It also refuses two things that Ed25519 leaves open: keys of small order,
    and a second form of the same signature.
    """
    try:
        VerifyKey(endpoint).verify(payload, signature)
    except CryptoError:
        return False
    return True
