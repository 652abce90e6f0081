"""What 0.1.4 peers may cost: a share for each neighbor, and so much for all together."""

from dataclasses import replace
from uuid import UUID

import pytest

from buddies_core.legacy.budget import (
    ANSWERS,
    ANSWERS_OF_NEIGHBOR,
    KEPT,
    KEPT_OF_NEIGHBOR,
    MESSAGES,
    MESSAGES_OF_NEIGHBOR,
    SIGNATURES,
    SIGNATURES_OF_NEIGHBOR,
    Budget,
    Rate,
)
from buddies_core.model.bodies import Body, Leave, SkillPublished, SkillSearchResponse
from buddies_core.model.identity import GpgIdentity, SignerIdentity, SshIdentity
from buddies_core.model.ids import EndpointId, RequestId
from buddies_core.model.skill import RankedSkill
from buddies_core.wire.room_messages import RoomMessage
from tests.support.skills import a_skill_entry

GPG, SSH = GpgIdentity("AB" * 20), SshIdentity("ssh-ed25519 AAAA")
SIGNED_SKILL = replace(a_skill_entry(), signed_by=GPG, signature=b"s")
LEAVE = Leave("olga")
FOUND = tuple(RankedSkill(SIGNED_SKILL, 0) for _ in range(3))


def neighbor(number: int) -> EndpointId:
    return EndpointId(number.to_bytes(32, "big"))


def take(budget: Budget, what: str, peer: EndpointId, now_s: float) -> bool:
    match what:
        case "message":
            return budget.take_message(peer, now_s)
        case "answer":
            return budget.take_answer(peer, now_s)
        case "place":
            return budget.take_place(peer, now_s)
        case _:
            return budget.take_signatures(a_message(signed_by=GPG), peer, now_s)


def a_message(body: Body = LEAVE, signed_by: SignerIdentity | None = None) -> RoomMessage:
    return RoomMessage(nonce=bytes(16), body=body, signed_by=signed_by, signature=b"s")


KINDS = [
    ("message", MESSAGES, MESSAGES_OF_NEIGHBOR),
    ("signature", SIGNATURES, SIGNATURES_OF_NEIGHBOR),
    ("answer", ANSWERS, ANSWERS_OF_NEIGHBOR),
    ("place", KEPT, KEPT_OF_NEIGHBOR),
]


@pytest.mark.parametrize(("what", "total", "share"), KINDS)
def test_one_neighbor_uses_up_its_share_and_leaves_the_others_theirs(
    what: str, total: Rate, share: Rate
) -> None:
    budget = Budget()
    taken = sum(take(budget, what, neighbor(1), 0.0) for _ in range(5000))
    assert taken == share.burst < total.burst
    assert take(budget, what, neighbor(2), 0.0)
    later = sum(take(budget, what, neighbor(1), 30.0) for _ in range(5000))
    assert later == min(share.burst, 30 * share.per_s)


@pytest.mark.parametrize(("what", "total", "share"), KINDS)
def test_any_number_of_neighbors_gets_no_more_than_the_whole(
    what: str, total: Rate, share: Rate
) -> None:
    budget = Budget()
    taken = sum(take(budget, what, neighbor(number % 500), 0.0) for number in range(5000))
    assert taken == total.burst
    later = sum(take(budget, what, neighbor(number), 30.0) for number in range(5000))
    assert later == min(total.burst, 30 * total.per_s)


@pytest.mark.parametrize(
    ("message", "signatures"),
    [
        (a_message(), 0),
        (a_message(signed_by=SSH), 0),
        (a_message(signed_by=GPG), 1),
        (a_message(SkillPublished(SIGNED_SKILL)), 1),
        (a_message(SkillPublished(SIGNED_SKILL), signed_by=GPG), 2),
        (a_message(SkillSearchResponse(RequestId(UUID(int=1)), FOUND, "olga")), 3),
    ],
)
def test_each_signature_that_gpg_has_to_check_is_charged(
    message: RoomMessage, signatures: int
) -> None:
    budget = Budget()
    assert budget.take_signatures(message, neighbor(1), 0.0)
    left = sum(take(budget, "signature", neighbor(1), 0.0) for _ in range(100))
    assert left == SIGNATURES_OF_NEIGHBOR.burst - signatures
