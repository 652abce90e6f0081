"""Which room a name stands for on this machine.

What is kept of a room is kept under its name, also once the room was left, and is handed to whoever
is in the room of that name. So nothing of a private room may be kept under the name of another.
"""

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import RoomId, RoomName, open_room_id
from buddies_core.rooms.ports import StorePort


async def claim(name: RoomName, room_id: RoomId, store: StorePort) -> None:
    """Have a name stand for this room from now on; on return that is on disk.

    Raises:
        InvalidInput: it stands for a private room of which something is kept here.
        StoreError: the disk refused.
    """
    claims = store.watermark(_of_name(name))
    stands_for_open = claims == _claim_of(name, open_room_id(name), store)
    if claims == _claim_of(name, room_id, store) and (claims or room_id == open_room_id(name)):
        return
    if not stands_for_open and await store.keeps_any_of(name):
        raise InvalidInput(
            f"this machine keeps what was said in another, private room named {name!r}; those in "
            "this one could find it by the name: choose another name for this room"
        )
    await store.raise_watermark(_of_room(name, room_id), claims + 1)
    await store.raise_watermark(_of_name(name), claims + 1)


def _claim_of(name: RoomName, room_id: RoomId, store: StorePort) -> int:
    """Return when this room claimed the name last: as the first, the second ...; 0 for never."""
    return store.watermark(_of_room(name, room_id))


def _of_name(name: RoomName) -> bytes:
    return b"claims" + name.encode()


def _of_room(name: RoomName, room_id: RoomId) -> bytes:
    return b"claim." + room_id + name.encode()
