"""How well scans, or patients, with lesion are told from those without.

A scan or a patient is called positive where anything is predicted in it, wherever (or by another rule of the caller).
It also has a score that rises with the evidence for a lesion, such as its highest stored probability or its predicted
ml. Every scan or patient has both, so that none is left out of a rate for lack of a prediction. Rates without a
denominator are None; whether they exist depends on the truth alone (the rule of `empty_masks`).
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from hnscc.base.arrays import Bools, Floats, Integers
from hnscc.base.in_words import count_of


@dataclass(frozen=True)
class Calls:
    """What was predicted for N scans, or for N patients. truth: bool (N,), whether each holds lesion. called: bool
    (N,), whether each was called positive. score: finite floats (N,) in any unit, higher where a lesion is likelier.
    Raises ValueError for arrays of another type or length, and for a score that is not finite."""

    truth: Bools
    called: Bools
    score: Floats

    def __post_init__(self) -> None:
        for name, each in (("truth", self.truth), ("called", self.called)):
            if each.dtype != np.bool_ or each.shape != (len(self.truth),):
                raise ValueError(
                    f"{name} is bool ({len(self.truth)},), not {each.dtype} {each.shape}; give one for each"
                )
        if self.score.shape != self.truth.shape or not np.isfinite(self.score).all():
            raise ValueError(
                f"the score is a finite number of each scan or patient, {len(self.truth)} here; give one that has none "
                "the least"
            )

    def by_patient(self, patient: Integers, patients: int) -> "Calls":
        """Return the calls of the patients to whom these N scans belong. patient: the patient of each scan, int (N,) in
        0..patients-1, with every number at least once.

        A patient holds lesion, or is called positive, if any of the scans does or is; the score is the highest of the
        scans. Raises ValueError where a patient has no scan.
        """
        if not np.array_equal(np.unique(patient), np.arange(patients)):
            raise ValueError(
                f"each of the {count_of(patients, 'patient')} has a scan; number patients from 0 on without a gap"
            )
        truth, called = (np.bincount(patient, each, patients) > 0 for each in (self.truth, self.called))
        score = np.full(patients, -np.inf)
        np.maximum.at(score, patient, self.score)
        return Calls(truth, called, score)


def sensitivity(calls: Calls) -> float | None:
    """Return the share, 0..1, of those with lesion that was called positive; None where none holds lesion."""
    positive = calls.called[calls.truth]
    return float(positive.mean()) if len(positive) else None


def specificity(calls: Calls) -> float | None:
    """Return the share, 0..1, of those without lesion that was not called positive; None where all hold lesion."""
    positive = calls.called[~calls.truth]
    return float((~positive).mean()) if len(positive) else None


def auc(calls: Calls, model: Integers | None = None) -> float | None:
    """Return the area under the ROC curve, 0..1: how often one with lesion has a higher score than one without.

    Equal scores count half (Mann and Whitney). model: int (N,), which of several models, such as those of folds, gave
    each score. Scores of different models lie on different scales, so only pairs within one model are compared: the
    result is the mean of the models' own areas, weighted by their numbers of pairs. None unless some model has both:
    scans (or patients) with lesion and such without.
    """
    models = np.zeros(len(calls.truth), int) if model is None else model
    in_order, pairs = 0.0, 0
    for one in np.unique(models):
        truth, score = calls.truth[models == one], calls.score[models == one]
        with_lesion = int(truth.sum())
        pairs += with_lesion * (len(truth) - with_lesion)
        in_order += rankdata(score)[truth].sum() - with_lesion * (with_lesion + 1) / 2
    return float(in_order / pairs) if pairs else None
