"""Resolves ids by their first digits. Models copy eight, so each hit costs them fewer tokens."""

import re

from buddies_core.convert import arguments
from buddies_core.errors import InvalidInput, NotFound
from buddies_core.memory.findings import RecentFinds
from buddies_core.memory.ports import StorePort
from buddies_core.model.ids import MemoryId
from buddies_core.model.memory import MemoryRef
from buddies_core.wire.pasted import bare

_SHORT = re.compile(r"[0-9a-f]{8,31}")
"""Another of a million memories shares its eight digits in one of ten thousand tries."""


def id_meant(text: str, field: str, store: StorePort, finds: RecentFinds) -> MemoryId:
    """Return the id that a caller means by a whole id, or by the first digits of a known one.

    Raises:
        NotFound: no memory on disk or found lately has an id that begins with these digits.
        InvalidInput: it is not an id, or several ids match; the text says which.
    """
    digits = bare(text).replace("-", "").lower()
    if not _SHORT.fullmatch(digits):
        return arguments.memory_id(text, field)
    found = {id for id in finds.ids() if id.hex.startswith(digits)}
    known = sorted(found.union(store.ids_beginning(digits)))
    if not known:
        raise NotFound(
            f"{field} {digits} begins the id of no memory on this machine; search for it again, or"
            " give the whole id, by which the members can be asked"
        )
    if len(known) > 1:
        raise InvalidInput(
            f"{field} {digits} begins several ids, such as {known[0]} and {known[1]}; give the"
            " whole id"
        )
    return known[0]


def ref_meant(text: str, field: str, store: StorePort, finds: RecentFinds) -> MemoryRef:
    """Return the memory that a caller means: as `id_meant`, with its author after an @ if given.

    Raises:
        NotFound: as `id_meant`.
        InvalidInput: as `id_meant`, or the author is not given in hex digits.
    """
    id, author = arguments.author_part(text, field)
    return MemoryRef(id_meant(id, field, store, finds), author)
