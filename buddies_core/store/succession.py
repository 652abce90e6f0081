"""Which successors a skill is linked to, as anybody may publish some of anything."""

import struct
from collections.abc import Mapping

from buddies_core.model.ids import EndpointId
from buddies_core.model.provenance import Origin, Provenance, Trust

SUCCESSORS_MAX = 64
SUCCESSORS_PER_NEIGHBOR_MAX = 16
OWN = max(Trust) + 1
"""The rank of a successor by the publisher of its parent."""


def link(origin: Origin, sequence: int) -> bytes:
    """Return a link to a successor that arrived as the `sequence`-th skill."""
    return struct.pack(">BQ", origin.rank, sequence) + (origin.neighbor or b"")


def origin_of(link: bytes) -> Origin:
    """Return where a successor came from; in a link by an older buddies that is not known."""
    if not link:
        return Origin(Trust.MEMBER)
    return Origin(link[0], EndpointId(link[9:]) if link[9:] else None)


def sequence_of(link: bytes) -> int:
    """Return when a successor arrived; 0 in a link by an older buddies."""
    return int.from_bytes(link[1:9], "big")


def superfluous(links: Mapping[bytes, bytes]) -> list[bytes]:
    """Return which of a skill's successors are too many: those of whom least is known."""
    provenance: Provenance[bytes] = Provenance(SUCCESSORS_MAX, SUCCESSORS_PER_NEIGHBOR_MAX)
    gone: list[bytes] = []
    for place, known in sorted(links.items(), key=lambda item: sequence_of(item[1])):
        origin = origin_of(known)
        gone += provenance.admit(place, origin.rank, origin.neighbor)
    return gone


def best_first(links: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the successors whose publishers are known best first, then the latest."""

    def place_in_order(place: bytes) -> tuple[int, int]:
        return -origin_of(links[place]).rank, -sequence_of(links[place])

    return sorted(links, key=place_in_order)
