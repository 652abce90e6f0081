"""Which identities an item belongs to, and whether one of them hides it."""

from dataclasses import replace

import pytest

from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity, Verified
from buddies_core.model.ids import EndpointId
from buddies_core.model.revocation import (
    Item,
    ItemCounts,
    Revocation,
    hiding,
    labels_of,
    peer_label,
    why_hidden,
)
from tests.support.memories import ALICE, BOB, a_memory, an_entry
from tests.support.skills import a_skill, a_skill_entry, a_vote

ANN = SshIdentity("ssh-ed25519 AAAA")
BEN = GpgIdentity("A" * 40)
SIGNED = a_skill(a_skill_entry(signed_by=BEN, signature=b"s"), verified=Verified.SIGNER)
REVOKED = Revocation(label=ANN.label, since_ms=100, revoked_at_ms=500)


def ann_speaks_for_alice(endpoint: EndpointId) -> SignerIdentity | None:
    return ANN if endpoint == ALICE else None


@pytest.mark.parametrize(
    ("item", "labels"),
    [
        (a_memory(), {peer_label(ALICE), ANN.label}),
        (a_memory(an_entry(author=BOB)), {peer_label(BOB)}),
        (replace(a_memory(), signed_by=BEN.label), {peer_label(ALICE), ANN.label, BEN.label}),
        (a_memory(verified=Verified.UNVERIFIED), {peer_label(ALICE), ANN.label}),
        (a_skill(), {peer_label(ALICE), ANN.label}),
        (SIGNED, {peer_label(ALICE), ANN.label, BEN.label}),
        (a_vote(SIGNED, ALICE), {peer_label(ALICE), ANN.label}),
        (a_vote(SIGNED, BOB), {peer_label(BOB)}),
        (a_vote(SIGNED, "somebody"), set()),
        (a_vote(SIGNED, "abcd"), set()),
        (a_vote(SIGNED, ALICE.hex()), {peer_label(ALICE), ANN.label}),
    ],
)
def test_an_item_belongs_to_its_endpoint_to_who_is_bound_to_that_and_to_who_signed_it(
    item: Item, labels: set[str]
) -> None:
    assert set(labels_of(item, ann_speaks_for_alice)) == labels


@pytest.mark.parametrize(
    ("label", "received_at_ms", "found"),
    [(ANN.label, 100, REVOKED), (ANN.label, 99, None), (BEN.label, 100, None)],
)
def test_it_is_hidden_from_the_very_time_on_since_when_one_of_them_is_revoked(
    label: str, received_at_ms: int, found: Revocation | None
) -> None:
    assert hiding({ANN.label: REVOKED}, [peer_label(BOB), label], received_at_ms) == found


def test_a_revocation_that_hides_is_found_beside_one_that_does_not() -> None:
    late = Revocation(label=BEN.label, since_ms=900, revoked_at_ms=900)
    both = {BEN.label: late, ANN.label: REVOKED}
    assert hiding(both, [BEN.label, ANN.label], 200) == REVOKED


def test_who_asks_for_what_is_hidden_is_told_why_and_how_to_bring_it_back() -> None:
    revocation = replace(REVOKED, since_ms=1_700_000_000_000)
    assert why_hidden("memory 7", revocation) == (
        "memory 7 is hidden on this machine: ssh:ssh-ed25519 AAAA is revoked, and what came from "
        "it since 2023-11-14 22:13 UTC is not shown; a person can bring it back: "
        "buddies-cli identity restore 'ssh:ssh-ed25519 AAAA'"
    )


def test_the_total_is_of_all_kinds() -> None:
    assert ItemCounts(memories=1, skills=2, votes=4).total == 7
