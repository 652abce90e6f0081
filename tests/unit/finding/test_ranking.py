"""Two lists to one."""

import pytest

from buddies_core.finding.ranking import coverage, reciprocal_rank_fusion, term_weight


def test_a_rare_term_weighs_more_than_a_common_one_and_an_unknown_one_most() -> None:
    weights = [term_weight(100, found) for found in (0, 1, 50, 100)]
    assert weights == pytest.approx([5.308, 4.209, 0.693, 0.005], abs=0.001)


def test_a_hit_with_one_of_two_equal_terms_covers_half_of_what_its_score_could_be() -> None:
    assert coverage(2.2, [2.0, 2.0]) == pytest.approx(0.25)
    assert coverage(4.4, [2.0]) == pytest.approx(1.0)


def test_nothing_covers_a_query_without_terms() -> None:
    assert coverage(1.0, []) == 0.0


def test_what_both_lists_name_comes_before_what_one_does() -> None:
    assert reciprocal_rank_fusion([["a", "b"], ["c", "b"]]) == [
        ("b", 1 / 62 + 1 / 62),
        ("a", 1 / 61),
        ("c", 1 / 61),
    ]


def test_no_lists_give_nothing() -> None:
    empty: list[str] = []
    assert reciprocal_rank_fusion([empty, empty]) == []
