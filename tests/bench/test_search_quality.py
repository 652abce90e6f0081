"""How well questions are answered: prints a table, beside that of the engine before.

make bench-search        or: python -m pytest tests/bench/test_search_quality.py -s
HALVES=a looks at the half that may be looked at while something is tuned.
"""

# ruff: noqa: T201 - figures are what it is for

import json
import os
from pathlib import Path

import pytest

from buddies_core.model.excerpt import WEAK_BELOW
from tests.bench.engine import open_engine
from tests.bench.quality import found_off_topic, measured, table
from tests.bench.search_sets import short_notes

HALVES = os.environ.get("HALVES", "ab")
BEFORE = Path(__file__).with_name("sets") / "before.json"
"""Gated reciprocal rank fusion on the same questions, by half and kind: R@1, R@5, MRR."""
NODES = (2, 8)


@pytest.mark.timeout(1200)
async def test_right_answers_come_first(tmp_path: Path) -> None:
    before = json.loads(BEFORE.read_text("utf-8"))
    async with open_engine(tmp_path) as engine:
        for half in HALVES:
            rows = await measured(engine, half)
            asked, found, strong = await found_off_topic(engine, half, WEAK_BELOW)
            print(f"\nhalf {half}, {sum(row.questions for row in rows)} questions")
            print(table(rows, before[half]))
            print(
                f"\n{asked} questions that nothing answers: {found} find something, {strong} "
                "something that is not weak"
            )


@pytest.mark.timeout(600)
async def test_several_nodes_rank_as_one_does(tmp_path: Path) -> None:
    firsts: dict[int, list[int]] = {}
    for nodes in (1, *NODES):
        async with open_engine(tmp_path / str(nodes), nodes) as engine:
            for half in HALVES:
                corpus = short_notes(half)
                search = await engine(corpus.notes)
                found = [await search(asked.query) for asked in corpus.asked]
                firsts.setdefault(nodes, []).extend(hits[0][0] for hits in found)
    for nodes in NODES:
        same = sum(one == other for one, other in zip(firsts[1], firsts[nodes], strict=True))
        print(f"\n{nodes} nodes: {same} of {len(firsts[1])} questions have the same first hit")
