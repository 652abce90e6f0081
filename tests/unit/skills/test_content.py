import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buddies_core.convert import arguments
from buddies_core.errors import InvalidInput
from buddies_core.model.ids import RoomName
from buddies_core.model.memory import CONTENT_BYTES_MAX, Whole
from buddies_core.model.skill import SkillEntry
from buddies_core.skills import content
from buddies_core.skills.content import SkillRejected
from tests.support.skills import a_skill_entry

VECTORS: dict[str, str] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "gossip-vectors.json").read_text("utf-8")
)
FIELD = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=5)


def test_the_hash_is_that_of_0_1_4() -> None:
    assert content.skill_hash("deploy", "run deploy.sh", ("ops", "ci")) == VECTORS["skill_hash"]


def test_the_signed_payload_is_that_of_0_1_4() -> None:
    entry = SkillEntry(
        hash=VECTORS["skill_hash"], author="ann", created_at_s=1_700_000_000, room=RoomName("demo"),
        title="deploy", content="run deploy.sh", tags=("ops", "ci"), version=1, parent_hash=None,
        signed_by=None, signature=None,
    )  # fmt: skip
    assert content.signing_payload(entry).hex() == VECTORS["skill_signing_payload"]


def test_the_order_of_tags_changes_nothing_and_their_number_does() -> None:
    assert content.skill_hash("t", "c", ("b", "a")) == content.skill_hash("t", "c", ("a", "b"))
    assert content.skill_hash("t", "c", ("a", "a")) != content.skill_hash("t", "c", ("a",))


@given(
    st.tuples(FIELD, FIELD, st.lists(FIELD, max_size=3).map(sorted).map(tuple)),
    st.tuples(FIELD, FIELD, st.lists(FIELD, max_size=3).map(sorted).map(tuple)),
)
def test_without_nul_two_contents_never_share_a_hash(
    one: tuple[str, str, tuple[str, ...]], other: tuple[str, str, tuple[str, ...]]
) -> None:
    assert (content.skill_hash(*one) == content.skill_hash(*other)) == (one == other)


def test_with_nul_they_would() -> None:
    assert content.skill_hash("a", "b\0c", ()) == content.skill_hash("a\0b", "c", ())


@pytest.mark.parametrize(
    "entry",
    [
        a_skill_entry("a\0b"),
        a_skill_entry(title="a\0b"),
        a_skill_entry(tags=("a\0b",)),
        a_skill_entry(title="t" * 513),
        a_skill_entry(tags=("t",) * 33),
        a_skill_entry(tags=("t" * 65,)),
        a_skill_entry("c" * (CONTENT_BYTES_MAX + 1)),
        a_skill_entry(version=1 << 32),
        a_skill_entry(parent_hash="AB" * 32),
    ],
)
def test_what_has_not_the_form_of_a_skill_is_refused(entry: SkillEntry) -> None:
    with pytest.raises(SkillRejected) as refused:
        content.check_received(entry, None)
    assert refused.value.reason == "form"


def test_an_announced_size_beyond_the_limit_is_refused() -> None:
    with pytest.raises(SkillRejected):
        content.check_received(a_skill_entry(), Whole(bytes(32), CONTENT_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (a_skill_entry(title=""), "title"),
        (a_skill_entry(" \n"), "content"),
        (a_skill_entry(tags=("",)), "tags"),
        (a_skill_entry(version=0), "version"),
        (a_skill_entry(title="t" * 513), "title"),
        (a_skill_entry("a\0b"), "content"),
    ],
)
def test_what_can_t_be_published_is_named(entry: SkillEntry, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        content.check_own(entry)


@pytest.mark.parametrize("hash", ["", "ab", "g" * 64, "ab" * 33])
def test_a_hash_that_is_none_is_refused(hash: str) -> None:
    with pytest.raises(InvalidInput, match="64 hex digits"):
        arguments.skill_hash(hash)


def test_a_hash_is_taken_in_any_case() -> None:
    assert arguments.skill_hash(f" {'AB' * 32}\n") == "ab" * 32
