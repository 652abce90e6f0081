"""Whether a message belongs to the room, and to the epoch, in which it arrived."""

from collections import Counter

from buddies_core.errors import WireError
from buddies_core.rooms.line import RoomLine
from buddies_core.rooms.private.keyring import Keyring
from buddies_core.trust.admitted import Admitted, Rejected


def opened(line: RoomLine, content: bytes, counters: Counter[str]) -> bytes:
    """Return the message in a broadcast.

    Raises:
        Rejected: it does not open with the newest key.
    """
    try:
        return line.open(content)
    except WireError as error:
        counters["rejected_unsealed"] += 1
        raise Rejected("unsealed", str(error)) from error


def check_room(
    admitted: Admitted, keyring: Keyring | None, counters: Counter[str], *, hears_unsigned: bool
) -> None:
    """Check that the message was sent in a room of this kind: a private one has a keyring.

    Raises:
        Rejected: it was not, or it is unsigned and unsigned messages are not accepted here.
    """
    trailer = admitted.trailer
    if trailer is None and not hears_unsigned:
        # In a private room a member sealed it, but nothing proves its author.
        counters["rejected_unsigned" if keyring else "legacy_refused"] += 1
        raise Rejected("unsigned", "a message without a trailer is not heard in this room")
    is_private = trailer is not None and trailer.epoch is not None
    if is_private is not (keyring is not None):
        counters["rejected_scope"] += 1
        raise Rejected(
            "scope",
            "it was said in a room of another kind, open or private",
        )


def check_epoch(admitted: Admitted, keyring: Keyring | None, counters: Counter[str]) -> None:
    """Check that the message was sent in the epoch in which it is sealed.

    Raises:
        Rejected: a member has sealed an earlier message of another again.
    """
    if keyring and admitted.trailer and not keyring.is_said_now(admitted.trailer):
        counters["rejected_resealed"] += 1
        raise Rejected("resealed", "it was said in another epoch than it is sealed in")
