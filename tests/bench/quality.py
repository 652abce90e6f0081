"""How well the engine answers the questions of `search_sets`: ranks by kind.

Everything goes through `engine`, so that another engine can be measured by the same questions.
"""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.bench import search_sets
from tests.bench.search_sets import Corpus

Search = Callable[[str], Awaitable[list[tuple[int, float]]]]
"""Returns the numbers of the notes that were found, best first, with their scores."""
Engine = Callable[[Sequence[str]], Awaitable[Search]]
"""Indexes notes."""


@dataclass(frozen=True, slots=True)
class Row:
    """How well the questions of one kind are answered."""

    kind: str
    questions: int
    first: float
    """Share of the right answers that come first."""
    among_five: float
    mrr: float


async def measured(engine: Engine, halves: Sequence[str]) -> list[Row]:
    """Return a row for each kind of question, of these halves together."""
    ranks: dict[str, list[float]] = {}
    for half in halves:
        for corpus in corpora(half):
            search = await engine(corpus.notes)
            for asked in corpus.asked:
                found = [note for note, _ in await search(asked.query)]
                rank = found.index(asked.note) + 1 if asked.note in found else float("inf")
                ranks.setdefault(asked.kind, []).append(rank)
    return [row_of(kind, of) for kind, of in ranks.items()]


def corpora(half: str) -> list[Corpus]:
    """Return all notes and questions of a half."""
    return [
        search_sets.short_notes(half),
        *(search_sets.planted(half, words) for words in search_sets.PLANTED_WORDS),
        search_sets.hidden_facts(half),
    ]


async def found_off_topic(engine: Engine, half: str, weak_below: float) -> tuple[int, int, int]:
    """Return how many questions nothing answers, and for how many something is found: at all, and
    not weakly.
    """
    search = await engine(search_sets.short_notes(half).notes)
    best = [await search(query) for query in search_sets.off_topic(half)]
    scores = [found[0][1] if found else 0.0 for found in best]
    return len(scores), sum(score > 0 for score in scores), sum(s >= weak_below for s in scores)


def row_of(kind: str, ranks: list[float]) -> Row:
    """Return what ranks amount to."""
    first, among_five = (sum(rank <= n for rank in ranks) / len(ranks) for n in (1, 5))
    return Row(kind, len(ranks), first, among_five, statistics.mean(1 / rank for rank in ranks))


def table(now: Sequence[Row], before: dict[str, list[float]]) -> str:
    """Return the rows as a table in Markdown, beside those of an older engine."""
    head = "| questions | n | R@1 / R@5 / MRR before | now |\n|---|---|---|---|\n"
    return head + "\n".join(
        f"| {row.kind} | {row.questions} | {_three(before.get(row.kind, []))} | "
        f"{_three([row.first, row.among_five, row.mrr])} |"
        for row in now
    )


def _three(figures: list[float]) -> str:
    return " / ".join(f"{figure:.2f}" for figure in figures)
