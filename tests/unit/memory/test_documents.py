"""Memories as the engine reads them."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from buddies_core.asking.question import scope_of
from buddies_core.memory.documents import document_of
from buddies_core.model.ids import RoomName
from buddies_core.model.memory import Memory, MemoryFilter, MemoryKind
from tests.support.memories import a_memory, an_entry

WORDS = st.sampled_from(["a", "A", "b", "room:a", "tag:b", "ß", ""])
MEMORIES = st.builds(
    lambda room, kind, tags, author, name, created: replace(
        a_memory(
            an_entry(room=RoomName(room), kind=kind, tags=tuple(tags), created_at_s=created),
            author_name=name,
        ),
        entry=replace(
            an_entry(room=RoomName(room), kind=kind, tags=tuple(tags), created_at_s=created),
            author=author,
        ),
    ),
    WORDS,
    st.sampled_from(MemoryKind),
    st.lists(WORDS, max_size=2),
    WORDS,
    WORDS,
    st.integers(0, 3),
)
FILTERS = st.builds(
    lambda room, kind, tags, author, since: MemoryFilter(
        room=None if room is None else RoomName(room),
        kind=kind,
        tags=tuple(tags),
        author=author,
        since_ms=since,
    ),
    st.none() | WORDS,
    st.none() | st.sampled_from(MemoryKind),
    st.lists(WORDS, max_size=2),
    st.none() | WORDS,
    st.none() | st.integers(-1000, 4000),
)


@given(MEMORIES, FILTERS)
def test_a_scope_admits_just_what_the_filter_does(memory: Memory, filter: MemoryFilter) -> None:
    document = document_of(memory)
    passes = scope_of(filter).admits(document.labels, document.created_at_s)
    assert passes is filter.admits(memory)
