"""Equal up to a margin, and the chance to be better: by hand, against plain loops, and in simulation."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from two_way import limit_of

from hnscc.scores.better import chance_of_better, equivalence
from hnscc.scores.crossed import mean_difference
from hnscc.scores.two_way_t import NOTHING_VARIES

FIFTHS = st.sampled_from([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_the_chance_is_the_share_of_pairs_of_trainings_by_hand():
    a = [[0.9, 0.5, 0.3], [0.7, 0.5, 0.1]]
    b = [[0.8, 0.5, 0.2], [0.6, 0.5, 0.2]]
    # Patient 1: 3 of 4 pairs; patient 2: ties; patient 3: 2 of 4.
    found = chance_of_better(a, b)
    assert found.value == pytest.approx((0.75 + 0.5 + 0.5) / 3)
    assert found.patients == 3 and found.repeats == (2, 2)
    # Placements of a: (1, .5, 1), (.5, .5, 0); of b: (.5, .5, .5), (1, .5, .5). Their means over patients, by repeat:
    of_a, of_b = np.var([2.5 / 3, 1 / 3], ddof=1) / 2, np.var([0.5, 2 / 3], ddof=1) / 2
    assert found.repeat_variance == pytest.approx((of_a, of_b))
    assert found.patient_variance == pytest.approx(np.var([0.75, 0.5, 0.5], ddof=1) / 3)


@given(arrays(float, (3, 4), elements=FIFTHS), arrays(float, (2, 4), elements=FIFTHS))
def test_the_chance_agrees_with_mann_and_whitney_and_turns_round(a, b):
    found = chance_of_better(a, b)
    u = scipy.stats.mannwhitneyu(a, b, axis=0, method="asymptotic").statistic
    assert found.value == pytest.approx(u.mean() / 6)
    back = chance_of_better(b, a)
    assert found.value + back.value == pytest.approx(1)
    if found.low is None:
        always = found.value in (0, 1) and "better for the same variant" in found.reason
        assert always or found.reason == NOTHING_VARIES
    else:
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert (found.low, found.high) == pytest.approx((1 - back.high, 1 - back.low))


def test_a_tie_is_not_broken_by_rounding():
    assert chance_of_better([[0.1 + 0.2] * 3] * 2, [[0.3] * 3] * 2).value == 0.5


@pytest.mark.parametrize("times", [1e-200, 1e-14, 3.0, 1e14])
def test_the_chance_is_the_same_in_any_unit(times):
    """What was below 1e-12 was a tie once, whatever the scores' unit: of such scores no chance was told."""
    a, b = np.random.default_rng(0).random((2, 4, 5))
    found, scaled = chance_of_better(a, b), chance_of_better(a * times, b * times)
    assert found.value != 0.5
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx((found.value, found.low, found.high))


@pytest.mark.parametrize("times", [1e-14, 1.0, 1e14])
def test_ties_are_those_of_rounding_in_any_unit(times):
    a = times * np.array([[0.1 + 0.2] * 3] * 2)
    assert chance_of_better(a, times * np.array([[0.3] * 3] * 2)).value == 0.5


def test_where_all_are_ties_the_chance_has_no_interval():
    found = chance_of_better([[0.5, 0.7]] * 2, [[0.5, 0.7]] * 3)
    assert (found.value, found.low, found.high, found.reason) == (0.5, None, None, NOTHING_VARIES)


def test_too_few_have_no_chance():
    assert "2 patients, and there is 1" in chance_of_better([[0.5], [0.4]], [[0.5], [0.4]]).reason
    one = chance_of_better([[0.5, 0.4]], [[0.5, 0.4], [0.3, 0.2]])
    assert one.value is None and "at least 2 of both variants, and there are 1 and 2" in one.reason
    with pytest.raises(ValueError, match="same patients"):
        chance_of_better([[0.5, 0.4]], [[0.5]])


def test_the_interval_of_the_chance_covers_it():
    """Patients and trainings both vary; the truth is known from the normal distribution."""
    rng = np.random.default_rng(4)
    shift, noise, covered = 0.4, 1.0, 0
    truth = float(scipy.stats.norm.cdf(shift / math.sqrt(2 * (noise**2 + 0.5**2))))
    for _ in range(400):
        patient = rng.normal(0, 2, 15)  # of both variants alike, so it does not matter to who is better
        a, b = (
            patient + own + rng.normal(0, 0.5, (6, 1)) + rng.normal(0, noise, (6, 15)) for own in (shift, 0)
        )
        found = chance_of_better(a, b)
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / 400 <= 1


def test_equivalence_by_hand():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.70, 0.02, (5, 8)), rng.normal(0.69, 0.02, (5, 8))
    found = mean_difference(a, b)
    parts = (found.patient_variance, found.repeat_variance, 8, found.repeats)
    p = equivalence(found, 0.05)
    assert limit_of(*parts, 2 * p) * found.error == pytest.approx(0.05 - abs(found.value))
    assert found.value > 0 and equivalence(mean_difference(b, a), 0.05) == pytest.approx(p), (
        "either way round"
    )
    # p is 0.05 where the 90 % interval just touches the margin.
    touching = abs(found.value) + limit_of(*parts, 0.1) * found.error
    assert equivalence(found, touching) == pytest.approx(0.05)
    assert equivalence(found, abs(found.value)) == pytest.approx(0.5)
    inside, outside = (equivalence(found, abs(found.value) * (1 + side)) for side in (0.5, -0.5))
    assert inside + outside == pytest.approx(1) and inside < 0.5


def test_no_equivalence_where_there_is_no_test():
    assert equivalence(mean_difference([[0.5] * 5], [[0.4] * 5]), 0.1) is None  # one repeat each
    few = mean_difference([[0.5, 0.6, 0.7], [0.4, 0.7, 0.6]], [[0.5, 0.5, 0.7], [0.4, 0.6, 0.5]])
    assert few.error and equivalence(few, 0.1) is None  # three patients
    four = mean_difference([[0.5, 0.6, 0.7, 0.4], [0.4, 0.7, 0.6, 0.5]], [[0.5, 0.5, 0.7, 0.5]] * 2)
    assert 0 < equivalence(four, 0.1) < 0.5
    same = [[0.5, 0.6, 0.7, 0.8]] * 2
    assert equivalence(mean_difference(same, same), 0.1) is None  # nothing varies
    with pytest.raises(ValueError, match="above 0"):
        equivalence(few, 0.0)


@pytest.mark.parametrize("margin", [0, -0.1, math.nan, math.inf, True, np.bool_(True), "0.1", None, 1j])
def test_a_margin_that_is_no_number_above_0_is_refused(margin):
    difference = mean_difference([[0.5, 0.6]] * 2, [[0.4, 0.3]] * 2)
    with pytest.raises(
        ValueError, match=r"margin must be a number above 0, not .*; give the least difference"
    ):
        equivalence(difference, margin)
