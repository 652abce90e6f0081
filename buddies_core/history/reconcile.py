"""Finds out how two sets of items differ. Pure: sets and messages in, messages out.

This is range-based set reconciliation (A. Meyer, https://arxiv.org/abs/2212.13567) in the form of
the negentropy protocol, version 1. The initiator describes its set as adjoining ranges, each with a
fingerprint of the ids in it. The responder leaves out the ranges that are equal in its set, cuts
those that differ into 16, and lists the ids where few are left. Messages go back and forth until
all differences have been listed. The responder keeps nothing between two messages.

    message     := 0x61 · range*        adjoining, from the least item on; the rest is a Skip
    range       := upper bound · mode:varint · payload
    payload     := (nothing)                 mode 0, Skip
                 | fingerprint:16            mode 1, Fingerprint
                 | count:varint · (id:32)*   mode 2, IdList
    bound       := time:varint · length:varint · prefix of an id
    time        := 0 for infinity, else 1 + its difference from the time before it in the message
    varint      := base 128, the most significant digit first, the high bit in all but the last byte
    fingerprint := the first 16 bytes of SHA-256(sum of the ids mod 2^256:32 le · count:varint)

Processing a message of a large set may take long, so it belongs on a thread. Items that come or go
meanwhile do no harm: they are found the next time.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from buddies_core.errors import WireError
from buddies_core.history.items import ItemSet
from buddies_core.model.item import BEGIN, END, ID_BYTES, Bound, Item

VERSION = 0x61
PARTS = 16
"""How many parts a differing range is cut into, as in negentropy."""
LISTED_MAX = 2 * PARTS
"""A range with fewer items is listed."""
MESSAGE_BYTES_MIN = 4096
"""A smaller limit on a message's size would leave no room for a range beside the last fingerprint,
for which 200 bytes are kept, as negentropy does."""
RANGES_MAX = 8192
"""The most ranges in a message. 64 KiB hold 3,400 fingerprints; an answer may list as many empty
ranges."""
DIFFERENCES_MAX = 10_000
"""The most items in one answer that only we have. A responder may say in ten bytes that it lacks
them all."""

_RESERVED_BYTES = 200
_SKIP, _FINGERPRINT, _ID_LIST = 0, 1, 2
_FINGERPRINT_BYTES = 16
_VERSIONS = 0x60, 0x6F
_VARINT_BYTES_MAX = 10
_ITEMS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Learned:
    """The information in an answer for the initiator."""

    reply: bytes | None
    """The next message for the responder; None when all differences are known."""
    ours_alone: list[Item]
    """Items that the responder lacks."""
    theirs_alone: list[bytes]
    """Ids of items that the initiator lacks."""


def begin(items: ItemSet, bytes_max: int, since: Bound = BEGIN) -> bytes:
    """Return the initiator's first message, about its items from `since` on."""
    assert bytes_max >= MESSAGE_BYTES_MIN, "a message has room for a few ranges"
    message = _Writer()
    message.skip_to(since)
    _describe(items, since, END, message)
    return message.written()


def begin_briefly(items: ItemSet, since: Bound = BEGIN) -> bytes:
    """Return a first message of one range, which is enough to see that sets of any size are equal.

    Sets that differ take one round more than with `begin`.
    """
    message = _Writer()
    message.fingerprint_rest(items, since)
    return message.written()


def answer(items: ItemSet, message: bytes, bytes_max: int, wanted_since: Bound = BEGIN) -> bytes:
    """Return the responder's answer to a message.

    A range is skipped if the responder has nothing in it, and wants nothing in it because it ends
    before `wanted_since`.

    Raises:
        WireError: it is not a message of the protocol.
    """
    if not _is_spoken(message):
        return bytes([VERSION])
    answer = _Writer()
    for lower, upper, mode, payload in _ranges(message):
        if mode == _SKIP:
            continue
        total = items.fingerprint(lower, upper)
        if mode == _FINGERPRINT and payload == [_fingerprint(*total)]:
            continue
        if total[1] == 0 and upper <= wanted_since:
            continue
        end, before = upper, answer.place()
        answer.skip_to(lower)
        if mode == _FINGERPRINT:
            _describe(items, lower, upper, answer)
        else:
            end = _list(items, lower, upper, answer, bytes_max)
        if len(answer) > bytes_max - _RESERVED_BYTES:
            # The next round continues from here.
            if mode == _FINGERPRINT:
                end = lower
                answer.back_to(before)
            answer.fingerprint_rest(items, end)
            break
    return answer.written()


def learn(items: ItemSet, message: bytes, bytes_max: int) -> Learned:
    """Return what the initiator learns from an answer, and its next message.

    It learns of about `DIFFERENCES_MAX` differences at once; the next message is about the rest.

    Raises:
        WireError: it is not a message of the protocol.
    """
    if not _is_spoken(message):
        raise WireError("it is of another version of the protocol")
    reply = _Writer()
    ours_alone: list[Item] = []
    theirs_alone: list[bytes] = []
    for lower, upper, mode, payload in _ranges(message):
        if mode == _SKIP:
            continue
        end = upper
        if mode == _FINGERPRINT:
            if payload == [_fingerprint(*items.fingerprint(lower, upper))]:
                continue
            before = reply.place()
            reply.skip_to(lower)
            _describe(items, lower, upper, reply)
            if len(reply) > bytes_max - _RESERVED_BYTES:
                reply.back_to(before)
                reply.fingerprint_rest(items, lower)
                break
        else:
            theirs = dict.fromkeys(payload)
            for item in _each(items, lower, upper):
                if item.id in theirs:
                    del theirs[item.id]
                elif len(ours_alone) < DIFFERENCES_MAX:
                    ours_alone.append(item)
                else:
                    # The next round continues at the first item that is left over.
                    end = min(end, Bound(*item))
                    if not theirs:
                        break
            theirs_alone += theirs
        if end < upper:
            reply.fingerprint_rest(items, end)
            break
    return Learned(reply.written() if len(reply) > 1 else None, ours_alone, theirs_alone)


def _describe(items: ItemSet, lower: Bound, upper: Bound, message: "_Writer") -> None:
    """Describe a range, by 16 fingerprints or by a list."""
    _, count = items.fingerprint(lower, upper)
    if count < LISTED_MAX:
        message.id_list(upper, [item.id for item in items.list(lower, upper, count)])
        return
    start, done = lower, 0
    for part in range(PARTS):
        done += count // PARTS + (part < count % PARTS)
        last, first = items.nth(lower, done - 1), items.nth(lower, done)
        end = upper
        if part < PARTS - 1 and last is not None and first is not None:
            end = _between(last, first)
        message.fingerprint(end, items.fingerprint(start, end))
        start = end


def _list(items: ItemSet, lower: Bound, upper: Bound, message: "_Writer", bytes_max: int) -> Bound:
    """List the ids in a range until the message is full, and return where the list ends."""
    room = max(0, (bytes_max - _RESERVED_BYTES - len(message)) // ID_BYTES + 1)
    listed = list(items.list(lower, upper, room + 1))
    if len(listed) > room:
        upper = Bound(*listed.pop())
    message.id_list(upper, [item.id for item in listed])
    return upper


def _each(items: ItemSet, lower: Bound, upper: Bound) -> Iterator[Item]:
    while some := items.list(lower, upper, _ITEMS_AT_ONCE):
        yield from some
        lower = Bound(some[-1].at_ms, some[-1].id + b"\0")


def _between(last: Item, first: Item) -> Bound:
    """Return the shortest bound that divides two items that follow each other."""
    if last.at_ms != first.at_ms:
        return Bound(first.at_ms)
    shared = 0
    while last.id[shared] == first.id[shared]:
        shared += 1
    return Bound(first.at_ms, first.id[: shared + 1])


def _fingerprint(total: int, count: int) -> bytes:
    digest = hashlib.sha256(total.to_bytes(ID_BYTES, "little") + _varint(count))
    return digest.digest()[:_FINGERPRINT_BYTES]


def _varint(value: int) -> bytes:
    digits = [value & 0x7F]
    while value := value >> 7:
        digits.append(value & 0x7F | 0x80)
    return bytes(reversed(digits))


class _Writer:
    """Writes a message, range after range."""

    def __init__(self) -> None:
        self._out = bytearray([VERSION])
        self._at_ms = 0
        self._end = BEGIN

    def __len__(self) -> int:
        return len(self._out)

    def written(self) -> bytes:
        """Return the message so far."""
        return bytes(self._out)

    def skip_to(self, bound: Bound) -> None:
        """Skip everything before a bound that the message has not described yet."""
        if bound != self._end:
            self._range(bound, _SKIP)

    def fingerprint(self, upper: Bound, total: tuple[int, int]) -> None:
        """Write the fingerprint of the range up to a bound."""
        self._range(upper, _FINGERPRINT)
        self._out += _fingerprint(*total)

    def fingerprint_rest(self, items: ItemSet, lower: Bound) -> None:
        """Write the fingerprint of all ids from a bound on; the other side continues with these."""
        self.skip_to(lower)
        self.fingerprint(END, items.fingerprint(lower, END))

    def place(self) -> tuple[int, int, Bound]:
        """Return the current place, for `back_to`."""
        return len(self._out), self._at_ms, self._end

    def back_to(self, place: tuple[int, int, Bound]) -> None:
        """Remove everything written after this place."""
        size, self._at_ms, self._end = place
        del self._out[size:]

    def id_list(self, upper: Bound, ids: list[bytes]) -> None:
        """Write the ids in the range up to a bound."""
        self._range(upper, _ID_LIST)
        self._out += _varint(len(ids)) + b"".join(ids)

    def _range(self, upper: Bound, mode: int) -> None:
        if upper == END:
            self._out += _varint(0)
        else:
            self._out += _varint(upper.at_ms - self._at_ms + 1)
            self._at_ms = upper.at_ms
        self._out += _varint(len(upper.id_prefix)) + upper.id_prefix + _varint(mode)
        self._end = upper


class _Reader:
    """Reads a message from its front."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._place = 1

    def __bool__(self) -> bool:
        return self._place < len(self._message)

    def take(self, count: int) -> bytes:
        """Return the next bytes; raises WireError if there are fewer."""
        end = self._place + count
        if end > len(self._message):
            raise WireError("it ends within a range")
        data, self._place = self._message[self._place : end], end
        return data

    def varint(self) -> int:
        """Return the next number; raises WireError if it has more than 64 bits."""
        value = 0
        for _ in range(_VARINT_BYTES_MAX):
            [digit] = self.take(1)
            value = value << 7 | digit & 0x7F
            if digit < 0x80:
                return value
        raise WireError("a number in it is too large")


def _is_spoken(message: bytes) -> bool:
    """Return whether a message is of our version; raises WireError if it is of no version."""
    if not message or not _VERSIONS[0] <= message[0] <= _VERSIONS[1]:
        raise WireError("it is not a message of the reconciliation")
    return message[0] == VERSION


def _ranges(message: bytes) -> Iterator[tuple[Bound, Bound, int, list[bytes]]]:
    """Yield each range: its bounds, its mode, and its payload."""
    reader, lower, at_ms = _Reader(message), BEGIN, 0
    for _ in range(RANGES_MAX):
        if not reader:
            return
        if lower == END:
            raise WireError("a range lies behind the end of all")
        time = reader.varint()
        at_ms = END.at_ms if time == 0 else at_ms + time - 1
        length = reader.varint()
        if length > ID_BYTES or at_ms > END.at_ms:
            raise WireError("a bound in it lies beyond all items")
        upper = Bound(at_ms, reader.take(length))
        if upper < lower:
            raise WireError("a range in it ends before it begins")
        yield lower, upper, *_payload(reader)
        lower = upper
    if reader:
        raise WireError(f"it has more than {RANGES_MAX} ranges")


def _payload(reader: _Reader) -> tuple[int, list[bytes]]:
    mode = reader.varint()
    match mode:
        case 0:
            return mode, []
        case 1:
            return mode, [reader.take(_FINGERPRINT_BYTES)]
        case 2:
            ids = reader.take(reader.varint() * ID_BYTES)
            return mode, [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]
        case _:
            raise WireError(f"a range in it has the unknown mode {mode}")
