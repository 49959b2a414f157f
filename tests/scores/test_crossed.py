"""Scores of patients by trainings: by hand, against the formulas written out patient by patient, and in simulation."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_way import limit_of, variance_of

from hnscc.scores.crossed import mean_difference, mean_of_patients, pooled_difference, pooled_interval
from hnscc.scores.two_way_t import NOTHING_VARIES


def counts(rng, repeats=4, lesion=6, free=3, good=0.7):
    """Overlap, prediction and truth (R, P) of plausible models; some patients without lesion have false alarms."""
    patients = lesion + free
    truth = np.where(np.arange(patients) < lesion, rng.integers(20, 400, patients), 0)
    truth = np.repeat(truth[None], repeats, axis=0)
    overlap = rng.binomial(truth, good)
    extra = rng.poisson(12, (repeats, patients)) * (rng.random((repeats, patients)) < 0.7)
    return overlap, overlap + extra, truth


def by_hand(variants, signs, paired=False):
    """Value and parts of variance, one patient left out at a time with plain loops over plain numbers. Of pairs of
    repeats, what varies is their differences."""
    truth = variants[0][2][0]
    lesion, free = np.flatnonzero(truth > 0), np.flatnonzero(truth == 0)
    patients = len(truth)
    value, repeat, joint = 0.0, [], 0.0
    left, each, alarm = np.zeros(patients), np.zeros(len(lesion)), np.zeros(len(free))
    weight, share, per_variant = np.zeros(len(lesion)), 0.0, []
    for sign, (overlap, pred, true) in zip(signs, variants, strict=True):
        repeats = len(overlap)
        scores, outs, dices = [], np.zeros((repeats, patients)), np.zeros((repeats, len(lesion)))
        for r in range(repeats):
            num, den = 2.0 * overlap[r], (pred[r] + true[r]).astype(float)
            score = num.sum() / den.sum()
            scores.append(score)
            for group in (lesion, free):
                for i in group:
                    if len(group) < 2:
                        continue
                    rest = [j for j in group if j != i]
                    others = [j for j in range(patients) if j not in group]
                    gap = len(group) / (len(group) - 1)
                    outs[r, i] = (num[others].sum() + num[rest].sum() * gap) / (
                        den[others].sum() + den[rest].sum() * gap
                    ) - score
            for k, i in enumerate(lesion):
                dices[r, k] = num[i] / den[i]
                weight[k] += den[i] / den[lesion].sum() / repeats / len(signs)
            for k, i in enumerate(free):
                alarm[k] += sign * score * den[i] / den.sum() / repeats
            share += den[lesion].sum() / den.sum() / repeats / len(signs)
        value += sign * np.mean(scores)
        left += sign * outs.mean(0)
        each += sign * dices.mean(0)
        per_variant.append((sign * np.array(scores), sign * outs, sign * dices, repeats))
    if paired:
        (one, *of_one, repeats), (other, *of_other, _) = per_variant
        per_variant = [(one + other, of_one[0] + of_other[0], of_one[1] + of_other[1], repeats)]
    size = np.array([len(lesion) if t > 0 else len(free) for t in truth])
    heavy = (weight**2).sum() * share**2
    even = each.var(ddof=1) * heavy + (len(free) * alarm.var(ddof=1) if len(free) > 1 else 0)
    patient = 0.75 * ((size - 1) / size * left**2).sum() + 0.25 * even
    for scores, outs, dices, repeats in per_variant:
        repeat.append(np.var(scores, ddof=1) / repeats if repeats > 1 else 0.0)
        if repeats > 1:
            apart = dices - dices.mean(1, keepdims=True)
            joint += 0.75 * ((size - 1) / size * outs.var(0, ddof=1)).sum() / repeats
            joint += 0.25 * heavy * apart.var(0, ddof=1).sum() / (repeats * (len(lesion) - 1))
    return value, patient, repeat, joint, 1 / (weight**2).sum()


def error_of(patient, repeat, joint):
    return math.sqrt(variance_of(patient, repeat, joint))


@pytest.mark.parametrize(
    ("repeats", "lesion", "free"), [(1, 5, 3), (1, 4, 0), (1, 6, 1), (3, 5, 2), (8, 13, 6)]
)
def test_one_variant_is_what_the_formulas_give(repeats, lesion, free):
    a = counts(np.random.default_rng(repeats + lesion), repeats, lesion, free)
    found = pooled_interval(*a)
    value, patient, repeat, joint, effective = by_hand([a], [1])
    assert found.value == pytest.approx(value)
    assert found.patient_variance == pytest.approx(patient)
    assert found.joint_variance == pytest.approx(joint)
    assert found.effective_patients == pytest.approx(effective)
    error, limit = error_of(patient, repeat, joint), limit_of(patient, repeat, lesion, [repeats])
    half = limit * error / (value * (1 - value))
    logit = math.log(value / (1 - value))
    assert found.low == pytest.approx(1 / (1 + math.exp(-(logit - half))))
    assert found.high == pytest.approx(1 / (1 + math.exp(-(logit + half))))
    assert (found.error, found.patients, found.repeats) == (pytest.approx(error), lesion, (repeats,))
    assert found.p is None and found.reason is None


@pytest.mark.parametrize(
    ("of_a", "of_b", "lesion", "free", "paired"),
    [(3, 3, 5, 2, False), (2, 6, 7, 0, False), (10, 4, 13, 5, False), (5, 5, 5, 2, True), (6, 6, 7, 0, True)],
)
def test_a_difference_is_what_the_formulas_give(of_a, of_b, lesion, free, paired):
    rng = np.random.default_rng(of_a + lesion)
    a = counts(rng, of_a, lesion, free, good=0.8)
    b = counts(rng, of_b, lesion, free, good=0.6)
    b = (np.minimum(b[0], a[2][:1]), np.minimum(b[0], a[2][:1]) + 5, np.repeat(a[2][:1], of_b, axis=0))
    found = pooled_difference(a, b, paired)
    value, patient, repeat, joint, effective = by_hand([a, b], [1, -1], paired)
    error = error_of(patient, repeat, joint)
    parts = (patient, repeat, lesion, [of_a] if paired else [of_a, of_b])
    half = limit_of(*parts) * error
    assert found.value == pytest.approx(value)
    assert found.patient_variance == pytest.approx(patient)
    assert found.repeat_variance == pytest.approx(repeat)
    assert found.joint_variance == pytest.approx(joint)
    assert found.effective_patients == pytest.approx(effective)
    assert (found.low, found.high) == (pytest.approx(value - half), pytest.approx(value + half))
    assert limit_of(*parts, found.p) == pytest.approx(abs(value) / error)
    assert (found.p < 0.05) is (found.low > 0 or found.high < 0)


@pytest.mark.parametrize("alarm", [0, 240, 10_000])
def test_false_alarms_do_not_hide_that_an_interval_rests_on_few_lesions(alarm):
    """Shares 20, 1, 1, 1 and 1 of 24: 24^2 / (20^2 + 4) = 1.43. Ten alarms of 240 had made 3.2 of it."""
    truth = np.array([2000, 100, 100, 100, 100] + [0] * 10)
    pred = np.where(truth > 0, truth, alarm)
    overlap = np.round(truth * np.linspace(0.5, 0.9, 15))
    found = pooled_interval(overlap, pred, truth)
    assert found.effective_patients == pytest.approx(576 / 404)
    repeats = [np.tile(each, (2, 1)) for each in (overlap, pred, truth)]
    assert pooled_difference(repeats, repeats).effective_patients == pytest.approx(576 / 404)


@given(seed=st.integers(0, 10_000), lesion=st.integers(2, 9), free=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_effective_patients_are_lesion_patients_alone_and_never_more_than_these(seed, lesion, free):
    overlap, pred, truth = counts(np.random.default_rng(seed), 2, lesion, free)
    for kind in ("dice", "jaccard"):
        found = pooled_interval(overlap, pred, truth, metric=kind).effective_patients
        assert 1 <= found <= lesion + 1e-9
        alone = pooled_interval(*(each[:, :lesion] for each in (overlap, pred, truth)), metric=kind)
        assert alone.effective_patients == pytest.approx(found)


def test_the_mean_of_patients_by_hand():
    """Two patients, two repeats: a 0.9 0.5 / 0.7 0.5, b 0.4 0.2 / 0.4 0.4; the mean of a less that of b is 0.3."""
    a, b = [[0.9, 0.5], [0.7, 0.5]], [[0.4, 0.2], [0.4, 0.4]]
    found = mean_difference(a, b)
    assert found.value == pytest.approx(0.3)
    # Patients: 0.8 - 0.4 and 0.5 - 0.3, that is 0.4 and 0.2; variance 0.02, over 2 patients.
    assert found.patient_variance == pytest.approx(0.01)
    # Repeats: a 0.7 and 0.6, b 0.3 and 0.4: variance 0.005 each, over 2 repeats.
    assert found.repeat_variance == pytest.approx((0.0025, 0.0025))
    # Within a repeat about its mean: a +-0.2, +-0.1; b +-0.1, 0: variances 0.005 twice, 0.005 twice; / (2 x 2 x 1).
    assert found.joint_variance == pytest.approx(2 * (0.005 + 0.005) / 4)
    assert found.p is None and found.reason == "no p from 2 patients, 4 are needed"


def test_jaccard_of_one_patient_alike_is_that_of_dice():
    """J = D / (2 - D) where one number stands for all; the value of several is pooled over pixels."""
    a = counts(np.random.default_rng(3), 1)
    dice, jaccard = pooled_interval(*a), pooled_interval(*a, metric="jaccard")
    assert jaccard.value == pytest.approx(dice.value / (2 - dice.value))


@given(seed=st.integers(0, 10_000), scale=st.integers(2, 9))
@settings(max_examples=40, deadline=None)
def test_order_of_patients_and_repeats_and_the_size_of_a_pixel_change_nothing(seed, scale):
    rng = np.random.default_rng(seed)
    a, b = counts(rng), counts(rng)
    b = (np.minimum(b[0], a[2]), np.minimum(b[0], a[2]) + 3, a[2])
    found = pooled_difference(a, b)
    order, turn = rng.permutation(9), rng.permutation(4)
    moved = pooled_difference(
        tuple(each[turn][:, order] * scale for each in a), tuple(each[:, order] * scale for each in b)
    )
    assert (moved.value, moved.low, moved.high, moved.p) == pytest.approx(
        (found.value, found.low, found.high, found.p)
    )
    turned = pooled_difference(b, a)
    assert (turned.value, turned.low, turned.high, turned.p) == pytest.approx(
        (-found.value, -found.high, -found.low, found.p)
    )


def test_what_does_not_exist_is_none_with_its_reason():
    one = pooled_interval([5, 0], [6, 0], [8, 0])
    assert (one.value, one.low) == (10 / 14, None) and "2 patients with lesion, and there is 1" in one.reason
    none = pooled_interval([0, 0], [0, 0], [0, 0])
    assert (none.value, none.low) == (None, None) and "there are 0" in none.reason
    missed = pooled_interval([0, 0, 0], [0, 0, 0], [5, 6, 7])
    assert (missed.value, missed.low) == (0.0, None) and "scores 0" in missed.reason
    perfect = pooled_interval([5, 6], [5, 6], [5, 6])
    assert (perfect.value, perfect.low) == (1.0, None) and "scores 1" in perfect.reason
    alike = pooled_interval([5, 5, 5], [10, 10, 10], [10, 10, 10])
    assert (alike.value, alike.low, alike.high) == (0.5, None, None) and alike.reason == NOTHING_VARIES
    even = pooled_interval([[0, 10], [10, 0]], [[10, 10]] * 2, [[10, 10]] * 2)  # nor do these two means vary
    assert (even.value, even.low, even.high) == (0.5, None, None) and even.reason == NOTHING_VARIES
    assert mean_of_patients([[0.0, 1.0], [1.0, 0.0]], share=True) == replace(even, effective_patients=None)
    a = counts(np.random.default_rng(0), 1)
    single = pooled_difference(a, a)
    assert (single.value, single.low) == (0.0, None) and "at least 2 of both variants" in single.reason
    same = counts(np.random.default_rng(1), 3)
    equal = pooled_difference(same, tuple(np.repeat(each[:1], 3, axis=0) for each in same))
    assert equal.p is not None and equal.low < equal.value < equal.high
    still = tuple(np.repeat(each[:1], 3, axis=0) for each in same)
    assert (pooled_difference(still, still).value, pooled_difference(still, still).p) == (0.0, None)


def test_intervals_of_a_difference_end_where_differences_end():
    a, b = [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    free, held = mean_difference(a, b), mean_difference(a, b, bounds=(-1, 1))
    assert free.low < -1 and free.high > 1
    assert (held.low, held.high) == (-1, 1)
    size = np.full((2, 3), 100)
    of_pooled = pooled_difference(([[99, 0, 99], [0, 99, 99]], size, size), ([[0, 9, 0]] * 2, size, size))
    assert of_pooled.low > -1 and of_pooled.high == 1


@given(st.integers(0, 10_000), st.sampled_from([1e-14, 1e-6, 1e8]))
@settings(max_examples=20, deadline=None)
def test_the_unit_of_a_score_decides_no_p(seed, unit):
    """What is rounding depends on how large the scores are: metres or micrometres, the test is the same."""
    a, b = np.random.default_rng(seed).random((2, 3, 6))
    found, other = mean_difference(a, b), mean_difference(a * unit, b * unit)
    assert (other.value, other.low, other.high) == pytest.approx(
        (found.value * unit, found.low * unit, found.high * unit), rel=1e-9, abs=0
    )
    assert other.p == pytest.approx(found.p)
    # What lies 0.1 higher for every patient differs by rounding alone, and what varies by a billionth does vary.
    alike = np.tile(b[0], (2, 1))
    higher = alike + 0.1
    assert mean_difference(higher * unit, alike * unit).reason == NOTHING_VARIES
    below = np.tile([-0.3, -0.1 - 0.2], (2, 3))
    assert mean_difference(np.zeros((2, 6)), below * unit).reason == NOTHING_VARIES
    slightly = higher + np.linspace(0, 1e-9, 6)
    assert mean_difference(slightly * unit, alike * unit).reason is None


def test_of_what_is_pooled_rounding_does_not_count_as_spread():
    """Lesions of seven sizes, in ml, of which each model outlines the same share: floating point leaves 1e-32."""
    size = np.tile([37.0, 211, 90, 153, 64, 55, 121], (2, 1))
    a, b = ((share * size, size, size) for share in (0.7, 0.6))
    assert pooled_interval(*a).reason == pooled_difference(a, b).reason == NOTHING_VARIES
    assert 0 < pooled_difference(a, b).patient_variance < 1e-30
    slightly = a[0] * (1 + np.linspace(0, 1e-9, 7)), size, size
    assert pooled_interval(*slightly).reason is pooled_difference(slightly, b).reason is None


def test_coverage_and_level_in_simulation():
    """200 studies of 8 lesion patients and 3 repeats; benchmarks/validity.py has the figures of thousands."""
    covered, rejected = 0, 0
    for study in range(200):
        rng = np.random.default_rng([11, study])
        size = np.exp(rng.normal(5, 1, 8))
        level = 1 + rng.normal(0, 0.8, 8)
        sides = []
        for _ in range(2):
            logit = level + rng.normal(0, 0.25, 8) + rng.normal(0, 0.3, (3, 1)) + rng.normal(0, 0.3, (3, 8))
            dice = 1 / (1 + np.exp(-logit))
            truth = np.repeat(size[None], 3, axis=0)
            sides.append((dice * truth, truth, truth))
        rejected += pooled_difference(*sides).p < 0.05
        found = pooled_interval(*sides[0])
        covered += found.low < 0.7037 < found.high  # the mean of expit(1 + N(0, 0.8^2 + 0.25^2 + 2 x 0.3^2))
    assert 0.91 <= covered / 200 <= 0.995
    assert rejected / 200 <= 0.085


def test_the_interval_of_jaccard_covers_too():
    """400 models on 8 lesion patients of like size and 4 others; the truth is that of Dice by J = D / (2 - D)."""
    dice = 0.7070  # the mean of expit(1 + N(0, 0.8^2))
    alarms = 0.4 * 0.1 / 2  # per patient with lesion: 4 in 10 of half as many others mark a tenth of a lesion
    truth = 2 * dice / (2 + alarms)
    truth /= 2 - truth
    covered = 0
    for study in range(400):
        rng = np.random.default_rng([12, study])
        own = 1 / (1 + np.exp(-1 - rng.normal(0, 0.8, 8)))
        lesion = np.concatenate([np.ones(8), np.zeros(4)])
        alarm = np.concatenate([np.zeros(8), 0.1 * (rng.random(4) < 0.4)])
        found = pooled_interval(np.concatenate([own, np.zeros(4)]), lesion + alarm, lesion, metric="jaccard")
        covered += found.low < truth < found.high
    assert 0.925 <= covered / 400 <= 0.98
