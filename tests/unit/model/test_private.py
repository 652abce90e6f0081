"""What a private room is by, and what is never shown of it."""

import hashlib

from buddies_core.model.ids import EndpointId, RoomName, open_room_id
from buddies_core.model.private import Epoch, Founding, Invite, private_room_id

FOUNDING = Founding(EndpointId(b"a" * 32), b"n" * 32)


def test_secrets_and_tokens_do_not_get_into_logs() -> None:
    secret = b"\xaa" * 32
    epoch = Epoch(3, secret)
    invite = Invite(
        room=RoomName("ops"),
        founding=FOUNDING,
        endpoints=(),
        token=secret,
        expires_at_s=1,
        uses=1,
    )
    assert repr(epoch) == "Epoch(number=3)"
    assert "\\xaa" not in repr(invite)


def test_a_room_s_id_follows_from_its_name_its_founder_and_chance_and_is_no_open_room_s() -> None:
    ids = {
        private_room_id(RoomName("ops"), FOUNDING),
        private_room_id(RoomName("ops "), FOUNDING),
        private_room_id(RoomName("ops"), Founding(FOUNDING.founder, b"m" * 32)),
        private_room_id(RoomName("ops"), Founding(EndpointId(b"b" * 32), FOUNDING.nonce)),
        open_room_id(RoomName("ops")),
    }
    assert len(ids) == 5
    expected = hashlib.sha256(b"buddies/2 private room\0" + b"a" * 32 + b"n" * 32 + b"ops")
    assert private_room_id(RoomName("ops"), FOUNDING) == expected.digest()
