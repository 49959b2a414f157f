"""What the statistics of patients by trainings do not take is refused with where it stands and what to do."""

import numpy as np
import pandas as pd
import pytest

from hnscc.scores.better import chance_of_better
from hnscc.scores.crossed import mean_difference, pooled_difference, pooled_interval


@pytest.mark.parametrize(
    ("a", "b", "paired", "message"),
    [
        ([[1.0, 2.0]], [[1.0]], False, "same patients .*: a has 2, b has 1; leave out"),
        ([[1.0, float("nan")]], [[1.0, 1.0]], False, "finite.* repeat 0, patient 1 .* score nan; leave"),
        ([[[1.0]]], [[1.0, 1.0]], False, r"of shape \(P,\) or \(R, P\), not \(1, 1, 1\)"),
        ([[1.0, 2.0]] * 6, [[1.0, 1.0]] * 5, True, "match by number.*a has 6, b has 5; .*paired=False"),
        ([[1.0, 2.0]] * 4, [[1.0, 1.0]] * 4, True, "at least 5"),
        (np.ma.masked_less([[0.1, 0.4]], 0.3), [[1.0, 1.0]], False, "scores must not be masked.*leave out"),
        ([np.ma.masked_less([0.1, 0.4], 0.3)], [[1.0, 1.0]], False, "scores must not be masked.*leave out"),
        ([["1", "2"]], [[1.0, 1.0]], False, "scores must be real numbers, not of dtype <U1; give"),
        (
            [[1.0, -1e76]],
            [[1.0, 1.0]],
            False,
            r"within 1e\+75 of 0.*patient 1 .* score -1e\+76; give them scaled",
        ),
        ([[1j, 2.0]], [[1.0, 1.0]], False, "scores must be real numbers, not of dtype complex128; give"),
    ],
)
def test_scores_that_cannot_be_compared_are_refused(a, b, paired, message):
    with pytest.raises(ValueError, match=message):
        mean_difference(a, b, paired)


def test_a_masked_array_that_leaves_nothing_out_is_an_array():
    scores = np.array([[0.1, 0.4, 0.2, 0.9], [0.2, 0.5, 0.2, 0.7]])
    assert mean_difference(np.ma.array(scores), scores) == mean_difference(scores, scores)


def test_the_largest_scores_give_an_interval_of_their_size():
    """Above, squares and fourth powers overflowed: "Numerical result out of range", a traceback."""
    a, b = np.array([[1.0, 0.4, 0.2, 0.9], [0.2, 0.5, 0.2, 0.7]]), np.full((2, 4), 0.1)
    small, large = mean_difference(a, b), mean_difference(a * 1e75, b * 1e75)
    assert large.low == pytest.approx(small.low * 1e75) and large.p == pytest.approx(small.p)


@pytest.mark.parametrize("bounds", [(1.0, -1.0), (-0.2, 0.2), (float("nan"), 1.0), (-1.0, float("nan"))])
def test_bounds_that_do_not_hold_the_difference_are_refused(bounds):
    """The interval was clipped to them: (1, -1) gave one from 1 to -1."""
    with pytest.raises(ValueError, match=r"bounds must be.*: 0\.5 was found, and they are .*leave them out"):
        mean_difference([[0.5, 1.0]] * 2, [[0.0, 0.5]] * 2, bounds=bounds)


NAMES = ["P1", "P2", "P3", "P4", "P5"]
SCORES = np.random.default_rng(3).random((5, 5))


@pytest.mark.parametrize("compare", [mean_difference, chance_of_better])
def test_tables_of_patients_in_another_order_are_refused(compare):
    """They were compared by place: the scores of P1 with those of P5, and an interval several times too wide."""
    a = pd.DataFrame(SCORES, columns=NAMES)
    b = pd.DataFrame(SCORES + 0.1, columns=NAMES)
    assert compare(a, b) == compare(a, SCORES + 0.1) == compare(SCORES, SCORES + 0.1)
    for other in (
        b[NAMES[::-1]],
        b.rename(columns={"P5": "P6"}),
        [row[NAMES[::-1]] for _, row in b.iterrows()],
    ):
        with pytest.raises(ValueError, match=r"label the same patients in the same order.*by reindex"):
            compare(a, other)


def test_rows_of_tables_match_where_repeats_are_paired():
    a, b = pd.DataFrame(SCORES), pd.DataFrame(SCORES[::-1] + 0.1, index=range(4, -1, -1))
    assert mean_difference(a, b) == mean_difference(SCORES, SCORES[::-1] + 0.1)
    with pytest.raises(ValueError, match="label the same repeats in the same order"):
        mean_difference(a, b, paired=True)
    assert mean_difference(a, b.reindex(a.index), paired=True) == mean_difference(
        SCORES, SCORES + 0.1, paired=True
    )


def test_counts_in_tables_of_another_order_are_refused():
    counts = pd.DataFrame(
        {"overlap": [3.0, 2, 1], "pred": [4.0, 5, 6], "truth": [4.0, 6, 8]}, index=NAMES[:3]
    )
    columns = [counts[name] for name in counts]
    assert pooled_interval(*columns) == pooled_interval(*counts.to_numpy().T)
    with pytest.raises(ValueError, match="label the same patients"):
        pooled_interval(columns[0][::-1], *columns[1:])
    with pytest.raises(ValueError, match="label the same patients"):
        pooled_difference(columns, [each[::-1] for each in columns])


@pytest.mark.parametrize(
    ("counted", "message"),
    [
        (
            (np.ma.masked_equal([1, 0], 0), [1, 0], [1, 2]),
            "counts must not be masked.*leave out those that have none",
        ),
        (([1, 2], [1], [1, 2]), r"one shape.*prediction \(1, 1\), truth \(1, 2\)"),
        (
            ([2, 3], [2, 2], [4, 4]),
            "overlap must be no more.*repeat 0, patient 1 .* overlap 3, prediction 2, truth 4; give",
        ),
        (([1, 1], [2, 2], [2, 1e17]), r"at most 9\.0e\+15.*patient 1 .* truth 1e\+17; give them in pixels"),
        (([-1, 0], [2, 2], [4, 4]), "not negative.*patient 0 .* overlap -1, .*; leave out"),
        (
            ([0, 0], [2, -2], [4, 0]),
            "not negative.*patient 1 .* overlap 0, prediction -2, truth 0; leave out",
        ),
        (
            ([[1, 1], [1, 0]], [[2, 2], [2, 2]], [[4, 4], [4, 0]]),
            "same in every repeat.*repeat 1, patient 1 .*, truth 0; give each the same truth",
        ),
        (
            ([[1, 1], [1, 1]], [[2, 2], [2, 2]], [[4, 4], [4, 5]]),
            "truth must be the same in every repeat.*repeat 1, patient 1 .*, truth 5; give",
        ),
    ],
)
def test_counts_that_cannot_be_are_refused(counted, message):
    with pytest.raises(ValueError, match=message):
        pooled_interval(*counted)


def test_variants_of_other_patients_are_refused_and_the_patient_is_named():
    counted = [np.array([[1, 1, 0]] * 2), np.array([[2, 2, 2]] * 2)]
    with pytest.raises(ValueError, match=r"same patients.*patient 2 .* holds lesion in b alone; give both"):
        pooled_difference((*counted, np.array([[4, 4, 0]] * 2)), (*counted, np.array([[4, 4, 4]] * 2)))
    fewer = tuple(each[:, :2] for each in (*counted, counted[1]))
    with pytest.raises(ValueError, match="a has 3, b has 2"):
        pooled_difference((*counted, counted[1]), fewer)


def test_variants_scored_by_another_truth_are_refused():
    counted = [np.array([[1, 1, 0]] * 2), np.array([[2, 2, 2]] * 2)]
    with pytest.raises(
        ValueError, match=r"same truth: that of patient 1 .* is 4 in a and 3 in b; count both on"
    ):
        pooled_difference((*counted, np.array([[4, 4, 0]] * 2)), (*counted, np.array([[4, 3, 0]] * 2)))
