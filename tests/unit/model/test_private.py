"""What is never shown of a private room."""

from buddies_core.model.ids import RoomId, RoomName
from buddies_core.model.private import Epoch, Invite, PrivateState


def test_secrets_and_tokens_do_not_get_into_logs() -> None:
    secret = b"\xaa" * 32
    state = PrivateState(epochs=(Epoch(3, secret),))
    invite = Invite(
        room=RoomName("ops"),
        room_id=RoomId(bytes(32)),
        endpoints=(),
        token=secret,
        expires_at_s=1,
        uses=1,
    )
    assert "Epoch(number=3)" in repr(state)
    assert "\\xaa" not in repr(state) + repr(invite)
