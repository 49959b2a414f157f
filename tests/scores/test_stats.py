"""Statistics against hand-computed values, SciPy, and a simulation with a known truth."""

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from hnscc.base.seeds import generator
from hnscc.scores.counts import Counts
from hnscc.scores.metrics import DICE, dice, jaccard
from hnscc.scores.stats import (
    fit_line,
    holm,
    median_difference,
    median_differences,
    patient_weights,
    pooled_interval,
    signed_rank,
    spread,
)


def draw(*key) -> np.random.Generator:
    return generator(1, *key)


def patients(*cases: tuple[int, int, int]) -> Counts:
    return Counts(*(np.array(part) for part in zip(*cases, strict=True)))


def test_interval_of_two_patients_spans_their_scores():
    found = pooled_interval(patients((10, 10, 10), (0, 5, 5)), dice, draw(), 1000)
    assert (found.low, found.high, found.reason) == (0.0, 1.0, None)


def test_interval_of_equal_patients_is_a_point_and_is_repeatable():
    same = patients(*[(3, 4, 6)] * 5)
    found = pooled_interval(same, jaccard, draw(), 200)
    assert found.low == found.high == pytest.approx(3 / 7)
    mixed = patients((3, 4, 6), (0, 9, 2), (5, 5, 5), (1, 2, 3))
    assert pooled_interval(mixed, dice, draw("a"), 200) == pooled_interval(mixed, dice, draw("a"), 200)


@pytest.mark.parametrize("cases", [[], [(1, 2, 3)]])
def test_no_interval_below_two_patients(cases):
    counts = patients(*cases) if cases else Counts(*(np.zeros(0, np.int64),) * 3)
    found = pooled_interval(counts, dice, draw(), 100)
    assert (found.low, found.high) == (None, None)
    assert f"2 patients with lesion, and there {'is 1' if cases else 'are 0'}" in found.reason


def test_interval_agrees_with_scipy_bootstrap():
    draws = np.random.default_rng(3)
    truth = draws.integers(20, 200, 15)
    pred = draws.integers(20, 200, 15)
    overlap = (np.minimum(truth, pred) * draws.random(15)).astype(int)
    ours = pooled_interval(Counts(overlap, pred, truth), dice, draw(), 20_000)
    theirs = scipy.stats.bootstrap(
        (overlap, pred, truth),
        lambda o, p, t, axis: 2 * o.sum(axis) / (p.sum(axis) + t.sum(axis)),
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def simulated(rng: np.random.Generator, count: int, quality: float) -> Counts:
    """Patients whose lesions of 50 to 300 pixels are found with a patient's own skill around `quality`."""
    truth = rng.integers(50, 300, count)
    skill = np.clip(rng.normal(quality, 0.1, count), 0, 1)
    overlap = np.round(truth * skill).astype(np.int64)
    return Counts(overlap, overlap + rng.integers(10, 60, count), truth)


def test_interval_covers_the_true_score_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    true_dice = float(DICE.of(simulated(rng, 200_000, 0.7).pooled()))
    found = [pooled_interval(simulated(rng, 30, 0.7), dice, rng, 300) for _ in range(300)]
    covered = np.mean([each.low <= true_dice <= each.high for each in found])
    assert 0.89 <= covered <= 0.98  # percentile intervals of 30 patients are a little short


def test_signed_rank_is_scipys_and_its_difference_is_a_minus_b():
    a, b = np.random.default_rng(0).random((2, 12))
    found = signed_rank(a, b, "slice")
    theirs = scipy.stats.wilcoxon(a, b)
    assert (found.statistic, found.p) == pytest.approx((theirs.statistic, theirs.pvalue))
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


def test_pairs_that_do_not_differ_are_dropped():
    a = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0, 1.0, 0.1 + 0.2])
    b = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.3])  # the last differs by rounding noise only
    found = signed_rank(a, b, "slice")
    assert (found.n, found.n_nonzero, found.p) == (9, 6, 2 / 64)
    assert found.p == found.smallest_p


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


def repeats_of(rng: np.random.Generator, truth: np.ndarray, quality: float, repeats: int) -> Counts:
    """Counts (R, P): each repeat has its own luck, and the variant suits each patient more or less."""
    luck = rng.normal(0, 0.02, (repeats, 1)) + rng.normal(0, 0.02, (repeats, len(truth)))
    overlap = np.round(truth * np.clip(quality + luck + rng.normal(0, 0.03, len(truth)), 0, 1))
    return Counts(
        overlap.astype(np.int64), np.broadcast_to(truth, overlap.shape), np.broadcast_to(truth, overlap.shape)
    )


def test_bootstrap_finds_a_clear_difference_and_signs_it():
    rng = np.random.default_rng(0)
    truth = rng.integers(50, 300, 12)
    better, worse = repeats_of(rng, truth, 0.8, 7), repeats_of(rng, truth, 0.6, 6)
    found = median_difference(better, worse, dice, draw(), 500)
    assert 0.1 < found.low < found.difference < found.high < 0.3
    assert found.p == found.smallest_p == pytest.approx(2 / 501)
    turned = median_difference(worse, better, dice, draw(), 500)
    assert turned.difference == pytest.approx(-found.difference)
    assert turned.high < 0
    expected = np.median(DICE.of(better.pooled())) - np.median(DICE.of(worse.pooled()))
    assert found.difference == pytest.approx(expected)


@pytest.mark.parametrize("repeats", [6, 7])
def test_scores_of_the_same_resamples_are_as_each_alone_and_as_a_plain_median(repeats):
    rng = np.random.default_rng(5)
    truth = rng.integers(50, 300, 9)
    a, b = (repeats_of(rng, truth, quality, repeats) for quality in (0.7, 0.68))
    both = median_differences(a, b, (dice, jaccard), draw(), 300)
    assert both == [median_difference(a, b, score, draw(), 300) for score in (dice, jaccard)]
    same = draw()
    weights = patient_weights(same, truth > 0, 300)
    sums = [[weights @ part.T for part in (each.overlap, each.pred, each.truth)] for each in (a, b)]
    medians = [
        np.median(np.take_along_axis(dice(*each), same.integers(repeats, size=(300, repeats)), 1), axis=1)
        for each in sums
    ]
    low, high = np.quantile(medians[0] - medians[1], [0.025, 0.975])
    assert (both[0].low, both[0].high) == (pytest.approx(low), pytest.approx(high))


def test_bootstrap_of_equal_variants_gives_p_one():
    rng = np.random.default_rng(0)
    same = repeats_of(rng, rng.integers(50, 300, 8), 0.7, 1)
    both = Counts(*(np.repeat(part, 3, axis=0) for part in (same.overlap, same.pred, same.truth)))
    found = median_difference(both, both, dice, draw(), 200)
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_bootstrap_pairs_by_patient():
    """Patients differ a lot, variants by the same little for each: only pairing can see it."""
    truth = np.full((3, 10), 1000)
    worse = np.broadcast_to(np.arange(100, 1000, 90), truth.shape)
    found = median_difference(
        Counts(worse + 20, truth, truth), Counts(worse, truth, truth), dice, draw(), 300
    )
    assert (found.low, found.high) == (pytest.approx(0.02), pytest.approx(0.02))


def test_bootstrap_p_is_rarely_small_where_variants_are_equal():
    """Null: both variants are drawn from one distribution. p < 0.05 should come in about 5 % of studies."""
    rng = np.random.default_rng(1)
    p = []
    for _ in range(200):
        truth = rng.integers(50, 300, 15)
        sides = [repeats_of(rng, truth, 0.7, 8) for _ in range(2)]
        p.append(median_difference(*sides, dice, rng, 200).p)
    assert np.mean(np.array(p) < 0.05) < 0.10


@pytest.mark.parametrize(
    ("repeats_a", "repeats_b", "count", "reason"),
    [
        (1, 3, 8, "2 repeats of both variants, and there are 1 and 3"),
        (3, 3, 1, "2 patients with lesion, and there is 1"),
        (1, 3, 1, "there is 1; an interval needs 2 repeats"),
        (0, 3, 8, "no completed repeat"),
        (3, 3, 0, "no patients"),
    ],
)
def test_bootstrap_that_cannot_be_drawn_says_why(repeats_a, repeats_b, count, reason):
    sides = [Counts(*(np.ones((repeats, count), np.int64),) * 3) for repeats in (repeats_a, repeats_b)]
    found = median_difference(*sides, dice, draw(), 100)
    assert (found.p, found.low, found.high) == (None, None, None)
    assert reason in found.reason


def test_few_patients_have_an_interval_but_no_p():
    rng = np.random.default_rng(0)
    truth = rng.integers(50, 300, 5)
    found = median_difference(
        repeats_of(rng, truth, 0.8, 3), repeats_of(rng, truth, 0.6, 3), dice, draw(), 200
    )
    assert found.low > 0 and found.p is None and found.smallest_p is None
    assert "5 patients with lesion" in found.reason


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
    assert [found[place] for place in np.argsort(p, kind="stable")] == sorted(found)


def test_line_is_scipys():
    true, predicted = np.random.default_rng(0).integers(0, 300, (2, 40))
    found, theirs = fit_line(true, predicted), scipy.stats.linregress(true, predicted)
    assert (found.slope, found.intercept) == pytest.approx((theirs.slope, theirs.intercept))
    assert found.r2 == pytest.approx(theirs.rvalue**2)
    assert found.reason is None


def test_line_that_does_not_exist_says_why():
    assert "3 slices" in fit_line(np.array([1, 2]), np.array([3, 4])).reason
    constant = fit_line(np.array([5, 5, 5]), np.array([1, 2, 3]))
    assert (constant.slope, constant.intercept, constant.r2) == (None, None, None)
    assert "true pixels" in constant.reason
    flat = fit_line(np.array([1, 2, 3]), np.array([0, 0, 0]))
    assert (flat.slope, flat.intercept, flat.r2) == (0.0, 0.0, None)
    assert "no r2" in flat.reason


def test_spread_by_hand():
    found = spread(np.array([1.0, 2.0, 3.0, 6.0]))
    assert (found.n, found.mean, found.median, found.q25, found.q75) == (4, 3.0, 2.5, 1.75, 3.75)
    assert (found.min, found.max) == (1.0, 6.0)
    assert found.sd == pytest.approx(np.sqrt(14 / 3))
    assert (spread(np.array([0.5])).mean, spread(np.array([0.5])).sd) == (0.5, None)
    assert spread(np.array([])).mean is None


def test_patients_with_and_without_lesion_are_drawn_apart():
    lesion = np.array([True, False, False, True, False])
    weights = patient_weights(np.random.default_rng(0), lesion, 500)
    np.testing.assert_array_equal(weights[:, lesion].sum(axis=1), 2)
    np.testing.assert_array_equal(weights[:, ~lesion].sum(axis=1), 3)
    assert len(np.unique(weights, axis=0)) > 20


def test_a_model_that_predicts_nothing_never_scores_by_a_resample_without_lesion():
    """Two lesion patients of ten: drawn together, one resample in nine would hold neither and score 1."""
    truth = np.array([50, 30, *[0] * 8])
    nothing = Counts(np.zeros(10, int), np.zeros(10, int), truth)
    interval = pooled_interval(nothing, dice, np.random.default_rng(0), 1000)
    assert (interval.low, interval.high) == (0.0, 0.0)


def test_what_no_number_of_pairs_can_give_is_no_p_of_zero():
    found = signed_rank(np.linspace(0.1, 0.9, 2500), np.zeros(2500), "slice")
    assert 0 < found.smallest_p <= found.p < 1e-300


@pytest.mark.parametrize(
    ("lesion", "interval", "p"),
    [(0, False, False), (1, False, False), (2, True, False), (5, True, False), (6, True, True)],
)
def test_only_patients_with_lesion_count_toward_the_minimums(lesion, interval, p):
    """Twelve patients; those without lesion hold false alarms in one variant and add no evidence."""
    truth = np.array([100] * lesion + [0] * (12 - lesion))
    rng = np.random.default_rng(0)
    overlap = np.where(truth, rng.integers(60, 90, (2, 3, 12)), 0)
    pred = overlap + rng.integers(5, 30, (2, 3, 12))
    a, b = (Counts(o, each, np.broadcast_to(truth, o.shape)) for o, each in zip(overlap, pred, strict=True))
    found = median_difference(a, b, dice, draw(), 200)
    assert found.difference is not None
    assert (found.low is not None, found.high is not None) == (interval, interval)
    assert (found.p is not None, found.smallest_p is not None) == (p, p)
    told = (
        f"there {'is' if lesion == 1 else 'are'} {lesion}" if not interval else f"no p from {lesion} patients"
    )
    assert found.reason is None if p else told in found.reason
    alone = pooled_interval(Counts(a.overlap[0], a.pred[0], truth), dice, draw(), 200)
    assert (alone.low is not None) == (alone.reason is None) == interval
