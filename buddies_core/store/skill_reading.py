"""Skills in the database: reading one, and a stretch of the order in which they came."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from buddies_core.errors import StoreError
from buddies_core.model.ids import RoomName
from buddies_core.model.labels import groups_of
from buddies_core.model.skill import Skill, SkillHead, SkillKey, hash_of_key
from buddies_core.store import contents, keys, skill_keys
from buddies_core.store.database import Read
from buddies_core.store.items import Kept, disk_bytes
from buddies_core.store.listing import Listed, Listing
from buddies_core.store.skill_records import decode_skill, decode_skill_head
from buddies_core.store.view import View

_log = logging.getLogger(__name__)


def read_skill(read: Read, key: SkillKey) -> tuple[int, Skill] | None:
    """Return the sequence and the skill under this key.

    Raises:
        StoreError: its record is damaged.
    """
    place = skill_keys.SKILLS + key
    try:
        data = read(place)
        if data is None:
            return None
        return decode_skill(data, partial(contents.joined, read, place))
    except (StoreError, ValueError) as error:
        raise _damaged(key, error) from error


def read_skill_head(read: Read, key: SkillKey) -> tuple[int, SkillHead] | None:
    """Return the sequence and the head of the skill under this key.

    Raises:
        StoreError: its record is damaged.
    """
    try:
        data = read(skill_keys.SKILLS + key)
        return None if data is None else decode_skill_head(data)
    except (StoreError, ValueError) as error:
        raise _damaged(key, error) from error


def listed_skill(sequence: int, skill: Skill | SkillHead) -> Listed:
    """Return the properties by which lists find a skill."""
    return Listed(sequence, skill.labels)


def kept_skill(read: Read, skill: Skill | SkillHead) -> Kept:
    """Return the record of a skill, as it is among the items."""
    place = skill_keys.SKILLS + skill.key
    return Kept(skill.entry.room, skill.proof, place, disk_bytes(read, place))


def list_skills(
    view: View,
    listing: Listing,
    room: RoomName | None,
    tags: tuple[str, ...],
    limit: int,
    hides: Callable[[SkillHead], bool],
    after: SkillKey | None,
) -> tuple[tuple[SkillHead, ...], int]:
    """Return the latest arrivals with any of the tags; see `skills.SkillStore.list_skills`.

    While the listing is not complete, all skills are looked at.
    """
    found: list[SkillHead] = []
    damaged = 0
    before = None if after is None else _sequence(view, after)
    groups = groups_of(room=room, tags=tags)
    for sequence in _candidates(view, listing, groups, before):
        if len(found) == limit:
            break
        key = view.get(skill_keys.log(sequence))
        try:
            kept = None if key is None else read_skill_head(view.get, SkillKey(key))
        except StoreError as error:
            _log.warning("record_damaged reason=%s", error)
            damaged += 1
            continue
        if kept is None or kept[0] != sequence:
            continue  # It was damaged when it was replaced, and this place of it is left.
        labels = set(kept[1].labels)
        passes = all(not labels.isdisjoint(group) for group in groups)
        if passes and not hides(kept[1]):
            found.append(kept[1])
    return tuple(found), damaged


def _candidates(
    view: View, listing: Listing, groups: Sequence[Sequence[str]], before: int | None
) -> Iterator[int]:
    if listing.complete and groups:
        yield from listing.newest(view, groups, before=None if before is None else (0, before))
        return
    end = None if before is None else skill_keys.log(before)
    for place, _ in view.scan(skill_keys.LOG, backwards=True, before=end):
        yield keys.log_sequence(place)


def _sequence(view: View, key: SkillKey) -> int | None:
    try:
        kept = read_skill_head(view.get, key)
    except StoreError:
        return None
    return None if kept is None else kept[0]


def _damaged(key: SkillKey, error: Exception) -> StoreError:
    return StoreError(
        f"the record of skill {hash_of_key(key)} is damaged ({error}); nothing else is affected, "
        "and other members of its room may still have it: search_skills asks them"
    )
