"""The part of the daemon that is about 0.1.4 peers; it is not made where they are switched off."""

from collections import Counter
from dataclasses import dataclass
from random import Random

from buddies_core.clock import Clock
from buddies_core.identity.choosing import SignerState
from buddies_core.legacy.answering import MemoryAnswers, SkillAnswers
from buddies_core.legacy.asking import MemoryQuestions, SkillQuestions
from buddies_core.legacy.members import LegacyMembers
from buddies_core.legacy.service import Legacy
from buddies_core.legacy.signing import MessageSigner
from buddies_core.legacy.tasks import TaskBroadcasts
from buddies_core.memory.search import Search
from buddies_core.memory.service import Memories
from buddies_core.rooms.rooms import Rooms
from buddies_core.skills.search import SkillSearch
from buddies_core.skills.service import Skills
from buddies_core.tasks.service import Tasks
from buddies_core.wire.shortening import LegacySignature


def message_signer(state: SignerState, members: LegacyMembers | None) -> MessageSigner | None:
    """Return what signs single messages where 0.1.4 peers want it; None without a signer."""
    if members is None or state.signer is None or state.binding is None:
        return None
    # The binding's is over as little, in a namespace with a longer name; of some kinds of keys
    # each signature differs by a few bytes.
    takes = LegacySignature(state.binding.signer, len(state.binding.signature) + 16)
    return MessageSigner(state.signer, takes, members)


@dataclass(frozen=True, slots=True)
class LegacyPorts:
    """What rooms, search, skills and tasks know of 0.1.4 peers."""

    members: LegacyMembers
    questions: MemoryQuestions
    skill_questions: SkillQuestions
    tasks: TaskBroadcasts

    @classmethod
    def over(cls, rooms: Rooms, members: LegacyMembers, clock: Clock) -> "LegacyPorts":
        """Return what speaks to the 0.1.4 members of these rooms."""
        return cls(
            members,
            MemoryQuestions(rooms, clock),
            SkillQuestions(rooms, clock),
            TaskBroadcasts(rooms, clock),
        )

    def door(
        self,
        *,
        rooms: Rooms,
        memories: Memories,
        search: Search,
        skills: Skills,
        skill_search: SkillSearch,
        tasks: Tasks,
        clock: Clock,
        rng: Random,
        counters: Counter[str],
    ) -> Legacy:
        """Return the way in for what 0.1.4 peers say."""
        return Legacy(
            rooms=rooms,
            members=self.members,
            questions=self.questions,
            skill_questions=self.skill_questions,
            answers=MemoryAnswers(rooms, search),
            skill_answers=SkillAnswers(rooms, skill_search),
            memories=memories,
            skills=skills,
            tasks=tasks.broadcast,
            clock=clock,
            rng=rng,
            counters=counters,
        )
