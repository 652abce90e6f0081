"""Why something was found, and which part of its text is shown."""

from dataclasses import dataclass

from buddies_core.asking.matching import TEXTS_CHARS_MAX, matches
from buddies_core.asking.question import Hit
from buddies_core.model.excerpt import Match, Why
from buddies_core.model.ids import RoomName
from buddies_core.model.memory import SNIPPET_CHARS_MAX
from tests.support.memories import DEMO

FILLER = "Nothing of interest was said about the weather on that day. "
LONG = f"{FILLER * 30}The pooler pgbouncer listens on 6432. {FILLER * 30}"
NOW_S = 10_000_000.0


@dataclass(frozen=True)
class Note:
    """A thing and its entry in one."""

    content: str
    title: str = ""
    tags: tuple[str, ...] = ()
    key: bytes = b"k"
    at_s: int = 0
    truncated: bool = False
    room: RoomName = DEMO


async def matched(*notes: Note, score: float = 0.9, passage: int | None = None) -> list[Match]:
    hits = [Hit(note, score, passage) for note in notes]
    found = await matches("which port has pgbouncer?", hits, lambda note: note, NOW_S)
    assert all(len(text) <= SNIPPET_CHARS_MAX for text, _ in found)
    for note, (text, match) in zip(notes, found, strict=True):
        assert note.content[match.offset :].startswith(text)
    return [match for _, match in found]


async def test_what_was_found_is_shown_around_its_best_passage_with_its_words_and_its_age() -> None:
    [match] = await matched(Note(LONG, at_s=int(NOW_S - 21 * 86_400)))

    at = LONG.index("pgbouncer")
    assert match.offset < at < match.offset + SNIPPET_CHARS_MAX
    assert [(match.offset + first, match.offset + last) for first, last in match.marks] == [
        (at, at + len("pgbouncer"))
    ]
    assert (match.score, match.why, match.age) == (0.9, Why.BOTH, "3 weeks ago")


async def test_without_a_word_of_the_question_the_passage_is_the_one_that_was_found() -> None:
    note = Note(LONG.replace("pgbouncer", "daemon"))

    [first], [found] = await matched(note), await matched(note, passage=10)

    assert (first.offset, found.why, found.marks) == (0, Why.MEANING, ())
    begin, end = found.passage
    assert "daemon listens" in note.content[found.offset + begin : found.offset + end]


async def test_the_number_of_a_passage_that_is_not_there_does_no_harm() -> None:
    [match] = await matched(Note("pgbouncer listens"), passage=2**32 - 1)
    assert (match.passage, match.marks) == ((0, 17), ((0, 9),))


async def test_the_number_of_a_passage_means_nothing_in_a_text_that_is_not_all_here() -> None:
    [match] = await matched(Note(LONG.replace("pgbouncer", "daemon"), truncated=True), passage=10)
    assert match.offset == 0


async def test_of_more_text_than_can_be_looked_through_the_beginning_is_shown() -> None:
    filler = "x " * (TEXTS_CHARS_MAX // 2 - 100)
    long = Note(f"{filler}pgbouncer {filler}")

    best, second, third = await matched(long, Note(LONG), Note("pgbouncer"))

    assert best.offset + best.marks[0][0] == len(filler)
    assert (second.offset, second.marks) == (0, ())
    assert third.marks == ((0, 9),)
