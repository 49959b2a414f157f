"""Means over patients and repeats, against values computed by hand and by SciPy."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from two_way import limit_of, variance_of

from hnscc.scores.crossed import mean_of_patients

DISTANCES = np.array([[1.0, 5.0, 9.0, 5.0], [3.0, 5.0, 13.0, 7.0]])


def by_hand(scores):
    """Standard error and limit by the formulas of the two-way t, term by term."""
    repeats, patients = scores.shape
    of_patients = sum((each - scores.mean()) ** 2 for each in scores.mean(0)) / (patients - 1) / patients
    of_repeats = sum((each - scores.mean()) ** 2 for each in scores.mean(1)) / (repeats - 1) / repeats
    both = 0.0
    for column in (scores - scores.mean(1, keepdims=True)).T:
        both += sum((each - column.mean()) ** 2 for each in column) / (repeats - 1)
    both /= repeats * patients * (patients - 1)
    variance = variance_of(of_patients, [of_repeats], both)
    return variance**0.5, limit_of(of_patients, [of_repeats], patients, [repeats])


def test_of_distances_by_hand():
    """Patients' means 2, 5, 11, 6; repeats' 5 and 7; the rest moves by 0, -2, +2 and 0 from repeat to repeat."""
    found = mean_of_patients(DISTANCES, share=False)
    assert (found.value, found.patients, found.repeats) == (6.0, 4, (2,))
    assert found.patient_variance == pytest.approx((16 + 1 + 25 + 0) / 3 / 4)
    assert found.repeat_variance == pytest.approx((1,))
    assert found.joint_variance == pytest.approx((0 + 2 + 2 + 0) / (2 * 4 * 3))
    error, limit = by_hand(DISTANCES)
    assert error == pytest.approx((3.5 + 1 - 1 / 6) ** 0.5)
    half = limit * error / 6
    assert (found.low, found.high) == pytest.approx((6 * np.exp(-half), 6 * np.exp(half)))


def test_of_shares_on_the_logit_scale():
    shares = np.array([[0.5, 0.7, 0.9, 0.6], [0.6, 0.8, 0.8, 0.7], [0.5, 0.6, 0.9, 0.7]])
    found = mean_of_patients(shares, share=True)
    error, limit = by_hand(shares)
    mean = shares.mean()
    half = limit * error / (mean * (1 - mean))
    logit = np.log(mean / (1 - mean))
    assert found.value == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx(
        tuple(1 / (1 + np.exp(-(logit + side * half))) for side in (-1, 1))
    )


@pytest.mark.parametrize(("scores", "share"), [([0.5, 0.7, 0.9, 0.6], True), ([1.0, 5.0, 9.0, 2.0], False)])
def test_of_one_model_it_is_students_t_over_patients(scores, share):
    """On the scale that the interval is made on, by SciPy's standard error and the rule of the derivative."""
    found = mean_of_patients(scores, share=share)
    mean = np.mean(scores)
    slope = 1 / (mean * (1 - mean)) if share else 1 / mean
    half = scipy.stats.t.ppf(0.975, 3) * scipy.stats.sem(scores) * slope
    there, back = (scipy.special.logit, scipy.special.expit) if share else (np.log, np.exp)
    assert found.value == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx(
        tuple(back(there(mean) + side * half) for side in (-1, 1))
    )
    assert (found.repeats, found.repeat_variance, found.joint_variance) == ((1,), (), 0)
    assert (found.spread.patients, found.spread.share) == (3, 0)


def test_the_interval_of_distances_hangs_on_no_unit():
    mm, cm = (mean_of_patients(DISTANCES / unit, share=False) for unit in (1, 10))
    assert (mm.low, mm.value, mm.high) == pytest.approx((10 * cm.low, 10 * cm.value, 10 * cm.high))
    assert 0 < mm.low < mm.value < mm.high


def test_the_interval_of_a_share_covers():
    """2,000 studies of 10 patients and 5 repeats; the standard error of their share is half a point."""
    rng = np.random.default_rng(0)
    truth = rng.beta(6, 2, 200_000).mean()
    found = []
    for _ in range(2000):
        logit = scipy.special.logit(rng.beta(6, 2, 10))
        scores = scipy.special.expit(logit + 0.1 * rng.normal(size=(5, 10)))
        estimate = mean_of_patients(scores, share=True)
        found.append(estimate.low <= truth <= estimate.high)
    assert 0.93 < np.mean(found) < 0.975


@pytest.mark.parametrize(
    ("scores", "share", "reason"),
    [
        ([[0.5, 0.6]], True, "needs at least 2 repeats, and there is 1"),
        ([0.5], True, "at least 2 patients, and there is 1"),
        ([0.5, 0.5, 0.5], True, "neither patients nor repeats"),
        ([[0.5], [0.6]], True, "at least 2 patients, and there is 1"),
        (np.empty((2, 0)), True, "at least 2 patients, and there are 0"),
        (np.ones((3, 4)), True, "neither patients nor repeats"),
        (np.zeros((3, 4)), True, "neither patients nor repeats"),
        (np.zeros((3, 4)), False, "neither patients nor repeats"),
        (np.full((3, 4), 3.0), False, "neither patients nor repeats"),
        ([[0, 1], [1, 0]], True, "neither patients nor repeats"),  # what varies is both together
        ([[0, 2, 0, 2], [2, 0, 2, 0]], False, "neither patients nor repeats"),
        # Of the two it reached from 1.5e-5 to 1.6e6 mm.
        ([0.0, 10.0], False, "at least 4 patients, of distances, ml or counts, and there are 2"),
        ([[5.0, 6.0, 40.0], [5.0, 7.0, 44.0]], False, "at least 4 patients, of distances"),
    ],
)
def test_where_there_is_no_interval_the_reason_says_why(scores, share, reason):
    found = mean_of_patients(scores, share=share)
    assert (found.low, found.high) == (None, None) and reason in found.reason
    assert found.value == (pytest.approx(np.mean(scores)) if np.size(scores) else None)


@pytest.mark.parametrize(
    ("scores", "share", "told"),
    [
        ([[0.0, 1.2]], True, r"lie in 0\.\.1, and they reach from 0 to 1\.2; give share=False"),
        ([[1.0, -1.0]], False, "lie from 0 on, and they reach from -1 to 1; leave out"),
        ([[0.5, 0.6]], "no", "share is True or False, not 'no'"),
    ],
)
def test_other_ranges_are_refused(scores, share, told):
    with pytest.raises(ValueError, match=told):
        mean_of_patients(scores, share=share)
