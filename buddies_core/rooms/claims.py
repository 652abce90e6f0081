"""Which room a name stands for on this machine.

A room's data is stored under its name, even after the node left, and is given to the members of the
room of that name. So no data of a private room may be stored under the name of another.
"""

from collections.abc import Iterable

from buddies_core.errors import InvalidInput
from buddies_core.model.ids import RoomId, RoomName, open_room_id
from buddies_core.rooms.ports import StorePort


async def claim(name: RoomName, room_id: RoomId, store: StorePort) -> None:
    """Make a name stand for this room from now on; on return that is on disk.

    Raises:
        InvalidInput: it stands for a private room of which something is kept here.
        StoreError: the disk refused.
    """
    await check_claim(name, room_id, store)
    claims = store.watermark(_of_name(name))
    if not _stands_for(name, room_id, store):
        await store.raise_watermark(_of_room(name, room_id), claims + 1)
        await store.raise_watermark(_of_name(name), claims + 1)


async def check_claim(name: RoomName, room_id: RoomId, store: StorePort) -> None:
    """Check that a name can stand for this room; nothing is changed.

    Raises:
        InvalidInput: it stands for a private room of which something is kept here.
        StoreError: the disk refused.
    """
    if _stands_for(name, room_id, store) or _stands_for(name, open_room_id(name), store):
        return
    if await store.keeps_any_of(name):
        raise InvalidInput(
            f"this machine keeps what was said in another, private room named {name!r}; those in "
            "this one could find it by the name: choose another name for this room"
        )


def stands_for(name: RoomName, among: Iterable[RoomId], store: StorePort) -> RoomId | None:
    """Return which of these rooms, or the open one of this name, a name stands for; also if left.

    None if it stands for another, private one.
    """
    candidates = (open_room_id(name), *among)
    return next((it for it in candidates if _stands_for(name, it, store)), None)


def _stands_for(name: RoomName, room_id: RoomId, store: StorePort) -> bool:
    """Return whether the name stands for this room; it stands for the open one by default."""
    claims = store.watermark(_of_name(name))
    is_latest = claims == _claim_of(name, room_id, store)
    return is_latest and (claims > 0 or room_id == open_room_id(name))


def _claim_of(name: RoomName, room_id: RoomId, store: StorePort) -> int:
    """Return when this room claimed the name last: as the first, the second ...; 0 for never."""
    return store.watermark(_of_room(name, room_id))


def _of_name(name: RoomName) -> bytes:
    return b"claims" + name.encode()


def _of_room(name: RoomName, room_id: RoomId) -> bytes:
    return b"claim." + room_id + name.encode()
