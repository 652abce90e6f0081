"""Notes of an imagined team in several languages, and what its agents ask.

Written by one author before any of it was searched, in two halves: while something is tuned, only
half `a` is looked at. The files in `sets` hold a note and its questions on each line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.bench.questions import NOTES

SETS = Path(__file__).with_name("sets")
HALVES = ("a", "b")
SPACELESS = ("chinese", "japanese", "thai", "korean")
PLANTED_WORDS = (50, 300, 1000, 5000)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and the number of the note that answers it."""

    kind: str
    query: str
    note: int


@dataclass(frozen=True, slots=True)
class Corpus:
    """Notes, and questions about them."""

    notes: tuple[str, ...]
    asked: tuple[Asked, ...]


def lines(name: str, half: str) -> Iterator[list[str]]:
    """Yield the fields of each line of a file."""
    for line in (SETS / f"{name}_{half}.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            yield [field.strip() for field in line.split("|")]


def off_topic(half: str) -> tuple[str, ...]:
    """Return questions that no note answers."""
    return tuple(query for [query] in lines("off_topic", half))


def short_notes(half: str) -> Corpus:
    """Return the short notes of both halves, and this half's questions about them."""
    notes: list[str] = []
    asked: list[Asked] = []
    for of in HALVES:
        rows = [(it.text, it.paraphrase, it.half_remembered, it.exact) for it in NOTES]
        rows = [*(rows if of == "a" else ()), *map(_four, lines("english", of))]
        found: list[Asked] = []
        for note, paraphrase, half_remembered, exact in rows:
            found.append(Asked("paraphrase", paraphrase, len(notes)))
            found.append(Asked("half-remembered", half_remembered, len(notes)))
            if exact:
                found.append(Asked("identifier", exact, len(notes)))
            notes.append(note)
        for language, note, question, keywords in lines("foreign", of):
            kind = "no spaces" if language in SPACELESS else "other languages"
            found.append(Asked(f"{kind}: questions", question, len(notes)))
            found.append(Asked(f"{kind}: keywords", keywords, len(notes)))
            notes.append(note)
        for note, query in lines("typed", of):
            found.append(Asked("typed forms", query, len(notes)))
            notes.append(note)
        asked += found if of == half else []
    everything = " ".join(notes).casefold()
    unique = [
        it for it in asked if it.kind != "identifier" or everything.count(it.query.casefold()) == 1
    ]
    return Corpus(tuple(notes), tuple(unique))


def planted(half: str, words: int) -> Corpus:
    """Return the short notes and some of so many words, each with an identifier among filler."""
    rng = Random(f"{half} {words}")
    notes = list(short_notes(half).notes)
    asked: list[Asked] = []
    for sentence, query in lines("identifiers", half):
        asked.append(Asked(f"identifier in {words} words", query, len(notes)))
        notes.append(_hidden(sentence, words, rng, technical=0))
    return Corpus(tuple(notes), tuple(asked))


def hidden_facts(half: str) -> Corpus:
    """Return notes of 250 words, in each of which one short note is a sentence among others.

    Half of the others are about the same subjects.
    """
    rng = Random(half)
    notes: list[str] = []
    asked: list[Asked] = []
    for note, paraphrase, half_remembered, _ in map(_four, lines("english", half)):
        asked.append(Asked("long note: paraphrase", paraphrase, len(notes)))
        asked.append(Asked("long note: half-remembered", half_remembered, len(notes)))
        notes.append(_hidden(note, 250, rng, technical=0.5))
    return Corpus(tuple(notes), tuple(asked))


def _four(fields: list[str]) -> tuple[str, str, str, str]:
    note, paraphrase, half_remembered, exact = fields
    return note, paraphrase, half_remembered, exact


_SUBJECTS = (
    "The team", "Our partner", "The second draft", "A colleague from sales", "The new hire",
    "The contractor", "Every reviewer", "The steering group", "Somebody at the desk", "The vendor",
)  # fmt: skip
_VERBS = (
    "looked at", "postponed", "argued about", "wrote down", "asked again about", "agreed to",
    "compared", "presented", "left out", "came back to",
)  # fmt: skip
_OBJECTS = (
    "the plan for the quarter", "the seating in the large room", "two offers from last year",
    "the table with all the numbers", "the wording of the letter", "the page about holidays",
    "a server that nobody uses", "the list of open questions", "the old database project",
    "the report for the board", "an order of new screens", "the test of the fire alarm",
)  # fmt: skip
_ENDS = (
    "before lunch", "without a result", "and will report on Monday", "for the third time",
    "as planned", "in a call that took an hour", "since the budget allows it", "with some doubts",
)  # fmt: skip


def _hidden(sentence: str, words: int, rng: Random, *, technical: float) -> str:
    """Return a note of about so many words that has the sentence at a place of its own."""
    filler: list[str] = []
    length = len(sentence.split())
    while length < words:
        parts = [rng.choice(it) for it in (_SUBJECTS, _VERBS, _OBJECTS, _ENDS)]
        said = rng.choice(NOTES).text if rng.random() < technical else " ".join(parts)
        filler.append(f"{said}.")
        length += len(filler[-1].split())
    filler.insert(rng.randrange(len(filler) + 1), f"{sentence}.")
    return " ".join(filler)
