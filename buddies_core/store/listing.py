"""Which entries have which labels, so that a list with a filter reads little more than it shows.

An entry is known by its sequence; 256 sequences in a row are a page. For each label that occurs in
a page there is a bit for each of its entries, so a filter takes a few ANDs and ORs over all pages:
at 100,000 entries some 400 short values a label, read one after the other.

    bits  := bits letter · hash of the label:8 · page:u32be → bit[256], the first entry's lowest
    times := times letter · page:u32be                      → at_s:u64le[1 … 256]
    span  := spans letter · page:u32be                      → first at_s:u64be · last at_s:u64be

A list goes by time. As entries come nearly in that order, the spans of the pages say which few of
them have the newest entries, and the times of others are not read.

Two labels may share a hash, and bits may be left of an entry that was damaged when it was replaced.
So what is found here is to be looked at before it is shown.
"""

import heapq
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from buddies_core.store.database import Changes, Read
from buddies_core.store.view import View

PAGE = 256
"""Entries. With longer pages more is written for each entry, with shorter ones more is read."""

_BITS_BYTES = PAGE // 8
_TIME_BYTES = 8
_TIME_MAX = (1 << 64) - 1
_SPAN = struct.Struct(">QQ")


@dataclass(frozen=True, slots=True)
class Listed:
    """The properties by which an entry can be found."""

    sequence: int
    labels: tuple[str, ...]
    at_s: int = 0


class Listing:
    """The bits and times of one kind of entry. All it keeps is in the database."""

    def __init__(self, bits: bytes, times: bytes = b"", spans: bytes = b"") -> None:
        """Use these letters; without times the order of arrival is the order of the list."""
        self._bits = bits
        self._times = times
        self._spans = spans
        self.complete = False
        """Whether all entries are in it, also those that an older buddies wrote."""

    def changes(self, read: Read, new: Listed | None, gone: Listed | None = None) -> Changes:
        """Return the changes that make an entry found, in place of the one that is gone.

        None if there is no new one.
        """
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
        if self._times and new is not None:
            page, index = divmod(new.sequence, PAGE)
            place = self._times + struct.pack(">I", page)
            times = (read(place) or b"").ljust(PAGE * _TIME_BYTES, b"\0")
            begin, end = index * _TIME_BYTES, (index + 1) * _TIME_BYTES
            at_s = struct.pack("<Q", new.at_s)
            changes[place] = (times[:begin] + at_s + times[end:]).rstrip(b"\0")
            place = self._spans + struct.pack(">I", page)
            first, last = _SPAN.unpack(read(place) or _SPAN.pack(new.at_s, new.at_s))
            changes[place] = _SPAN.pack(min(first, new.at_s), max(last, new.at_s))
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
        end = before or (_TIME_MAX, 0)
        if not self._times:
            yield from reversed([it for it in found.tolist() if before is None or it < end[1]])
            return
        newest: list[tuple[int, int]] = []  # Of the pages read so far, negated, as a heap.
        for page, first, behind in self._pages(view, found, since_s):
            if first <= end[0]:
                entries = page.tolist()
                for place in zip(self._at_s(view, entries), entries, strict=True):
                    if since_s <= place[0] and place < end:
                        heapq.heappush(newest, (-place[0], -place[1]))
            while newest and -newest[0][0] > behind:
                yield -heapq.heappop(newest)[1]

    def oldest(
        self,
        view: View,
        groups: Sequence[Sequence[str]],
        since_s: int = 0,
        after: tuple[int, int] | None = None,
    ) -> Iterator[int]:
        """Yield the entries that may have a label of each group, the oldest first.

        The times of all of them are read. Whoever begins with the oldest mostly wants all.

        Args:
            view: Where they are.
            groups: The labels; one group at least.
            since_s: When the oldest may have been made.
            after: A time and a sequence; the entry there and all older ones are left out.
        """
        assert self._times, "entries without times have no other order than that of arrival"
        found = self._matching(view, groups)
        begin = after or (since_s, -1)
        places: list[tuple[int, int]] = []
        for page, _, _ in self._pages(view, found, since_s):
            entries = page.tolist()
            at_s = self._at_s(view, entries)
            places += (
                it for it in zip(at_s, entries, strict=True) if it > begin and it[0] >= since_s
            )
        yield from (sequence for _, sequence in sorted(places))

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

    def _pages(
        self, view: View, found: NDArray[np.int64], since_s: int
    ) -> Iterator[tuple[NDArray[np.int64], int, int]]:
        """Yield these entries page by page, those with the latest ends first.

        With each comes when its span begins, and when the one after it ends, -1 if there is none.
        """
        numbers, starts = np.unique(found // PAGE, return_index=True)
        spans = list(view.scan(self._spans))
        known = np.frombuffer(b"".join(place[-4:] for place, _ in spans), ">u4")
        ends = np.frombuffer(b"".join(span for _, span in spans), ">u8").reshape(-1, 2)
        count = 1 + max(int(numbers.max(initial=-1)), int(known.max(initial=0)))
        firsts, lasts = np.zeros(count, np.uint64), np.full(count, _TIME_MAX, np.uint64)
        firsts[known], lasts[known] = ends[:, 0], ends[:, 1]
        firsts, lasts = firsts[numbers], lasts[numbers]
        stops = np.append(starts[1:], len(found))
        order = np.argsort(lasts, kind="stable")[::-1]
        order = order[lasts[order] >= since_s]
        behind = [*lasts[order[1:]].tolist(), -1]
        for page, after in zip(order.tolist(), behind, strict=False):
            yield found[starts[page] : stops[page]], int(firsts[page]), after

    def _at_s(self, view: View, page: Sequence[int]) -> list[int]:
        """Return when each of these entries of one page was made."""
        times = view.get(self._times + struct.pack(">I", page[0] // PAGE)) or b""
        known = struct.unpack(f"<{PAGE}Q", times.ljust(PAGE * _TIME_BYTES, b"\0"))
        return [known[sequence % PAGE] for sequence in page]

    def _place(self, label: str, page: int) -> bytes:
        return self._bits + _hash(label) + struct.pack(">I", page)


def _hash(label: str) -> bytes:
    return blake2b(label.encode(), digest_size=8).digest()
