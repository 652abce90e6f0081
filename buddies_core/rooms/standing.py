"""How much a member's place in this node's tables is worth. Pure.

Anyone can make keys, sign a presence with each, and make a person's key that vouches for them, all
at no cost. So neither earns a place by itself. Time can't be faked: a fake member must be kept
alive for about as long as the member that it is to replace.
"""

CHOSEN = 64
"""The standing of a member that this node's user has named: on the ticket by which it joined, or by
its signer in a policy. It is above any standing from time alone."""

_MINUTE_MS = 60_000


def standing(known_ms: int, *, chosen: bool, met: bool, vouched: bool) -> int:
    """Return a member's standing: the higher, the later it is dropped and the sooner dialled.

    Args:
        known_ms: the time between its first and its latest message. Each doubling of the minutes
            counts.
        chosen: whether this node's user has named it.
        met: whether it has met this node itself. This tells apart those that are known for about
            as long, as each that is met needs a connection of its own.
        vouched: whether a person's key vouches for it, which tells apart those that are not met.
    """
    if chosen:
        return CHOSEN
    minutes = max(0, known_ms) // _MINUTE_MS
    return min(3 * minutes.bit_length() + (2 if met else vouched), CHOSEN - 1)
