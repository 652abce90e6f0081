"""Sponsors of the members of a private room, and how many each may bring in. Pure.

Each member but the founder was let in by another, its sponsor, which signed that. So the members
form a tree with the founder at its root, and every node that has the sponsorships counts alike.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from buddies_core.errors import WireError
from buddies_core.model.ids import EndpointId, short
from buddies_core.model.private import MEMBERS_MAX, PrivateState, Sponsorship

SHARE_OF_SPONSOR = 4
SHARE_MIN = 16
"""The smallest share. The founder can bring in everybody, each member that it let in a quarter of
that, and so on. So one hostile member leaves most of the room to the others."""


def sponsorships_of(state: PrivateState) -> dict[EndpointId, Sponsorship]:
    """Return the sponsorship of each endpoint that is, or was, a member.

    A member that was removed and let in again keeps its first, for those that it brought in.
    """
    kept = (*state.roster.entries, *state.roster.gone)
    return {entry.member: entry for entry in (*state.admitted, *kept)}


def brought_in(state: PrivateState, by: Collection[EndpointId]) -> frozenset[EndpointId]:
    """Return the members that these have let in, directly or through members they let in."""
    known, founder = sponsorships_of(state), state.founding.founder
    return frozenset(
        member
        for member in state.members
        if member not in by and not set(by).isdisjoint(sponsors_of(member, known, founder))
    )


def chain_of(state: PrivateState, member: EndpointId) -> tuple[Sponsorship, ...]:
    """Return the sponsorships that prove a member to nodes with only the roster, from the top.

    The result is empty for a member on the roster.
    """
    admitted = {entry.member: entry for entry in state.admitted}
    chain: list[Sponsorship] = []
    while entry := admitted.get(member):
        chain.append(entry)
        member = entry.by
    return tuple(reversed(chain))


def check_shares(known: Mapping[EndpointId, Sponsorship], founder: EndpointId) -> None:
    """Check that each has brought in no more than its share.

    Raises:
        WireError: one has brought in more, or the sponsor of one is missing.
    """
    if len(known) > MEMBERS_MAX:
        raise WireError(f"the room is full: it has {MEMBERS_MAX} members")
    brought: Counter[EndpointId] = Counter()
    depths: dict[EndpointId, int] = {}
    for member in known:
        sponsors = sponsors_of(member, known, founder)
        depths[member] = len(sponsors)
        brought.update(sponsors)
    for sponsor, count in brought.items():
        share = max(SHARE_MIN, MEMBERS_MAX // SHARE_OF_SPONSOR ** depths[sponsor])
        if count > share:
            raise WireError(
                f"member {short(sponsor)} has brought in as many as it may, {share} with those "
                "that they let in"
            )


def all_sponsors(
    members: Iterable[EndpointId], known: Mapping[EndpointId, Sponsorship]
) -> frozenset[EndpointId]:
    """Return all sponsors through which these have come in."""
    found: set[EndpointId] = set()
    for member in members:
        while (sponsor := known[member].by) not in found and sponsor != member:
            found.add(sponsor)
            member = sponsor
    return frozenset(found)


def sponsors_of(
    member: EndpointId, known: Mapping[EndpointId, Sponsorship], founder: EndpointId
) -> tuple[EndpointId, ...]:
    """Return the sponsor of a member, the sponsor of that one, and so on to the founder.

    Raises:
        WireError: the chain does not lead to the founder.
    """
    chain: list[EndpointId] = []
    while member != founder:
        entry = known.get(member)
        if entry is None or len(chain) > len(known):
            raise WireError(f"it is not told how {short(member)} came into the room")
        member = entry.by
        chain.append(member)
    return tuple(chain)
