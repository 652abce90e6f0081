from dataclasses import replace

import pytest

from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId
from buddies_core.model.skill import SkillKey
from buddies_core.skills.publishers import publisher_of
from buddies_core.skills.versions import CHAIN_MAX, line_of
from tests.support.skills import a_skill, a_skill_entry
from tests.support.worlds.person import an_ed25519_signer


class Unbound:
    def signer_of(self, endpoint: EndpointId) -> None:
        return None


FIRST = a_skill(a_skill_entry())
MALLORYS_KEY = an_ed25519_signer(b"6").identity


@pytest.mark.parametrize("verified", [Verified.UNVERIFIED, Verified.SIGNER])
def test_who_only_claims_to_be_its_publisher_crowds_out_none_of_its_versions(
    verified: Verified,
) -> None:
    successor = a_skill_entry(version=2, parent_hash=FIRST.entry.hash)
    signer = MALLORYS_KEY if verified is Verified.SIGNER else None
    claimed = [
        a_skill(
            replace(successor, hash=f"{number:064x}", signed_by=signer),
            verified=verified,
        )
        for number in range(CHAIN_MAX)
    ]
    own = a_skill(replace(successor, hash="f" * 64))
    known = {skill.key: skill.head() for skill in (FIRST, *claimed, own)}

    def successors(key: SkillKey) -> tuple[SkillKey, ...]:
        return tuple(known)[1:] if key == FIRST.key else ()

    line = line_of(
        FIRST.head(), known.get, successors, lambda skill: publisher_of(skill, Unbound())
    )
    assert own.head() in line
