"""Scores against hand-computed values, scikit-learn and MONAI, on random and degenerate masks."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hnscc.scores.counts import (
    CONVENTIONS,
    Counts,
    classify,
    concatenate,
    count,
    k_reached,
    misplaced,
    outcomes,
    positive,
    stack,
)
from hnscc.scores.metrics import DICE, JACCARD, METRICS, dice, jaccard


def counts(*cases: tuple[int, int, int]) -> Counts:
    """Counts of (overlap, pred, truth) triples."""
    return Counts(*(np.array(part) for part in zip(*cases, strict=True)))


def random_masks(seed: int, cases: int = 12, side: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true masks: random ones, then both empty, one empty, both full, disjoint."""
    rng = np.random.default_rng(seed)
    pred, truth = (rng.random((cases, side, side)) < rng.random((cases, 1, 1)) for _ in range(2))
    pred[0], truth[0] = False, False
    pred[1], truth[2] = False, False
    pred[3], truth[3] = True, True
    pred[4], truth[4] = ~truth[4], truth[4]
    return pred, truth


def test_hand_computed_scores():
    assert dice(3, 4, 6) == pytest.approx(0.6)
    assert jaccard(3, 4, 6) == pytest.approx(3 / 7)
    assert dice(np.array([0, 0, 2]), np.array([0, 5, 2]), np.array([0, 0, 2])).tolist() == [1.0, 0.0, 1.0]
    assert jaccard(np.array([0, 0, 2]), np.array([0, 5, 2]), np.array([0, 0, 2])).tolist() == [1.0, 0.0, 1.0]
    assert dice(0, 0, 0).dtype == np.float64


def test_count_and_pooling_by_hand():
    pred = np.array([[[1, 1], [0, 0]], [[0, 0], [0, 0]]], bool)
    truth = np.array([[[1, 0], [1, 0]], [[0, 0], [0, 0]]], bool)
    found = count(pred, truth)
    assert (found.overlap.tolist(), found.pred.tolist(), found.truth.tolist()) == ([1, 0], [2, 0], [2, 0])
    assert found.empty.tolist() == [False, True]
    assert DICE.of(found).tolist() == [0.5, 1.0]
    assert float(JACCARD.of(found.pooled())) == pytest.approx(1 / 3)
    both = concatenate([found, found]).by_group(np.array([0, 1, 1, 0]), 3)
    assert (both.overlap.tolist(), both.truth.tolist()) == ([1, 1, 0], [2, 2, 0])


def test_repeats_are_pooled_each_for_itself():
    repeats = stack([counts((1, 2, 3), (4, 5, 6), (7, 8, 9)), counts((0, 1, 3), (0, 0, 6), (2, 2, 9))], 3)
    assert repeats.pooled().pred.tolist() == [15, 3]
    grouped = repeats.by_group(np.array([1, 0, 1]), 2)
    assert (grouped.overlap.tolist(), grouped.truth.tolist()) == ([[4, 8], [0, 2]], [[6, 12], [6, 12]])
    assert repeats[np.array([False, True, True])].pred.tolist() == [[5, 8], [0, 2]]
    assert stack([], 3).by_group(np.array([1, 0, 1]), 2).truth.shape == (0, 2)


@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_scikit_learn(sklearn, seed):
    pred, truth = random_masks(seed)
    found = count(pred, truth)
    for case in range(len(pred)):
        p, t = pred[case].ravel(), truth[case].ravel()
        assert DICE.of(found)[case] == pytest.approx(
            sklearn.metrics.f1_score(t, p, zero_division=1.0), abs=1e-12
        )
        assert JACCARD.of(found)[case] == pytest.approx(
            sklearn.metrics.jaccard_score(t, p, zero_division=1.0), abs=1e-12
        )
    assert float(DICE.of(found.pooled())) == pytest.approx(
        sklearn.metrics.f1_score(truth.ravel(), pred.ravel()), abs=1e-12
    )
    assert float(JACCARD.of(found.pooled())) == pytest.approx(
        sklearn.metrics.jaccard_score(truth.ravel(), pred.ravel()), abs=1e-12
    )


def test_scores_agree_with_monai():
    import torch
    from monai.metrics import compute_dice, compute_iou

    pred, truth = random_masks(5)
    found = count(pred, truth)
    tensors = [torch.from_numpy(each[:, None].astype(np.float32)) for each in (pred, truth)]
    their_dice = compute_dice(*tensors, ignore_empty=False).numpy().ravel()
    np.testing.assert_allclose(DICE.of(found), their_dice, atol=1e-6)
    their_jaccard = compute_iou(*tensors, ignore_empty=False).numpy().ravel()
    np.testing.assert_allclose(JACCARD.of(found), their_jaccard, atol=1e-6)
    assert found.empty.sum() == 1 and JACCARD.of(found)[found.empty] == 1


@given(st.integers(0, 65535), st.integers(1, 1000))
@settings(max_examples=200, deadline=None)
def test_positive_is_exactly_probability_at_or_above_threshold(level, k):
    found = positive(np.array([level], np.uint16), k)[0]
    assert found == (Fraction(level, 65535) >= Fraction(k, 1000))
    assert (k_reached(np.array([level], np.uint16))[0] >= k) == found


def test_positive_at_the_edges():
    levels = np.array([0, 32767, 32768, 65534, 65535], np.uint16)
    assert positive(levels, 500).tolist() == [False, False, True, True, True]
    assert positive(levels, 1000).tolist() == [False, False, False, False, True]
    with pytest.raises(ValueError, match="uint16"):
        positive(levels.astype(float), 500)
    with pytest.raises(ValueError, match="1001"):
        positive(levels, 1001)


# (overlap, pred, truth) at a cut-off of 9 pixels, with the outcome by each convention
CASES = [
    ((9, 9, 9), "tp", "tp", "tp"),
    ((0, 9, 9), "tp", "fn", "fp"),  # misplaced
    ((1, 40, 9), "tp", "tp", "tp"),
    ((8, 8, 9), "fn", "fn", "fn"),
    ((8, 9, 8), "fp", "fp", "fp"),  # truth below the cut-off counts as negative
    ((8, 8, 8), "tn", "tn", "tn"),
    ((0, 0, 0), "tn", "tn", "tn"),
    ((0, 0, 9), "fn", "fn", "fn"),
]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_outcomes_by_hand(convention):
    found = outcomes(counts(*(case[0] for case in CASES)), 9, convention)
    assert found.tolist() == [case[1 + CONVENTIONS.index(convention)] for case in CASES]


def test_misplaced_and_small_truth_are_counted():
    found = counts(*(case[0] for case in CASES))
    assert misplaced(found, 9).tolist() == [False, True] + [False] * 6
    classified = classify(found, 9, "lesion")
    assert (classified.misplaced, classified.small_truth) == (1, 2)
    assert (classified.tp, classified.tn, classified.fp, classified.fn) == (2, 2, 1, 3)


def test_slice_convention_is_the_confusion_matrix_of_pixel_counts(sklearn):
    rng = np.random.default_rng(1)
    pred, truth = rng.integers(0, 20, (2, 200))
    found = classify(Counts(np.minimum(pred, truth), pred, truth), 9, "slice")
    tn, fp, fn, tp = sklearn.metrics.confusion_matrix(truth >= 9, pred >= 9).ravel()
    assert (found.tn, found.fp, found.fn, found.tp) == (tn, fp, fn, tp)


# Published Table 3, if 33 of the 66 slices hold lesion: tp, tn, fp, fn, how many were misplaced, and the
# rates of the three conventions.
PUBLISHED = {
    "pet": ((18, 23, 19, 6), 9, {"overlap": (0.75, 0.55, 0.62), "lesion": 0.55, "slice": 0.82}),
    "pet_mri": ((20, 27, 13, 6), 7, {"overlap": (0.77, 0.68, 0.71), "lesion": 0.61, "slice": 0.82}),
    "augmented": ((17, 26, 8, 15), 1, {"overlap": (0.53, 0.77, 0.65), "lesion": 0.52, "slice": 0.55}),
}


@pytest.mark.parametrize("row", PUBLISHED)
def test_published_table_3(row):
    (tp, tn, fp, fn), astray, expected = PUBLISHED[row]
    kinds = [((9, 9, 9), tp), ((0, 0, 0), tn), ((0, 9, 0), fp - astray), ((0, 0, 9), fn), ((0, 9, 9), astray)]
    found = counts(*(triple for triple, times in kinds for _ in range(times)))
    paper = classify(found, 9, "overlap")
    assert (paper.tp, paper.tn, paper.fp, paper.fn, paper.misplaced) == (tp, tn, fp, fn, astray)
    # 0.0054, not 0.005: the published specificity 26 / 34 = 0.7647 is given as 0.77.
    assert (paper.sensitivity, paper.specificity, paper.accuracy) == pytest.approx(
        expected["overlap"], abs=0.0054
    )
    for convention in ("lesion", "slice"):
        assert classify(found, 9, convention).sensitivity == pytest.approx(expected[convention], abs=0.0051)


def test_rates_without_a_denominator_are_none():
    no_positive = classify(counts((0, 0, 0)), 9, "slice")
    assert (no_positive.sensitivity, no_positive.specificity, no_positive.accuracy) == (None, 1.0, 1.0)
    no_negative = classify(counts((9, 9, 9)), 9, "slice")
    assert (no_negative.sensitivity, no_negative.specificity) == (1.0, None)
    assert classify(counts((9, 9, 9))[np.array([False])], 9, "slice").accuracy is None


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metric_keeps_its_own_promises(metric):
    """The value of empty masks, the range, and the best value of a perfect prediction."""
    assert METRICS[metric.name] is metric
    assert float(metric.function(0, 0, 0)) == metric.empty_value
    rng = np.random.default_rng(0)
    pred, truth = rng.integers(0, 30, (2, 500))
    found = metric.of(Counts(rng.integers(0, np.minimum(pred, truth) + 1), pred, truth))
    lowest, highest = metric.range
    assert found.dtype == np.float64 and lowest <= found.min() and found.max() <= highest
    assert float(metric.function(7, 7, 7)) == (highest if metric.higher_is_better else lowest)
