"""Makes the rows of tables `scans`, `patients`, `lesions` and `drawn_scans`: the scores of whole scans of validation
and test, on the stored slices and on the grids on which their masks were drawn."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.folds import Fold
from hnscc.aggregation.medians import dice_of_masks_sent_back
from hnscc.aggregation.results import Results
from hnscc.aggregation.trials import Completed
from hnscc.base.split_names import HELD_OUT
from hnscc.scores.counts import HALF, Counts, threshold_of
from hnscc.scores.metrics import DICE, Unit, metrics_at
from hnscc.scores.millilitres import Millilitres, precision
from hnscc.scores.scans import ScanScore, scans_together
from hnscc.scores.surface import SCAN_METRICS
from hnscc.study.schema import Study

NO_SUV = "the files do not state that their uptake is SUV: no total lesion glycolysis"
NOT_FINITE = "the uptake is no finite number in some voxel: no total lesion glycolysis"
NO_UPTAKE = "the trial predicted before trials kept uptake: no total lesion glycolysis"
SAMPLED = "the sampled slices alone are scored (evaluation.slices)"
NOT_DRAWN = (
    "the store that the study was run with kept no masks as they were drawn: prepare it again by this version, and "
    "`hnscc run STUDY` takes them from it"
)
BY_SLICE = "validation is chosen slice by slice (split.validation_unit), so its scans are not scored whole"


def scan_rows(results: Results) -> Iterator[TableRow]:
    """Yield a row per whole scan of validation and test, for each trial at 0.5, and for the median models also at
    their thresholds."""
    for each in _scored(results):
        for scan in _in_order(each.fold, each.scans):
            score = each.scans[scan]
            row = each.named | _of_scan(each.fold, scan) | _scores(score)
            yield row | {"reason": _no_glycolysis(each, score)}


def patient_rows(results: Results) -> Iterator[TableRow]:
    """Yield a row per patient of validation and test; where only sampled slices are scored, with the pixel
    counts alone."""
    for each in _scored(results):
        for split in HELD_OUT:
            rows = each.fold.rows[split]
            patients, group = np.unique(each.fold.patient[rows], return_inverse=True)
            pooled = each.counts[rows].by_group(group, len(patients))
            scans_of = each.fold.scan_ids[split]
            for position, patient in enumerate(patients.tolist()):
                names = scans_of[patient]
                whole = [each.scans[name] for name in names if name in each.scans]
                row = each.named | {"split": split, "patient_id": patient, "scans": len(names)}
                score = scans_together(whole) if len(whole) == len(names) else None
                row |= _of_patient(pooled[np.array([position])].pooled(), score)
                yield row | {
                    "reason": _no_glycolysis(each, score) if score else not_whole(results.study, split)
                }


def not_whole(study: Study, split: str) -> str:
    """Return why scans of validation or test are not scored whole."""
    if not study.whole_splits:
        return SAMPLED
    return f"some {split} scans are not scored whole" if split in study.whole_splits else BY_SLICE


def lesion_rows(results: Results) -> Iterator[TableRow]:
    """Yield a row per true lesion of each scan of table `scans`."""
    for each in _scored(results):
        for scan in _in_order(each.fold, each.scans):
            for lesion in each.scans[scan].lesions.lesions:
                row = each.named | _of_scan(each.fold, scan)
                row |= {"lesion": lesion.lesion, "found": lesion.found}
                row |= {name: getattr(lesion, name) for name in ("truth_ml", "overlap_ml", "dice")}
                yield row | {"reason": None}


def drawn_rows(results: Results) -> Iterator[TableRow]:
    """Yield a row per whole scan of each median model at its threshold (0.5 where it has none), on the mask's
    own grid."""
    sent_back = {fold.number: dice_of_masks_sent_back(fold) for fold in results.folds}
    for variant in results.medians:
        for median in filter(None, results.main_medians(variant)):
            fold, k = median.fold, HALF if median.k is None else median.k
            named: TableRow = {**median.result.trial.named, "threshold": threshold_of(k)}
            stored = median.result.scans if median.k is None else median.scans
            for scan in _in_order(fold, stored):
                row = named | _of_scan(fold, scan) | _as_drawn(fold, scan, median.drawn.get(scan))
                row["dice_stored"] = _scores(stored[scan])[DICE.name]
                yield row | {"dice_of_mask_sent_back": sent_back[fold.number].get(scan)}


def _as_drawn(fold: Fold, scan: str, score: ScanScore | None) -> TableRow:
    """Return what `_scores` does except glycolysis, since PET lies on another grid; without a score, None of each and
    the reason."""
    row = _scores(score)
    del row["tlg_truth"], row["tlg_pred"]
    row["drawn_on"] = fold.drawn[scan].lies["on"] if score else None
    return row | {"reason": None if score else NOT_DRAWN}


@dataclass(frozen=True)
class _Scored:
    """A completed trial at one threshold. named: what names its rows. scans: the scores of its whole scans. counts:
    those of all scored slices (N,). kept_uptake: as in `Completed`."""

    fold: Fold
    named: TableRow
    scans: Mapping[str, ScanScore]
    counts: Counts
    kept_uptake: bool


def _scored(results: Results) -> Iterator[_Scored]:
    """Yield each trial at 0.5, and the median models also at their chosen thresholds."""
    medians = results.median_of
    for each in results.results:
        if not isinstance(each, Completed):
            continue
        fold, median = results.folds[each.trial.fold], medians.get(each.trial)
        names: TableRow = {**each.trial.named, "is_median": median is not None}
        at_half = names | {"threshold": threshold_of(HALF)}
        yield _Scored(fold, at_half, each.scans, each.counts, each.kept_uptake)
        if median and (own := median.beside_half):
            k, counts = own
            named = names | {"threshold": threshold_of(k)}
            yield _Scored(fold, named, median.scans, counts, each.kept_uptake)


def _no_glycolysis(scored: _Scored, score: ScanScore) -> str | None:
    """Return why a scan, or a patient, has no total lesion glycolysis; None where it has."""
    if score.millilitres.tlg_truth is not None:
        return None
    if not scored.fold.in_suv:
        return NO_SUV
    return NOT_FINITE if scored.kept_uptake else NO_UPTAKE


def _in_order(fold: Fold, scans: Mapping[str, ScanScore]) -> list[str]:
    """Return the scans with validation first, as in every table, then sorted by name."""
    split = {scan: str(fold.split[rows[0]]) for scan, rows in fold.scan_rows.items()}
    return sorted(scans, key=lambda each: (HELD_OUT.index(split[each]), each))


def _of_scan(fold: Fold, scan: str) -> TableRow:
    first = fold.scan_rows[scan][0]
    return {"split": str(fold.split[first]), "patient_id": str(fold.patient[first]), "scan_id": scan}


def _scores(score: ScanScore | None) -> TableRow:
    """Return all scores of a scan; None of each without a score."""
    row: TableRow = {"slices": score and score.slices}
    row |= _surface(score) | _millilitres(score) | _lesions(score)
    if score is None:
        return row | {metric.name: None for metric in metrics_at("scan")}
    return row | _overlap("scan", _counts_of(score))


def _surface(score: ScanScore | None) -> TableRow:
    """Return the value of each of SCAN_METRICS; None of each without a score."""
    return {each.name: score and score.surface[each.name] for each in SCAN_METRICS}


def _millilitres(score: ScanScore | None) -> TableRow:
    """Return each field of Millilitres, and the precision; None of each without a score."""
    if score is None:
        return dict.fromkeys([*(each.name for each in fields(Millilitres)), "volume_precision"])
    return asdict(score.millilitres) | {"volume_precision": precision(score.millilitres)}


def _lesions(score: ScanScore | None) -> TableRow:
    """Return how many lesions there are, were found, and are false; None of each without a score."""
    found = score and score.lesions
    return {
        "lesions": found and len(found.lesions),
        "lesions_found": found and found.found,
        "false_lesions": found and found.false,
    }


def _counts_of(score: ScanScore) -> Counts:
    return Counts(*(np.array([each]) for each in (score.overlap_px, score.pred_px, score.truth_px))).pooled()


def _overlap(unit: Unit, counts: Counts) -> TableRow:
    return {metric.name: float(metric.of(counts)) for metric in metrics_at(unit)}


def _of_patient(counts: Counts, score: ScanScore | None) -> TableRow:
    row: TableRow = {f"{name}_px": int(getattr(counts, name)) for name in ("truth", "pred", "overlap")}
    row |= _overlap("patient", counts) | {"lesion": None, "detected": None}
    if score:  # the sampled slices say nothing about the others
        row["lesion"] = bool(counts.truth)
        row["detected"] = bool(counts.overlap if counts.truth else counts.pred)
    return row | _surface(score) | _millilitres(score) | _lesions(score)
