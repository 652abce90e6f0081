"""A person's key vouches for an endpoint, so that it need not sign each of its messages.

signed := "buddies/2 endpoint" · endpoint id[32] · signed_at_ms:u64be
"""

from buddies_core.errors import InvalidInput
from buddies_core.identity.signers import Signer
from buddies_core.model.identity import Binding, SignerIdentity
from buddies_core.model.ids import EndpointId

NAMESPACE = "buddies-endpoint"
BINDING_BYTES_MAX = 2500
"""A binding must fit into a broadcast with a presence. An RSA key of 4096 bits takes 2,400."""
_CONTEXT = b"buddies/2 endpoint"


def binding_payload(endpoint: EndpointId, signed_at_ms: int) -> bytes:
    """Return the bytes that the signer signs."""
    return _CONTEXT + endpoint + signed_at_ms.to_bytes(8, "big")


async def bind(signer: Signer, endpoint: EndpointId, now_ms: int) -> Binding:
    """Return a binding, by which the signer vouches for this endpoint.

    Raises:
        InvalidInput: the key is too large for it.
        BuddiesError: the signer can't sign.
    """
    signature = await signer.sign(binding_payload(endpoint, now_ms), NAMESPACE)
    return binding_of(signer.identity, now_ms, signature)


def binding_of(signer: SignerIdentity, signed_at_ms: int, signature: bytes) -> Binding:
    """Return the binding that this signature makes.

    Raises:
        InvalidInput: the key is too large for it.
    """
    binding = Binding(signer, signed_at_ms, signature)
    if (size := binding.size) > BINDING_BYTES_MAX:
        raise InvalidInput(
            f"its signature and public key have {size} bytes, {BINDING_BYTES_MAX} are allowed; "
            "take an Ed25519 key"
        )
    return binding
