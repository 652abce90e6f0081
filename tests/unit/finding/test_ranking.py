"""What a hit is worth."""

import numpy as np
import pytest

from buddies_core.finding.ranking import (
    ORDINARY_WEIGHT,
    RELEVANCE_MAX,
    SHOWN_FROM,
    Question,
    Term,
    compound,
    coverage,
    relevance,
    trust,
    words_part,
)

ORDINARY, RARE = Term("table", ORDINARY_WEIGHT), Term("pgbouncer", 1.0)
DOTTED = compound("ordersv2", 1.0, [("order", ORDINARY_WEIGHT), ("v2", 1.0)])


def test_a_rare_word_covers_most_of_a_question_and_an_unknown_one_leaves_most_of_it_open() -> None:
    question = Question(terms=(ORDINARY, RARE))
    found = [
        coverage(question, words) for words in ({"pgbouncer"}, {"table"}, {"table", "pgbouncer"})
    ]
    assert found == pytest.approx([1 / 1.15, 0.15 / 1.15, 1.0])


def test_the_parts_of_a_compound_are_worth_less_than_the_whole() -> None:
    question = Question(terms=(DOTTED,))
    found = [
        coverage(question, words) for words in ({"ordersv2"}, {"order", "v2"}, {"v2"}, {"order"})
    ]
    assert found == pytest.approx([1.0, 0.8, 0.8 / 1.15, 0.8 * 0.15 / 1.15])


def test_nothing_covers_a_question_without_words() -> None:
    assert coverage(Question(terms=()), {"table"}) == 0.0


def test_the_score_is_that_of_the_meaning_and_half_of_the_coverage_cubed() -> None:
    cosines = np.array([1.0, 0.5, -0.5, 0.0], np.float32)
    covered = np.array([1.0, 0.5, 0.0, 1.0], np.float32)
    assert relevance(cosines, covered, 1.0).tolist() == [RELEVANCE_MAX, 0.5625, 0.0, 0.5]
    assert relevance(cosines, covered, 0.25).tolist() == [0.75, 0.1875, 0.0, 0.5]


@pytest.mark.parametrize("covered", [0.0, 0.25, 0.5, 1.0])
def test_words_give_a_passage_without_meaning_its_whole_score(covered: float) -> None:
    [score] = relevance(np.zeros(1, np.float32), np.array([covered], np.float32), 1.0)
    assert words_part(covered) == score == covered * covered * covered / 2


def test_the_meaning_of_a_script_that_the_model_does_not_know_counts_a_quarter() -> None:
    assert [trust(share) for share in (0.0, 0.5, 0.9, 1.0)] == [1.0, 0.5, 0.25, 0.25]


def test_half_of_the_ordinary_words_alone_are_not_shown() -> None:
    nothing = np.zeros(1, np.float32)
    assert relevance(nothing, np.array([0.5], np.float32), 1.0)[0] < SHOWN_FROM


@pytest.mark.parametrize(
    ("terms", "fragment"),
    [
        ((Term("ostgr", 1.0),), "ostgr"),
        ((Term("ostg", 1.0),), "ostg"),
        ((Term("ost", 1.0),), ""),
        ((DOTTED,), ""),
        ((Term("ostgr", 1.0), ORDINARY), ""),
        ((), ""),
    ],
)
def test_a_question_of_one_longer_word_may_be_a_part_of_another(
    terms: tuple[Term, ...], fragment: str
) -> None:
    assert Question(terms=terms).fragment == fragment
