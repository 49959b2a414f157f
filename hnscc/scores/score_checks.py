"""Checks of what the statistics of patients by repeats are given, before anything is computed from it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hnscc.base import fewest
from hnscc.base.arrays import Bools, Floats
from hnscc.scores.metrics import Fraction

Counts3 = tuple[ArrayLike, ArrayLike, ArrayLike]  # pixels of overlap, prediction and truth
MOST_PIXELS = 2**53  # beyond it, sums in float64 lose whole pixels
LARGEST_SCORE = 1e75  # the degrees of freedom take fourth powers, which overflow float64 beyond it


def fractions_of(counts: Counts3, fraction: Fraction) -> tuple[Floats, Floats, Floats]:
    """Return numerator and denominator (R, P) of the pooled score, and each patient's truth (P,), float64.

    counts: overlap, prediction and truth, each of real numbers, (P,) or (R, P), from 0 to 2^53, in pixels or ml. Raises
    ValueError for others, for masked arrays, for tables whose labels differ, for more overlap than prediction or truth,
    and for a truth that differs between repeats.
    """
    check_labels(*counts, repeats=True)
    overlap, pred, truth = (np.atleast_2d(_numbers(each, "counts")) for each in counts)
    if not overlap.shape == pred.shape == truth.shape or overlap.ndim != 2:
        raise ValueError(
            "counts must be of one shape, (P,) or (R, P), which a row of truth for every repeat has: overlap is "
            f"{overlap.shape}, prediction {pred.shape}, truth {truth.shape}; give a column for each patient"
        )
    counted = {"overlap": overlap, "prediction": pred, "truth": truth}
    _check_each(
        ~np.isfinite(overlap + pred + truth) | (np.minimum(np.minimum(overlap, pred), truth) < 0),
        counted,
        "counts must be finite, and not negative",
        "leave out patients that have none",
    )
    _check_each(
        np.maximum(pred, truth) > MOST_PIXELS,
        counted,
        f"counts must be at most {MOST_PIXELS:.1e}",
        "give them in pixels, or in ml instead of mm3",
    )
    _check_each(
        overlap > np.minimum(pred, truth),
        counted,
        "overlap must be no more than prediction and truth",
        "give them as overlap, prediction, truth, in pixels",
    )
    lesion = truth > 0
    _check_each(
        lesion != lesion[:1],
        counted,
        "which patients hold lesion must be the same in every repeat",
        "give each the same truth",
    )
    _check_each(
        truth != truth[:1],
        counted,
        "truth must be the same in every repeat",
        "give each the same truth",
    )
    held: Floats = truth[0] if len(truth) else np.zeros(truth.shape[1])
    return *fraction(overlap, pred, truth), held


def scores_of(values: ArrayLike) -> Floats:
    """Return scores, real numbers (P,) or (R, P) in any unit, as float64 (R, P). Raises ValueError for others, for
    scores that are not finite or lie beyond 1e75, and for a masked array that leaves values out."""
    scores = np.atleast_2d(_numbers(values, "scores"))
    if scores.ndim != 2:
        raise ValueError(
            f"scores must be of shape (P,) or (R, P), not {scores.shape}; give a row for each repeat"
        )
    _check_each(
        ~np.isfinite(scores), {"score": scores}, "scores must be finite", "leave out patients that have none"
    )
    _check_each(
        np.abs(scores) > LARGEST_SCORE,
        {"score": scores},
        f"scores must lie within {LARGEST_SCORE:g} of 0",
        "give them scaled down",
    )
    return scores


def check_same_patients(a: Floats, b: Floats) -> None:
    """Raise ValueError unless both, (P,) or (R, P) in any unit, have the same number of patients."""
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"a and b must be of the same patients in the same order, a column each: a has {a.shape[-1]}, b has "
            f"{b.shape[-1]}; leave out those that the other has not"
        )


def check_labels(*given: ArrayLike, repeats: bool = False) -> None:
    """Raise ValueError where tables of pandas have different labels of patients, or the same in another order.

    given: (P,) or (R, P), or a list of R tables (P,), in any unit, whose last axis is that of the patients; arrays have
    no labels. repeats: whether the rows (R,) must match too. NumPy would take the values by position alone, and so
    compare different patients.
    """
    tables = [table.axes for each in given for table in _tables_in(each)]
    rows = [axes[0] for axes in tables if repeats and len(axes) > 1]
    for what, labels in (("patients", [axes[-1] for axes in tables]), ("repeats", rows)):
        for other in labels[1:]:
            if not other.equals(labels[0]):
                raise ValueError(
                    f"tables must label the same {what} in the same order, and their labels differ; bring them into "
                    "one order, by reindex, or give arrays"
                )


def _tables_in(values: ArrayLike) -> list[Any]:
    """Return the tables of pandas among the values, which are one (P,) or (R, P), or a list of rows (P,), in
    any unit."""
    several = values if isinstance(values, list | tuple) else [values]
    return [each for each in several if hasattr(each, "axes")]


def check_bounds(bounds: tuple[float, float], value: float) -> None:
    """Raise ValueError unless `value` lies within these bounds, the lower one first."""
    low, high = bounds
    if not low <= value <= high:
        raise ValueError(
            f"bounds must be the least and the most that the difference can be: {value:g} was found, and they are "
            f"{low:g} and {high:g}; give them in what the scores are measured in, or leave them out"
        )


def _numbers(values: ArrayLike, what: str) -> Floats:
    """Return the values as a float64 array of the same shape (...), in any unit. what: their name in the ValueError.
    This refuses what NumPy itself would accept: it would use values that a mask leaves out, and convert texts and
    complex numbers."""
    if np.ma.getmaskarray(np.ma.array(values)).any():
        raise ValueError(
            f"{what} must not be masked, for patients have one in every repeat or none; leave out those that "
            "have none"
        )
    given = np.asarray(values)
    if given.dtype.kind not in "biuf" and given.size:
        raise ValueError(f"{what} must be real numbers, not of dtype {given.dtype}; give an array of float64")
    return given.astype(np.float64)


def _check_each(wrong: Bools, values: Mapping[str, Floats], expected: str, do: str) -> None:
    """Raise ValueError with the first position that is wrong, and the values there. wrong: bool (R, P). values: arrays
    (R, P), each in its own unit."""
    for repeat, patient in np.argwhere(wrong)[:1].tolist():
        found = ", ".join(f"{name} {each[repeat, patient]:g}" for name, each in values.items())
        where = f"in repeat {repeat}, patient {patient} (both counted from 0)"
        raise ValueError(f"{expected}, and {where} there is {found}; {do}")


def check_flag(name: str, flag: object) -> None:
    """Raise ValueError unless the flag is True or False: Python takes any text for true."""
    if not isinstance(flag, bool | np.bool_):
        raise ValueError(f"{name} is True or False, not {flag!r}; give one of both")


def check_pairs(paired: bool, repeats: tuple[int, int]) -> None:
    """Raise ValueError unless the numbers of repeats fit `paired`."""
    check_flag("paired", paired)
    if paired and (repeats[0] != repeats[1] or repeats[0] < fewest.PAIRED_REPEATS):
        raise ValueError(
            f"paired repeats match by number, and there are at least {fewest.PAIRED_REPEATS}: a has {repeats[0]}, b "
            f"has {repeats[1]}; give the same repeats of both, or compare them with paired=False"
        )
