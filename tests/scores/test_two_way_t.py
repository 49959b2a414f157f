"""The limits of the two-way t interval and its p: by hand, where one part is all, and against each other."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from two_way import limit_of

from hnscc.scores.crossed import mean_difference
from hnscc.scores.two_way_t import Spread, VarianceParts, limits, satterthwaite, variance_of

SHARES = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1))
DEGREES = st.floats(1, 200)


@pytest.mark.parametrize(
    ("share", "patients", "repeats", "squares"),
    [
        # 10 patients: the repeats weigh 0.5 ** (1.75 x 13 / 9) = 0.173405, and 9 degrees of patients count as 18.
        (0.5, 9, 1, 0.826595 * 2.10092**2 + 0.173405 * 12.70620**2),
        # 5 patients: the repeats weigh 0.2 ** 3.5 = 0.0035777, and 4 degrees of patients count as 5.
        (0.2, 4, 2, 0.9964223 * 2.57058**2 + 0.0035777 * 4.30265**2),
    ],
)
def test_a_limit_by_hand(share, patients, repeats, squares):
    assert limits(0.05, share, patients, repeats) == pytest.approx(squares**0.5, rel=1e-5)


def test_what_both_parts_hold_is_taken_off_once_and_at_most_half_of_them():
    assert variance_of(0.3, 0.5, 0.1) == pytest.approx(0.7)
    assert variance_of(0.3, 0.5, 0.45) == pytest.approx(0.4)
    assert variance_of(np.array([0.3, 4.0]), np.array([0.5, 0.0]), 0.45) == pytest.approx([0.4, 3.55])


@pytest.mark.parametrize("chance", [0.4, 0.05, 0.001])
def test_where_one_part_is_all_it_is_students_t(chance):
    of_patients, of_repeats = (scipy.stats.t.isf(chance / 2, degrees) for degrees in (7, 2))
    assert limits(chance, 0.0, 7, 2) == pytest.approx(of_patients)
    assert limits(chance, 1.0, 7, 2) == pytest.approx(of_repeats)
    assert limits(chance, np.array([0.0, 1.0]), 7, np.array([2.0, 2.0])) == pytest.approx(
        [of_patients, of_repeats]
    )


@given(share=SHARES, patients=DEGREES, repeats=DEGREES, chance=st.floats(1e-9, 0.999))
def test_p_is_the_chance_whose_limit_just_reaches_the_value(share, patients, repeats, chance):
    spread = Spread(0.5, share, patients, repeats)
    assert spread.p(0.5 * spread.limit(chance)) == pytest.approx(chance, rel=1e-6)
    assert spread.p(-0.5 * spread.limit(chance)) == pytest.approx(chance, rel=1e-6)


def test_p_is_told_down_to_1e_200():
    spread = Spread(0.5, 0.0, 150, 5)
    for away in (20, 200):  # 3.6e-44 and 5.6e-184
        assert spread.p(0.5 * away) == pytest.approx(2 * scipy.stats.t.sf(away, 150), rel=1e-9, abs=0)
    assert 2 * scipy.stats.t.sf(1000, 150) < spread.p(500) == pytest.approx(1e-200, rel=1e-9, abs=0)


@given(share=SHARES, patients=DEGREES, repeats=DEGREES, away=st.floats(0, 1e12))
def test_p_is_a_chance_however_far_the_value_lies(share, patients, repeats, away):
    spread = Spread(1.0, share, patients, repeats)
    assert 0 < spread.p(away) <= spread.p(away / 2) <= spread.p(0.0) == 1


@pytest.mark.parametrize(
    ("repeat", "numbers", "degrees"),
    [
        # The two happen to vary little. Were both to spread alike: (1/2 + 1/10)^2 / (1/4 + 1/900) = 1.4336283.
        ((0.1, 0.9), (2, 10), 1.4336283),
        # The two vary much: 1 / (0.81 + 0.01 / 9) = 1.2328767 is less.
        ((0.9, 0.1), (2, 10), 1.2328767),
        # (1/3 + 1/50)^2 / (1/18 + 1/122500) = 2.2468698; it was 1 / (0.0002 + 0.9604 / 49) = 50.5 without a bound.
        ((0.02, 0.98), (3, 50), 2.2468698),
        # Equal numbers: Satterthwaite's own, 1 / ((0.01 + 0.81) / 4) = 4.8780488.
        ((0.1, 0.9), (5, 5), 4.8780488),
        # Pairs, and a variant alone.
        ((0.3,), (6,), 5.0),
    ],
)
def test_with_unlike_numbers_of_repeats_the_degrees_are_at_most_those_of_like_spread(
    repeat, numbers, degrees
):
    parts = VarianceParts(0.1, 1.0, repeat, tuple(own - 1 for own in numbers), 0.0, 20)
    assert parts.spread.repeats == pytest.approx(degrees, rel=1e-6)


@given(
    variances=st.tuples(st.floats(1e-9, 1), st.floats(1e-9, 1)),
    number=st.integers(2, 60),
    paired=st.booleans(),
)
def test_with_equal_numbers_of_repeats_the_degrees_are_satterthwaites_to_the_last_bit(
    variances, number, paired
):
    repeat = variances[:1] if paired else variances
    parts = VarianceParts(0.1, 1.0, repeat, (number - 1,) * len(repeat), 0.0, 20)
    assert parts.spread.repeats == satterthwaite(repeat, parts.repeat_degrees)


def test_equal_variants_of_unlike_numbers_of_repeats_are_not_called_different_too_often():
    """800 studies of 2 and 10 repeats; without the bound 13 % were, and 6 % at the level of a pair of four variants."""
    p = []
    for n in range(800):
        rng = np.random.default_rng([8, n])
        own = rng.normal(0, 0.1, 60)
        a, b = (own + rng.normal(0, 0.05, (of, 1)) + rng.normal(0, 0.1, (of, 60)) for of in (2, 10))
        p.append(mean_difference(a, b).p)
    assert np.mean(np.array(p) < 0.05) <= 0.06
    assert np.mean(np.array(p) < 0.05 / 6) <= 0.01


def test_the_limit_of_a_difference_is_that_of_its_parts():
    rng = np.random.default_rng(0)
    found = mean_difference(rng.random((2, 6)), rng.random((5, 6)))
    limit = limit_of(found.patient_variance, found.repeat_variance, 6, found.repeats)
    assert found.high - found.value == pytest.approx(limit * found.error)


@pytest.mark.quick(3)
@pytest.mark.parametrize("training", [0.02, 0.05, 0.2])
@pytest.mark.parametrize("patients", [5, 20])
def test_with_two_repeats_equal_variants_are_called_different_neither_too_often_nor_hardly_ever(
    patients, training
):
    """1,000 studies; a mean of t limits by one power at all numbers of patients called 1 % of those of 5 different."""
    rejected = []
    for n in range(1000):
        rng = np.random.default_rng([7, n])
        own = rng.normal(0, 0.1, patients)
        a, b = (own + rng.normal(0, training, (2, 1)) + rng.normal(0, 0.1, (2, patients)) for _ in range(2))
        rejected.append(mean_difference(a, b).p < 0.05)
    assert 0.02 <= np.mean(rejected) <= 0.06
