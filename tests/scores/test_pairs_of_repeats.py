"""Repeats that are compared in pairs, since they shared their seeds: by hand, and what pairs are good for."""

import numpy as np
import pandas as pd
import pytest

from hnscc.scores.crossed import mean_difference, pooled_difference


def test_the_mean_of_pairs_of_repeats_by_hand():
    """Five pairs, two patients: a less b is 0.4 0.2 / 0.2 0.2 / 0.3 0.3 / 0.3 0.1 / 0.3 0.2."""
    b = np.array([[0.1, 0.5], [0.3, 0.3], [0.2, 0.1], [0.4, 0.2], [0.6, 0.7]])
    apart = np.array([[0.4, 0.2], [0.2, 0.2], [0.3, 0.3], [0.3, 0.1], [0.3, 0.2]])
    found = mean_difference(b + apart, b, paired=True)
    assert found.value == pytest.approx(0.25)
    # Patients: 0.3 and 0.2; variance 0.005, over 2 patients.
    assert found.patient_variance == pytest.approx(0.0025)
    # Pairs: 0.3, 0.2, 0.3, 0.2, 0.25; variance 0.01 / 4, over 5 pairs.
    assert found.repeat_variance == pytest.approx((0.0005,))
    # Within a pair about its mean +-0.1, 0, 0, 0.1, 0.05: variance 0.01 / 4 for both patients; / (5 x 2 x 1).
    assert found.joint_variance == pytest.approx(2 * 0.0025 / 10)


def test_pairs_help_where_seeds_are_shared():
    """A training's luck that both variants have in common is no doubt about their difference."""
    rng = np.random.default_rng(5)
    luck = rng.normal(0, 0.1, (10, 1))
    patients = rng.normal(0.6, 0.05, (1, 30))
    a = patients + luck + rng.normal(0, 0.01, (10, 30)) + 0.05
    b = patients + luck + rng.normal(0, 0.01, (10, 30))
    apart, paired = mean_difference(a, b), mean_difference(a, b, paired=True)
    assert paired.value == apart.value
    assert paired.high - paired.low < 0.2 * (apart.high - apart.low)
    assert paired.p < 0.001 < apart.p


def test_pooled_pairs_match_by_number_and_label_or_are_refused():
    a = [pd.DataFrame(np.full((5, 3), each)) for each in (3.0, 4.0, 5.0)]
    b = [pd.DataFrame(np.full((5, 3), each), index=range(4, -1, -1)) for each in (2.0, 4.0, 5.0)]
    assert pooled_difference(a, b).value == pytest.approx(1 / 9 * 2)
    with pytest.raises(ValueError, match="label the same repeats in the same order"):
        pooled_difference(a, b, paired=True)
    with pytest.raises(ValueError, match="at least 5: a has 4, b has 4"):
        pooled_difference(*[[each[:4].to_numpy() for each in side] for side in (a, b)], paired=True)
