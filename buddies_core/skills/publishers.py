"""Finds a skill's publisher as known now, as a binding may have come after the skill."""

from buddies_core.errors import WireError
from buddies_core.model.identity import Verified
from buddies_core.model.ids import EndpointId
from buddies_core.model.skill import Skill, SkillHead
from buddies_core.model.skill_views import Publisher
from buddies_core.skills.votes import Signers
from buddies_core.wire.room_messages import open_envelope


def publisher_of(skill: Skill | SkillHead, signers: Signers) -> Publisher:
    """Return the signer of a skill and the endpoint that sent it, each if it is known.

    The skill's own signature takes precedence over a binding of its endpoint to a key.
    """
    entry = skill.entry
    endpoint = entry.author if _has_trailer(skill) else ""
    signer = entry.signed_by if skill.verified is Verified.SIGNER else None
    if signer is None and endpoint:
        signer = signers.signer_of(EndpointId(bytes.fromhex(endpoint)))
    return Publisher(signer=signer.label if signer else "", endpoint=endpoint)


def _has_trailer(skill: Skill | SkillHead) -> bool:
    """Whether its named author's endpoint sent it; admission has checked that."""
    match skill.verified:
        case Verified.PEER:
            return True
        case Verified.UNVERIFIED:
            return False
        case Verified.SIGNER:
            try:
                return open_envelope(skill.proof).trailer is not None
            except WireError:  # Written by a version that could read it.
                return False
