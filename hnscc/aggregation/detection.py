"""Makes the rows of tables `detection` and `reliability`: whether scans and patients with lesion are told from those
without, which lesions are found, and whether probabilities are right.

One model of each fold predicts the patients: the median models at their chosen thresholds, or those of one repeat at
0.5. The AUC uses the highest probability in a scan, which needs no threshold; with predicted ml, all scans in which
nothing is predicted would be equal. It compares only scans of the same fold, since the probabilities of two models lie
on two scales.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.folds import Fold
from hnscc.aggregation.results import Results, join_reasons, shared_threshold, why_unscored
from hnscc.aggregation.scans import SAMPLED
from hnscc.aggregation.trials import Completed
from hnscc.base.arrays import Bools, Integers
from hnscc.base.split_names import HELD_OUT
from hnscc.scores.calibration import Calibration, ScanCalibration, brier, reliability
from hnscc.scores.counts import HALF, threshold_of
from hnscc.scores.detection import Calls, auc, sensitivity, specificity
from hnscc.scores.lesions import (
    SIZES_ML,
    Lesions,
    f1,
    false_per_scan,
    lesion_dice,
    lesion_sensitivity,
    lesions_together,
    sensitivity_by_size,
)
from hnscc.scores.metrics import Unit
from hnscc.scores.scans import ScanScore

UNITS: tuple[Unit, ...] = ("scan", "patient")
NO_SCAN = "no whole scan of this split is scored"


@dataclass(frozen=True)
class SeenScan:
    """The scores of one whole scan of a fold by one model."""

    fold: int
    split: str
    patient: str
    score: ScanScore
    calibration: ScanCalibration


@dataclass(frozen=True)
class ModelsOfFolds:
    """One model of each fold: what names their rows, and every whole scan that they predicted. reasons: why their rows
    lack values. unscored: whether they have no threshold and therefore no scans; `reasons` say why."""

    named: TableRow
    reasons: list[str | None]
    scans: list[SeenScan]
    unscored: bool = False


def detection_rows(results: Results) -> Iterator[TableRow]:
    """Yield a row per variant, median models or repeat, split and unit."""
    for models, split, scans, reasons in _each(results):
        for unit in UNITS:
            row = models.named | {"split": split, "unit": unit}
            yield row | _all_of(scans, unit, reasons)


def reliability_rows(results: Results) -> Iterator[TableRow]:
    """Yield a row per variant, median models or repeat, split and bin of probabilities.

    A split without a whole scan has no rows.
    """
    for models, split, scans, reasons in _each(results):
        if scans:
            for each in reliability(_calibration(scans)):
                reason = join_reasons([*reasons, None if each.n else "no voxel has such a probability"])
                yield models.named | {"split": split} | asdict(each) | {"reason": reason}


def _each(results: Results) -> Iterator[tuple[ModelsOfFolds, str, list[SeenScan], list[str | None]]]:
    no_scan = NO_SCAN if results.study.whole_splits else SAMPLED
    for variant in results.study.variants:
        for models in _models(results, variant):
            for split in HELD_OUT:
                scans = [each for each in models.scans if each.split == split]
                absent = None if scans or models.unscored else no_scan
                yield models, split, scans, [*models.reasons, absent]


def _models(results: Results, variant: str) -> Iterator[ModelsOfFolds]:
    """Yield the median models of all folds, then each repeat that is completed in all of them."""
    medians = results.main_medians(variant)
    threshold, reasons = shared_threshold(medians)
    unscored = why_unscored(medians) is not None
    scans = [
        scan
        for median in medians
        if median and not unscored
        for scan in _seen_scans(median.fold, median.scans, median.result)
    ]
    # Where folds have different thresholds, the column of the threshold alone is empty.
    yield ModelsOfFolds(_named(variant, None, threshold), reasons, scans, unscored)
    for repeat, parts in results.completed_in_all_folds(variant).items():
        seen = [
            scan for each in parts for scan in _seen_scans(results.folds[each.trial.fold], each.scans, each)
        ]
        yield ModelsOfFolds(_named(variant, repeat, threshold_of(HALF)), [], seen)


def _named(variant: str, repeat: int | None, threshold: float | None) -> TableRow:
    return {"variant": variant, "repeat": repeat, "threshold": threshold}


def _seen_scans(fold: Fold, scans: Mapping[str, ScanScore], result: Completed) -> Iterator[SeenScan]:
    """Yield every whole scan of a fold, by name."""
    for scan in sorted(scans):
        first = fold.scan_rows[scan][0]
        split, patient = str(fold.split[first]), str(fold.patient[first])
        yield SeenScan(fold.number, split, patient, scans[scan], result.calibrations[scan])


def _all_of(scans: list[SeenScan], unit: Unit, reasons: list[str | None]) -> TableRow:
    """Return all columns of a row from its scans; None of each without scans."""
    if not scans:
        return _nothing() | {"reason": join_reasons(reasons)}
    row = _told_apart(*_calls(scans, unit))
    row |= _of_lesions(lesions_together([each.score.lesions for each in scans]))
    row["brier"] = brier(_calibration(scans))
    return row | {"reason": join_reasons([*reasons, *_undefined(row, unit)])}


def _nothing() -> TableRow:
    """Return the same columns without values."""
    empty = Calls(np.zeros(0, bool), np.zeros(0, bool), np.zeros(0))
    row = _told_apart(empty, np.zeros(0, bool), np.zeros(0, int)) | _of_lesions(Lesions((), 0, 0.0, 0))
    return dict.fromkeys([*row, "brier"])


def _calibration(scans: list[SeenScan]) -> Calibration:
    return reduce(add, (each.calibration.calibration for each in scans))


def _calls(scans: list[SeenScan], unit: Unit) -> tuple[Calls, Bools, Integers]:
    """Return the calls of scans, or of the patients of each fold; and for each, whether a voxel of its lesion is
    predicted, and its fold, both (n,)."""
    truth, called, overlap = (
        np.array([getattr(each.score, f"{name}_px") > 0 for each in scans])
        for name in ("truth", "pred", "overlap")
    )
    calls = Calls(truth, called, np.array([each.calibration.highest for each in scans]))
    fold = np.array([each.fold for each in scans])
    if unit == "scan":
        return calls, overlap, fold
    # Patients in the validation of several folds count once for each.
    names = [f"{each.fold} {each.patient}" for each in scans]
    patients, first, patient = np.unique(names, return_index=True, return_inverse=True)
    found = np.bincount(patient, overlap, len(patients)) > 0
    return calls.by_patient(patient, len(patients)), found, fold[first]


def _told_apart(calls: Calls, overlap: Bools, fold: Integers) -> TableRow:
    """Return counts and rates of N calls. overlap: bool (N,), whether a voxel of the lesion is predicted. fold:
    int (N,)."""
    truth, called = calls.truth, calls.called
    counts = {"n": truth | True, "with_lesion": truth, "tp": truth & called, "fn": truth & ~called}
    counts |= {"fp": ~truth & called, "tn": ~truth & ~called, "misplaced": truth & called & ~overlap}
    row: TableRow = {name: int(each.sum()) for name, each in counts.items()}
    return row | {
        "sensitivity": sensitivity(calls),
        "specificity": specificity(calls),
        "auc": auc(calls, fold),
    }


def _of_lesions(found: Lesions) -> TableRow:
    row: TableRow = {
        "lesions": len(found.lesions),
        "lesions_found": found.found,
        "false_lesions": found.false,
    }
    row |= {"false_per_scan": false_per_scan(found), "lesion_sensitivity": lesion_sensitivity(found)}
    row |= {"lesion_f1": f1(found), "lesion_dice": lesion_dice(found)}
    for name, (of_size, share) in sensitivity_by_size(found).items():
        row |= {f"lesions_{name}": of_size, f"sensitivity_{name}": share}
    return row


def _undefined(row: TableRow, unit: Unit) -> Iterator[str]:
    """Yield the reasons why values of a row with scans do not exist."""
    if row["sensitivity"] is None:
        yield f"no {unit} holds lesion: no sensitivity, no AUC"
    if row["specificity"] is None:
        yield f"every {unit} holds lesion: no specificity, no AUC"
    if row["auc"] is None and None not in (row["sensitivity"], row["specificity"]):
        yield f"no fold has {unit}s both with lesion and without: no AUC"
    if row["lesions"] and any(row[f"sensitivity_{name}"] is None for name in SIZES_ML):
        yield "no lesion is of the size whose sensitivity is null"
