"""The t test of medians over repeats: its factors by integration, its parts by hand, equal variants by simulation."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from hnscc.scores.crossed import fraction_difference
from hnscc.scores.median_t import MEDIAN_TIMES, MEDIAN_TIMES_AT_MOST, median_difference
from hnscc.scores.metrics import dice_fraction, jaccard_fraction


def repeats_of(rng, truth, quality, repeats):
    """Overlap, prediction and truth (R, P): repeats have luck, and the variant suits some patients more than others."""
    luck = rng.normal(0, 0.02, (repeats, 1)) + rng.normal(0, 0.02, (repeats, len(truth)))
    overlap = np.round(truth * np.clip(quality + luck + rng.normal(0, 0.03, len(truth)), 0, 1))
    whole = np.broadcast_to(truth, overlap.shape)
    return overlap, whole, whole


@pytest.mark.parametrize("repeats", [3, 5, 7, 9])
def test_the_factor_of_odd_numbers_is_that_of_the_middle_order_statistic(repeats):
    """Phi of the middle of R = 2 k + 1 normal values has the distribution Beta(k + 1, k + 1)."""
    k = (repeats + 1) // 2

    def squared(share):
        return scipy.stats.norm.ppf(share) ** 2 * scipy.stats.beta.pdf(share, k, k)

    variance, _ = scipy.integrate.quad(squared, 0, 1, limit=200)
    assert MEDIAN_TIMES[repeats] == pytest.approx(repeats * variance, abs=0.0006)


@pytest.mark.parametrize("repeats", [2, 4, 6, 8, 10])
def test_the_factor_of_even_numbers_is_what_draws_show(repeats):
    rng = np.random.default_rng(repeats)
    medians = np.median(rng.standard_normal((300_000, repeats)), axis=1)
    # The variance of 300,000 values is known to 0.26 %.
    assert MEDIAN_TIMES[repeats] == pytest.approx(repeats * medians.var(), rel=0.01)


def test_above_ten_the_limit_is_used_which_is_never_too_small():
    for repeats in (11, 12, 51):
        medians = np.median(np.random.default_rng(0).standard_normal((30_000, repeats)), axis=1)
        assert 0.98 < MEDIAN_TIMES_AT_MOST / (repeats * medians.var()) < 1.15
    assert max(MEDIAN_TIMES.values()) < MEDIAN_TIMES_AT_MOST


def test_of_two_repeats_it_is_the_test_of_the_means():
    rng = np.random.default_rng(0)
    truth = rng.integers(50, 300, 9)
    a, b = (repeats_of(rng, truth, quality, 2) for quality in (0.72, 0.68))
    of_means, found = fraction_difference(a, b, dice_fraction), median_difference(a, b, dice_fraction)
    for name in ("value", "low", "high", "p"):
        assert getattr(found, name) == pytest.approx(getattr(of_means, name), rel=1e-12)


def test_the_variance_over_repeats_alone_is_larger_than_that_of_means():
    """By hand: 5 and 50 repeats, factors 1.434 and pi / 2; patients' part and joint part stay."""
    rng = np.random.default_rng(3)
    truth = rng.integers(50, 300, 12)
    a, b = repeats_of(rng, truth, 0.8, 5), repeats_of(rng, truth, 0.6, 50)
    of_means, found = fraction_difference(a, b, jaccard_fraction), median_difference(a, b, jaccard_fraction)
    pooled = [over.sum(1) / (pred + true - over).sum(1) for over, pred, true in (a, b)]
    assert found.value == pytest.approx(np.median(pooled[0]) - np.median(pooled[1]))
    assert (found.patient_variance, found.joint_variance) == (
        of_means.patient_variance,
        of_means.joint_variance,
    )
    expected = (1.434 * pooled[0].var(ddof=1) / 5, math.pi / 2 * pooled[1].var(ddof=1) / 50)
    assert found.repeat_variance == pytest.approx(expected, rel=1e-9)
    both = found.patient_variance + sum(expected)
    assert found.error == pytest.approx(math.sqrt(both - min(found.joint_variance, both / 2)))
    turned = median_difference(b, a, jaccard_fraction)
    assert (turned.value, turned.low, turned.p) == pytest.approx((-found.value, -found.high, found.p))


def test_one_failed_training_moves_the_means_and_not_the_medians():
    rng = np.random.default_rng(4)
    truth = rng.integers(50, 300, 20)
    a, b = (repeats_of(rng, truth, 0.7, 7) for _ in range(2))
    failed = a[0].copy()
    failed[0] = 0
    whole, without = (
        median_difference(a, b, dice_fraction),
        median_difference((failed, *a[1:]), b, dice_fraction),
    )
    moved = (
        fraction_difference((failed, *a[1:]), b, dice_fraction).value
        - fraction_difference(a, b, dice_fraction).value
    )
    assert moved == pytest.approx(-0.1, abs=0.01)
    assert abs(without.value - whole.value) < 0.02


@pytest.mark.parametrize("repeats", [2, 4, 10])
def test_equal_variants_are_seldom_called_different(repeats):
    """Both variants are of one distribution. 300 studies tell a share of 5 % to 1.3 points."""
    rng = np.random.default_rng(repeats)
    p = []
    for _ in range(300):
        truth = rng.integers(50, 300, 15)
        p.append(
            median_difference(*(repeats_of(rng, truth, 0.7, repeats) for _ in range(2)), dice_fraction).p
        )
    assert np.mean(np.array(p) < 0.05) < 0.09


@pytest.mark.parametrize(
    ("repeats_a", "repeats_b", "patients", "reason"),
    [
        (1, 3, 8, "at least 2 of both variants, and there are 1 and 3"),
        (3, 3, 1, "at least 2 patients with lesion, and there is 1"),
        (3, 3, 8, "neither patients nor repeats are seen to vary"),
    ],
)
def test_what_has_no_interval_says_why(repeats_a, repeats_b, patients, reason):
    sides = [(np.ones((repeats, patients)),) * 3 for repeats in (repeats_a, repeats_b)]
    found = median_difference(*sides, dice_fraction)
    assert (found.value, found.low, found.high, found.p) == (0.0, None, None, None)
    assert reason in found.reason


def test_of_three_patients_there_is_an_interval_and_no_p():
    rng = np.random.default_rng(0)
    truth = rng.integers(50, 300, 3)
    found = median_difference(*(repeats_of(rng, truth, quality, 4) for quality in (0.8, 0.6)), dice_fraction)
    assert found.low < found.value < found.high and found.p is None
    assert found.reason == "no p from 3 patients, 4 are needed"


def test_where_no_pixel_is_predicted_or_true_there_is_no_difference():
    nothing = (np.zeros((3, 8)),) * 3
    found = median_difference(nothing, nothing, dice_fraction)
    assert found.value is None and "8" not in found.reason and "there are 0" in found.reason
