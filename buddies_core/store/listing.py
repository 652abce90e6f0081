"""Which entries have which labels, so that a list with a filter reads little more than it shows.

An entry is known by its sequence; 256 sequences in a row are a page. For each label that occurs in
a page there is a bit for each of its entries, so a filter takes a few ANDs and ORs over all pages:
at 100,000 entries some 400 short values a label, read one after the other.

    bits  := bits letter · hash of the label:8 · page:u32be → bit[256], the first entry's lowest
    times := times letter · page:u32be                      → at_s:u64le[1 … 256]

Two labels may share a hash, and bits may be left of an entry that was damaged when it was replaced.
So what is found here is to be looked at before it is shown.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from buddies_core.store.database import Changes, Read, View

PAGE = 256
"""Entries. With longer pages more is written for each entry, with shorter ones more is read."""

_BITS_BYTES = PAGE // 8
_TIME_BYTES = 8
_NEWEST_AT_ONCE = 64
"""How many are sorted at first; lists that hide much, or are long, need more."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What is to be found of an entry."""

    sequence: int
    labels: tuple[str, ...]
    at_s: int = 0


class Listing:
    """The bits and times of one kind of entry. All it keeps is in the database."""

    def __init__(self, bits: bytes, times: bytes | None = None) -> None:
        """Use these letters; without times the order of arrival is the order of the list."""
        self._bits = bits
        self._times = times
        self.complete = False
        """Whether all entries are in it, also those that an older buddies wrote."""

    def changes(self, read: Read, new: Listed, gone: Listed | None = None) -> Changes:
        """Return the changes that make an entry found, in place of the one that is gone."""
        changes: dict[bytes, bytes | None] = {}
        for entry in (gone, new):
            if entry is None:
                continue
            page, index = divmod(entry.sequence, PAGE)
            for label in entry.labels:
                place = self._place(label, page)
                kept = changes[place] if place in changes else read(place)
                bits = int.from_bytes(kept or b"", "little")
                bits = bits | 1 << index if entry is new else bits & ~(1 << index)
                changes[place] = bits.to_bytes(_BITS_BYTES, "little") if bits else None
        if self._times is not None:
            page, index = divmod(new.sequence, PAGE)
            place = self._times + struct.pack(">I", page)
            times = (read(place) or b"").ljust(PAGE * _TIME_BYTES, b"\0")
            begin, end = index * _TIME_BYTES, (index + 1) * _TIME_BYTES
            at_s = struct.pack("<Q", new.at_s)
            changes[place] = (times[:begin] + at_s + times[end:]).rstrip(b"\0")
        return changes

    def page_changes(self, read: Read, entries: Sequence[Listed]) -> Changes:
        """Return the changes that make these entries of one page found."""
        changes: dict[bytes, bytes | None] = {}

        def read_changed(key: bytes) -> bytes | None:
            return changes.get(key) or read(key)

        for entry in entries:
            changes |= self.changes(read_changed, entry)
        return changes

    def newest(
        self,
        view: View,
        groups: Sequence[Sequence[str]],
        since_s: int = 0,
        before: tuple[int, int] | None = None,
    ) -> Iterator[int]:
        """Yield the entries that may have a label of each group, the newest first.

        Args:
            view: Where they are.
            groups: The labels; one group at least.
            since_s: When the oldest may have been made.
            before: A time and a sequence; the entry there and all newer ones are left out.
        """
        found = self._matching(view, groups)
        at_s = self._at_s(view, found)
        kept = at_s >= since_s
        if before is not None:
            kept &= (at_s < before[0]) | ((at_s == before[0]) & (found < before[1]))
        found, at_s = found[kept], at_s[kept]
        count = _NEWEST_AT_ONCE
        while len(found):
            # Those of the oldest second that is looked at come all at once.
            oldest = np.partition(at_s, -count)[-count] if count < len(at_s) else 0
            now = at_s >= oldest
            yield from found[now][np.argsort(at_s[now], kind="stable")[::-1]].tolist()
            found, at_s = found[~now], at_s[~now]
            count *= 4

    def _matching(self, view: View, groups: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        """Return the sequences of the entries that may have a label of each group, in order."""
        matching: NDArray[np.uint8] | None = None
        for group in groups:
            found = [list(view.scan(self._bits + _hash(label))) for label in group]
            last = max((int.from_bytes(it[-1][0][-4:], "big") for it in found if it), default=-1)
            any_of = np.zeros((last + 1, _BITS_BYTES), np.uint8)
            for values in found:
                pages = np.frombuffer(b"".join(place[-4:] for place, _ in values), ">u4")
                bits = np.frombuffer(b"".join(bits for _, bits in values), np.uint8)
                any_of[pages] |= bits.reshape(-1, _BITS_BYTES)
            shorter = len(any_of) if matching is None else min(len(any_of), len(matching))
            matching = any_of if matching is None else matching[:shorter] & any_of[:shorter]
        assert matching is not None, "what asks for no label is no filter"
        return np.flatnonzero(np.unpackbits(matching.reshape(-1), bitorder="little"))

    def _at_s(self, view: View, sequences: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return when each of these was made, in their order, which is ascending."""
        at_s = np.zeros(len(sequences), np.uint64)
        if self._times is not None and len(sequences):
            pages = sequences // PAGE
            starts = [0, *(np.flatnonzero(np.diff(pages)) + 1).tolist()]
            ends = [*starts[1:], len(sequences)]
            for page, start, end in zip(pages[starts].tolist(), starts, ends, strict=True):
                times = view.get(self._times + struct.pack(">I", page)) or b""
                known = np.frombuffer(times.ljust(PAGE * _TIME_BYTES, b"\0"), "<u8")
                at_s[start:end] = known[sequences[start:end] % PAGE]
        return at_s

    def _place(self, label: str, page: int) -> bytes:
        return self._bits + _hash(label) + struct.pack(">I", page)


def _hash(label: str) -> bytes:
    return blake2b(label.encode(), digest_size=8).digest()
