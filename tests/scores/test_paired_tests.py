"""Paired tests against hand-computed values and SciPy; Holm's correction."""

import math
from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from hnscc.scores.intervals import ALL_ALIKE
from hnscc.scores.paired_tests import holm, paired_t, signed_rank


def test_signed_rank_is_scipys_and_its_difference_is_a_minus_b():
    a, b = np.random.default_rng(0).random((2, 12))
    found = signed_rank(a, b, "slice")
    theirs = scipy.stats.wilcoxon(a, b)
    assert (found.statistic, found.p) == (theirs.statistic, theirs.pvalue)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert (found.n, found.n_nonzero, found.smallest_p) == (12, 12, 2 / 2**12)


def test_signed_rank_by_counting_all_signs():
    """One of six differences is negative, of rank 2: W = 2, and 3 of 64 sign patterns give at most 2."""
    differences = np.array([0.1, -0.2, 0.3, 0.4, 0.5, 0.6])
    found = signed_rank(differences, np.zeros(6), "patient")
    ranks = np.arange(1, 7)
    sums = [ranks[list(signs)].sum() for signs in product([False, True], repeat=6)]
    assert found.statistic == 2
    assert found.p == pytest.approx(2 * np.mean(np.array(sums) <= 2))


@pytest.mark.parametrize("n", [6, 9, 11, 14])
@pytest.mark.parametrize("bias", [-3, 0, 1])
def test_signed_rank_with_ties_is_scipys_to_the_last_bit(n, bias):
    """Sizes 1 to 3 alone, so that some are equal: up to 13 of them, SciPy assigns all signs, and ranks anew for each
    assignment; more have the normal approximation."""
    differences = np.random.default_rng([n, bias + 3]).choice([-3, -2, -1, 1, 2, 3], n) + 4.0 * bias
    differences = differences[differences != 0]
    assert len(np.unique(np.abs(differences))) < len(differences)
    found = signed_rank(differences, np.zeros(len(differences)), "patient")
    theirs = scipy.stats.wilcoxon(differences)
    assert (found.statistic, found.p) == (theirs.statistic, theirs.pvalue)


def test_ranks_that_are_even_on_both_sides_give_p_one():
    """Twice the smaller of both chances is more than 1 here, since both contain the sum that was found."""
    found = signed_rank(np.array([1.0, -1.0, 2.0, -2.0, 3.0, -3.0]), np.zeros(6), "patient")
    assert (found.statistic, found.p) == (10.5, 1.0)


def test_pairs_that_do_not_differ_are_dropped():
    a = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0, 1.0, 0.1 + 0.2])
    b = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.3])  # the last differs by rounding noise only
    found = signed_rank(a, b, "slice")
    assert (found.n, found.n_nonzero, found.p) == (9, 6, 2 / 64)
    assert found.p == found.smallest_p


@pytest.mark.parametrize("times", [1e-200, 1e-14, 3.0, 1e14])
def test_signed_rank_is_the_same_in_any_unit(times):
    """Volumes in ml, and in litres times a million: what differed by less than 1e-12 was once dropped."""
    a, b = np.random.default_rng(1).random((2, 10))
    a[:2] = b[:2] + np.array([1e-17, -1e-16])  # rounding
    found, scaled = signed_rank(a, b, "patient"), signed_rank(a * times, b * times, "patient")
    assert (scaled.n_nonzero, scaled.statistic, scaled.p) == (8, found.statistic, found.p)
    nothing, lone = np.zeros(7), times * np.array([1e-14, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert (
        signed_rank(nothing, lone, "patient").n_nonzero
        == signed_rank(lone, nothing, "patient").n_nonzero
        == 6
    )


@pytest.mark.parametrize(
    ("differences", "n_nonzero", "smallest", "reason"),
    [
        ([], None, None, "no patients in common"),
        ([0.0, 0.0], 0, None, "none of the 2 patients differs"),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.0], 5, 0.0625, "5 patients differ"),
        ([0.1], 1, 1.0, "1 patient differs"),
        ([0.0], 0, None, "the only patient does not differ"),
    ],
)
def test_no_p_where_it_could_not_fall_below_five_percent(differences, n_nonzero, smallest, reason):
    found = signed_rank(np.array(differences), np.zeros(len(differences)), "patient")
    assert (found.p, found.statistic) == (None, None)
    assert (found.n_nonzero, found.smallest_p) == (n_nonzero, smallest)
    assert reason in found.reason


def test_what_no_number_of_pairs_can_give_is_no_p_of_zero():
    found = signed_rank(np.linspace(0.1, 0.9, 2500), np.zeros(2500), "slice")
    assert 0 < found.smallest_p <= found.p < 1e-300


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.04, None, 0.01]) == [pytest.approx(0.04), None, pytest.approx(0.02)]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([None, None]) == [None, None]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p):
    found = holm(p)
    assert all(one <= other <= min(1, one * len(p)) for one, other in zip(p, found, strict=True))
    assert [found[position] for position in np.argsort(p, kind="stable")] == sorted(found)


def test_two_rows_give_the_paired_t_test():
    a, b = np.random.default_rng(0).normal(0.5, 0.1, (2, 7))
    found = paired_t(np.stack([a, b]), 0, 1)
    expected = scipy.stats.ttest_rel(a, b, alternative="greater")
    assert found.p == pytest.approx(expected.pvalue)
    assert found.degrees == 6
    interval = scipy.stats.ttest_rel(a, b).confidence_interval(0.95)
    assert found.interval().low == pytest.approx(interval.low)
    assert found.interval().high == pytest.approx(interval.high)


def test_more_rows_give_the_variance_of_the_randomised_block_design():
    """By least squares with a term for each configuration and each repeat; and Satterthwaite's degrees of freedom by
    hand: (n - 1) (sum s)^2 / sum s^2 of the rows' sums of squares, 3 rows less one at most."""
    scores = np.array([[0.50, 0.60, 0.55], [0.42, 0.50, 0.49], [0.30, 0.43, 0.33], [0.35, 0.41, 0.43]])
    rows, n = scores.shape
    design = np.array([[*np.eye(rows)[c], *np.eye(n)[r][1:]] for c in range(rows) for r in range(n)])
    rest = scores.ravel() - design @ np.linalg.lstsq(design, scores.ravel(), rcond=None)[0]
    variance = float(rest @ rest) / ((rows - 1) * (n - 1))
    own = float(np.var(scores[0] - scores[1], ddof=1))
    assert own < 2 * variance
    found = paired_t(scores, 0, 1)
    assert found.error == pytest.approx(math.sqrt(2 * variance / n))
    spreads = (rest.reshape(rows, n) ** 2).sum(1)
    assert found.degrees == pytest.approx(2 * min(3, spreads.sum() ** 2 / (spreads**2).sum()))
    # Of rows that spread alike all 4 are effective, and what they are measured from takes 1 of them.
    alike = np.array([[0.7], [0.5], [0.3], [0.2]]) + 0.01 * np.array([[1, -1, 0], [-1, 1, 0]] * 2)
    assert paired_t(alike, 0, 2).degrees == pytest.approx(2 * 3)


def test_a_pair_that_varies_more_than_the_block_stands_for_itself():
    scores = np.array([[0.5, 0.7, 0.5], [0.4, 0.2, 0.4], [0.3, 0.3, 0.3], [0.2, 0.2, 0.2], [0.1, 0.1, 0.1]])
    expected = scipy.stats.ttest_rel(scores[0], scores[1], alternative="greater")
    assert paired_t(scores, 0, 1).degrees == 2
    assert paired_t(scores, 0, 1).p == pytest.approx(expected.pvalue)


def test_one_repeat_gives_no_p_and_nor_do_scores_that_do_not_vary():
    """Two constants had p = 5e-324, and a configuration was dismissed by it."""
    alone = paired_t(np.array([[0.5], [0.4]]), 0, 1)
    assert alone.p is None
    assert alone.interval().low is None and "2 repeats" in alone.interval().reason
    for other in (0.25, 0.5):
        alike = paired_t(np.array([[0.5, 0.5], [other, other]]), 0, 1)
        assert (alike.difference, alike.p, alike.interval().low) == (0.5 - other, None, None)
        assert alike.interval().reason == ALL_ALIKE


def test_differences_that_vary_by_rounding_alone_have_no_p():
    """Scores that lie 0.1 apart in every repeat had p = 1e-61, since floating point makes differences of them."""
    other = np.array([0.1, 0.2, 0.3, 0.7, 0.55])
    assert len(set(other + 0.1 - other)) > 1, "these do differ"
    for scale in (1.0, 1e-9):
        found = paired_t(scale * np.stack([other + 0.1, other]), 0, 1)
        assert found.p is None and found.interval().reason == ALL_ALIKE
    varied = np.stack([other + 0.1, other]) + np.array([[1e-6, 0, 0, 0, 0], [0] * 5])
    assert paired_t(1e-14 * varied, 0, 1).p == pytest.approx(paired_t(varied, 0, 1).p, rel=1e-6)


def test_no_p_of_a_clear_difference_is_zero():
    """Of 200 repeats floating point has no number as small as its p."""
    other = np.random.default_rng(0).random(200)
    found = paired_t(np.stack([other + 1 + 1e-6 * other, other]), 0, 1)
    assert scipy.stats.t.sf(found.difference / found.error, found.degrees) == 0 < found.p < 1e-300
