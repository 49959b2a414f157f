"""The rows of tables `detection` and `reliability`: are scans and patients with lesion told from those without, which
lesions are found, and are probabilities right.

A model is what tests every patient: the median models of all folds at their chosen thresholds, or one repeat of all
folds at 0.5. The AUC goes by the highest probability in a scan, which needs no threshold; by predicted
volume, all scans in which nothing is predicted would be alike.
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
from hnscc.base.arrays import Bools
from hnscc.base.split_names import HELD_OUT
from hnscc.scores.calibration import Calibration, ScanCalibration, brier, reliability
from hnscc.scores.counts import HALF, threshold_of
from hnscc.scores.detection import Calls, auc, sensitivity, specificity
from hnscc.scores.lesions import (
    Lesions,
    f1,
    false_per_scan,
    lesion_dice,
    lesion_sensitivity,
    lesions_together,
    sensitivity_by_size,
    size_names,
)
from hnscc.scores.metrics import Unit
from hnscc.scores.scans import ScanScore

UNITS: tuple[Unit, ...] = ("scan", "patient")
SIZES = size_names()
NO_SCAN = "no whole scan of this split is scored"


@dataclass(frozen=True)
class SeenScan:
    """One whole scan of a fold as a model saw it."""

    fold: int
    split: str
    patient: str
    score: ScanScore
    calibration: ScanCalibration


@dataclass(frozen=True)
class Model:
    """What names its rows, and every whole scan that it saw: none where it has no threshold, which `reasons` tell."""

    named: TableRow
    reasons: list[str | None]
    cases: list[SeenScan]


def detection_rows(results: Results) -> Iterator[TableRow]:
    """A row per variant, model, split and unit."""
    for model, split, cases, reasons in _each(results):
        for unit in UNITS:
            row = model.named | {"split": split, "unit": unit}
            yield row | _found(cases, unit, reasons)


def reliability_rows(results: Results) -> Iterator[TableRow]:
    """A row per variant, model, split and bin of probabilities; none of a split without a whole scan."""
    for model, split, cases, _ in _each(results):
        if cases:
            for each in reliability(_calibration(cases)):
                reason = None if each.n else "no voxel has such a probability"
                yield model.named | {"split": split} | asdict(each) | {"reason": reason}


def _each(results: Results) -> Iterator[tuple[Model, str, list[SeenScan], list[str | None]]]:
    no_scan = NO_SCAN if results.study.whole_splits else SAMPLED
    for variant in results.study.variants:
        for model in _models(results, variant):
            for split in HELD_OUT:
                cases = [each for each in model.cases if each.split == split]
                absent = None if cases or any(model.reasons) else no_scan
                yield model, split, cases, [*model.reasons, absent]


def _models(results: Results, variant: str) -> Iterator[Model]:
    """The median models of all folds, then each repeat that is completed in all of them."""
    medians = results.main_medians(variant)
    threshold, reasons = shared_threshold(medians)
    cases = [
        case
        for median in medians
        if median and not why_unscored(medians)
        for case in _cases(median.fold, median.scans, median.result)
    ]
    # Each fold's own threshold leaves this column empty, and no score.
    yield Model(_named(variant, None, threshold), reasons, cases)
    for repeat, parts in results.completed_in_all_folds(variant).items():
        seen = [case for each in parts for case in _cases(results.folds[each.trial.fold], each.scans, each)]
        yield Model(_named(variant, repeat, threshold_of(HALF)), [], seen)


def _named(variant: str, repeat: int | None, threshold: float | None) -> TableRow:
    return {"variant": variant, "repeat": repeat, "threshold": threshold}


def _cases(fold: Fold, scans: Mapping[str, ScanScore], result: Completed) -> Iterator[SeenScan]:
    """Every whole scan of a fold, by name."""
    for scan in sorted(scans):
        first = fold.scan_rows[scan][0]
        split, patient = str(fold.split[first]), str(fold.patient[first])
        yield SeenScan(fold.number, split, patient, scans[scan], result.calibrations[scan])


def _found(cases: list[SeenScan], unit: Unit, reasons: list[str | None]) -> TableRow:
    """All that is said of the cases; None without one."""
    if not cases:
        return _nothing() | {"reason": join_reasons(reasons)}
    calls, overlap = _calls(cases, unit)
    row = _told_apart(calls, overlap) | _of_lesions(lesions_together([each.score.lesions for each in cases]))
    row["brier"] = brier(_calibration(cases))
    return row | {"reason": join_reasons([*reasons, *_undefined(row, unit)])}


def _nothing() -> TableRow:
    """The same columns without values."""
    empty = Calls(np.zeros(0, bool), np.zeros(0, bool), np.zeros(0))
    row = _told_apart(empty, np.zeros(0, bool)) | _of_lesions(Lesions((), 0, 0.0, 0))
    return dict.fromkeys([*row, "brier"])


def _calibration(cases: list[SeenScan]) -> Calibration:
    return reduce(add, (each.calibration.calibration for each in cases))


def _calls(cases: list[SeenScan], unit: Unit) -> tuple[Calls, Bools]:
    """The calls of scans, or of the patients of each fold; and of each, whether a voxel of its lesion is
    predicted: (n,)."""
    truth, called, overlap = (
        np.array([getattr(each.score, f"{name}_px") > 0 for each in cases])
        for name in ("truth", "pred", "overlap")
    )
    calls = Calls(truth, called, np.array([each.calibration.highest for each in cases]))
    if unit == "scan":
        return calls, overlap
    # Validation patients of several folds stand once for each.
    names, group = np.unique([f"{each.fold} {each.patient}" for each in cases], return_inverse=True)
    return calls.by_group(group, len(names)), np.bincount(group, overlap, len(names)) > 0


def _told_apart(calls: Calls, overlap: Bools) -> TableRow:
    """Counts and rates of N calls; overlap: bool (N,), whether a voxel of the lesion is predicted."""
    truth, called = calls.truth, calls.called
    counts = {"n": truth | True, "with_lesion": truth, "tp": truth & called, "fn": truth & ~called}
    counts |= {"fp": ~truth & called, "tn": ~truth & ~called, "misplaced": truth & called & ~overlap}
    row: TableRow = {name: int(each.sum()) for name, each in counts.items()}
    return row | {"sensitivity": sensitivity(calls), "specificity": specificity(calls), "auc": auc(calls)}


def _of_lesions(found: Lesions) -> TableRow:
    row: TableRow = {
        "lesions": len(found.lesions),
        "lesions_found": found.found,
        "false_lesions": found.false,
    }
    row |= {"false_per_scan": false_per_scan(found), "lesion_sensitivity": lesion_sensitivity(found)}
    row |= {"lesion_f1": f1(found), "lesion_dice": lesion_dice(found)}
    for name, each in zip(SIZES, sensitivity_by_size(found), strict=True):
        row |= {f"lesions_{name}": each.lesions, f"sensitivity_{name}": each.sensitivity}
    return row


def _undefined(row: TableRow, unit: Unit) -> Iterator[str]:
    """Why values of a row with cases do not exist."""
    if row["sensitivity"] is None:
        yield f"no {unit} holds lesion: no sensitivity, no AUC"
    if row["specificity"] is None:
        yield f"every {unit} holds lesion: no specificity, no AUC"
    if row["lesions"] and any(row[f"sensitivity_{name}"] is None for name in SIZES):
        yield "no lesion is of the size whose sensitivity is null"
