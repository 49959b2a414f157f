"""Differences over repeats and patients, against known ones and a simulation of equal variants."""

import numpy as np
import pytest

from hnscc.base.seeds import generator
from hnscc.scores.counts import Counts
from hnscc.scores.differences import median_differences, patient_weights
from hnscc.scores.intervals import too_few
from hnscc.scores.metrics import DICE, dice, jaccard


def keyed(*key) -> np.random.Generator:
    return generator(1, *key)


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
    found = median_differences(better, worse, (dice,), keyed(), 500)[0]
    assert 0.1 < found.low < found.difference < found.high < 0.3
    assert found.p == found.smallest_p == pytest.approx(2 / 501)
    turned = median_differences(worse, better, (dice,), keyed(), 500)[0]
    assert turned.difference == pytest.approx(-found.difference)
    assert turned.high < 0
    expected = np.median(DICE.of(better.pooled())) - np.median(DICE.of(worse.pooled()))
    assert found.difference == pytest.approx(expected)


@pytest.mark.parametrize("repeats", [6, 7])
def test_scores_of_the_same_resamples_are_as_each_alone_and_as_a_plain_median(repeats):
    rng = np.random.default_rng(5)
    truth = rng.integers(50, 300, 9)
    a, b = (repeats_of(rng, truth, quality, repeats) for quality in (0.7, 0.68))
    both = median_differences(a, b, (dice, jaccard), keyed(), 300)
    assert both == [median_differences(a, b, (score,), keyed(), 300)[0] for score in (dice, jaccard)]
    same = keyed()
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
    both = Counts(*(np.repeat(part, 4, axis=0) for part in (same.overlap, same.pred, same.truth)))
    found = median_differences(both, both, (dice,), keyed(), 200)[0]
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


def test_medians_that_differ_by_rounding_alone_count_for_both_sides():
    """Of repeats of 0.1 and 0.7 the median is often 0.4, that of the other variant: in floating point 5e-17 less."""
    truth = np.full((4, 6), 100)
    a, b = (np.array([[each] * 6 for each in scores]) for scores in ([10, 10, 70, 70], [40] * 4))
    assert (0.1 + 0.7) / 2 < 0.4
    found = median_differences(Counts(a, truth, truth), Counts(b, truth, truth), (dice,), keyed(), 300)[0]
    assert found.p == 1.0


def test_bootstrap_pairs_by_patient():
    """Patients differ a lot, variants by the same little for each: only pairing can see it."""
    truth = np.full((3, 10), 1000)
    worse = np.broadcast_to(np.arange(100, 1000, 90), truth.shape)
    found = median_differences(
        Counts(worse + 20, truth, truth), Counts(worse, truth, truth), (dice,), keyed(), 300
    )[0]
    assert (found.low, found.high) == (pytest.approx(0.02), pytest.approx(0.02))


def test_bootstrap_p_is_rarely_small_where_variants_are_equal():
    """Null: both variants are of one distribution. p < 0.05 should come in about 5 % of studies."""
    rng = np.random.default_rng(1)
    p = []
    for _ in range(200):
        truth = rng.integers(50, 300, 15)
        sides = [repeats_of(rng, truth, 0.7, 8) for _ in range(2)]
        p.append(median_differences(*sides, (dice,), rng, 200)[0].p)
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
def test_bootstrap_that_cannot_be_made_says_why(repeats_a, repeats_b, count, reason):
    sides = [Counts(*(np.ones((repeats, count), np.int64),) * 3) for repeats in (repeats_a, repeats_b)]
    found = median_differences(*sides, (dice,), keyed(), 100)[0]
    assert (found.p, found.low, found.high) == (None, None, None)
    assert reason in found.reason


@pytest.mark.parametrize(("repeats_a", "repeats_b"), [(2, 2), (3, 3), (3, 50), (50, 2)])
def test_below_four_repeats_of_a_side_there_is_an_interval_but_no_p(repeats_a, repeats_b):
    rng = np.random.default_rng(0)
    truth = rng.integers(50, 300, 12)
    sides = repeats_of(rng, truth, 0.8, repeats_a), repeats_of(rng, truth, 0.6, repeats_b)
    found = median_differences(*sides, (dice,), keyed(), 200)[0]
    assert found.low > 0.1 and found.p is None and found.smallest_p is None
    assert f"no p from {repeats_a} and {repeats_b} repeats, 4 of both" in found.reason
    enough = [repeats_of(rng, truth, quality, 4) for quality in (0.8, 0.6)]
    assert median_differences(*enough, (dice,), keyed(), 200)[0].p == pytest.approx(2 / 201)


def test_few_patients_and_few_repeats_are_both_named():
    rng = np.random.default_rng(0)
    sides = [repeats_of(rng, rng.integers(50, 300, 5), 0.8, 2) for _ in range(2)]
    reason = median_differences(*sides, (dice,), keyed(), 100)[0].reason
    assert "5 patients with lesion" in reason and "2 and 2 repeats" in reason


def test_few_patients_have_an_interval_but_no_p():
    rng = np.random.default_rng(0)
    truth = rng.integers(50, 300, 5)
    found = median_differences(
        repeats_of(rng, truth, 0.8, 3), repeats_of(rng, truth, 0.6, 3), (dice,), keyed(), 200
    )[0]
    assert found.low > 0 and found.p is None and found.smallest_p is None
    assert "5 patients with lesion" in found.reason


@pytest.mark.parametrize(
    ("lesion", "interval", "p"),
    [(0, False, False), (1, False, False), (2, True, False), (5, True, False), (6, True, True)],
)
def test_only_patients_with_lesion_count_toward_the_minimums(lesion, interval, p):
    """Twelve patients; those without lesion hold false alarms in one variant and add no evidence."""
    truth = np.array([100] * lesion + [0] * (12 - lesion))
    rng = np.random.default_rng(0)
    overlap = np.where(truth, rng.integers(60, 90, (2, 4, 12)), 0)
    pred = overlap + rng.integers(5, 30, (2, 4, 12))
    a, b = (Counts(o, each, np.broadcast_to(truth, o.shape)) for o, each in zip(overlap, pred, strict=True))
    found = median_differences(a, b, (dice,), keyed(), 200)[0]
    assert found.difference is not None
    assert (found.low is not None, found.high is not None) == (interval, interval)
    assert (found.p is not None, found.smallest_p is not None) == (p, p)
    told = (
        f"there {'is' if lesion == 1 else 'are'} {lesion}" if not interval else f"no p from {lesion} patients"
    )
    assert found.reason is None if p else told in found.reason
    assert (too_few(lesion) is None) == interval
