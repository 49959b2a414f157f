"""What the statistics of patients by repeats are given, checked before anything is computed of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hnscc.base import fewest
from hnscc.base.arrays import Bools, Floats
from hnscc.scores.metrics import Fraction

Counts3 = tuple[ArrayLike, ArrayLike, ArrayLike]  # pixels of overlap, prediction and truth
MOST_PIXELS = 2**53  # beyond it float64 leaves whole pixels out of a sum
LARGEST_SCORE = 1e75  # the degrees of freedom take fourth powers, which float64 does not hold beyond it


def fractions_of(counts: Counts3, fraction: Fraction) -> tuple[Floats, Floats, Floats]:
    """Return numerator and denominator (R, P) of the pooled score, and each patient's truth (P,), float64.

    counts: overlap, prediction and truth, each of real numbers, (P,) or (R, P), from 0 to 2^53, in pixels or
    ml. Raises ValueError for others, for masked arrays, for tables whose labels differ, for more overlap than
    prediction or truth, and for a truth that differs between repeats.
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
    """Return scores, real numbers (P,) or (R, P), whatever measured in, as float64 (R, P). Raises ValueError for
    others, for such as are not finite or lie beyond 1e75, and for a masked array that leaves values out."""
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
    """Raise ValueError unless both, (P,) or (R, P) whatever measured in, have as many patients."""
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"a and b must be of the same patients in the same order, a column each: a has {a.shape[-1]}, b has "
            f"{b.shape[-1]}; leave out those that the other has not"
        )


def check_labels(*given: ArrayLike, repeats: bool = False) -> None:
    """Raise ValueError where tables of pandas label their patients otherwise, or in another order.

    given: (P,) or (R, P), or a list of R tables (P,), whatever measured in, whose last axis is that of the patients;
    arrays label nothing. repeats: whether the rows (R,) must match too. NumPy would take the values by their place
    alone: the scores of one patient for those of another.
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
    """The tables of pandas that were given, alone (P,) or (R, P), or as a list of rows (P,), whatever measured in."""
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
    """What was given as an array, float64, of any shape (...), whatever measured in. `what` is how ValueError names
    it. NumPy itself would take what a mask leaves out for values, and texts and complex numbers for others than
    they are."""
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
    """Raise ValueError with the first place that is wrong, and the values there; wrong, and each of the values, in what
    it is measured in: (R, P)."""
    for repeat, patient in np.argwhere(wrong)[:1].tolist():
        found = ", ".join(f"{name} {each[repeat, patient]:g}" for name, each in values.items())
        where = f"in repeat {repeat}, patient {patient} (both counted from 0)"
        raise ValueError(f"{expected}, and {where} there is {found}; {do}")


def check_flag(name: str, flag: object) -> None:
    """Raise ValueError unless it is True or False: of any text, Python says that it is true."""
    if not isinstance(flag, bool | np.bool_):
        raise ValueError(f"{name} is True or False, not {flag!r}; give one of both")


def check_pairs(paired: bool, repeats: tuple[int, int]) -> None:
    """Raise ValueError unless the repeats are such as `paired` says."""
    check_flag("paired", paired)
    if paired and (repeats[0] != repeats[1] or repeats[0] < fewest.PAIRED_REPEATS):
        raise ValueError(
            f"paired repeats match by number, and there are at least {fewest.PAIRED_REPEATS}: a has {repeats[0]}, b "
            f"has {repeats[1]}; give the same repeats of both, or compare them with paired=False"
        )
