"""The section "Whole scans": what the median models find and falsely predict in scans, and how wrong the sizes are."""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.folds import NO_TRIAL, in_fold
from hnscc.base import fewest
from hnscc.reporting.blocks import Block, Cell, Columns, ReportTable, Section, Text, report_table
from hnscc.reporting.sections.comparisons import name_of_metric
from hnscc.reporting.source import Source, at_chosen
from hnscc.reporting.values import DASH, between, interval, known, middle, score, signed, whole
from hnscc.scores.describe import distribution
from hnscc.scores.metrics import dice
from hnscc.scores.patient_metrics import PATIENT_METRICS
from hnscc.scores.surface import SCAN_METRICS, ScanMetric

RowsOrReason = dict[str, list[TableRow] | str]  # for each variant its rows, or why there are none
NO_LESION = "no such scan holds lesion"
AT = "Median model at its chosen threshold, or at 0.5 where none could be chosen."
SCANS = (
    "A lesion is what hangs together in three dimensions; it is found if any voxel of it is predicted. A false lesion "
    f"holds no voxel of a true one. {AT}"
)
SIZES = (
    *(f"{each.label} ({each.meaning}): {each.column}." for each in SCAN_METRICS),
    "`evaluation.tolerance_mm` is {tolerance:g}.",
    "A lesion missed beside one that is found counts by its surface alone.",
    "Over scans with lesion; ml over all scans.",
    AT,
)
PATIENTS = (
    "In a patient with lesion, a lesion is found if any voxel of it is predicted (Detection below asks only whether "
    f"anything is, wherever); in one without, any predicted voxel is a false alarm. {AT}"
)
DRAWN = (
    "The tables above are of the stored slices. Here what the median models mark there, at the chosen threshold, is "
    "brought back to the grid that each mask was drawn on, and scored against the mask as it was drawn: the difference "
    "is what resampling costs. A perfect model would reach what the masks themselves reach, placed on the slices and "
    "sent back. Means and medians are over scans with lesion; pooled are all test scans, by ml."
)
DETECTION = (
    "Positive is where anything is predicted, wherever: sensitivity is of those with lesion, specificity of others. "
    "AUC: how often one with lesion has a higher probability than one without, by the highest in it, whatever the "
    "threshold, and of one fold where there are several. F1 of lesions counts misses and false ones. Brier score: mean"
    " squared error of the probabilities of all voxels, 0 being perfect. Median model at its chosen threshold; in "
    "brackets the range over repeats at 0.5."
)

MEANS = (
    "Each patient counts alike: those with lesion, or all where false predictions count. All repeats at threshold "
    "0.5, so these are no scores of the median model; in brackets the 95 % interval for other patients and other "
    "trainings like these. Of distances and sizes of few patients it is too narrow, since a few large values move "
    "their mean."
)


def whole_scans(source: Source) -> Section:
    """Show the results for lesions, distances, sizes in ml and patients of the test scans."""
    return Section("Whole scans", tuple(_blocks(source)))


def _blocks(source: Source) -> Iterator[Block]:
    if not source.holds_whole_scans:
        yield Text(
            "The sampled slices alone were scored (`evaluation.slices`): nothing is known of whole scans."
        )
        return
    if not source.tables["scans"]:
        yield Text("No trial is completed: nothing is known of whole scans.")
        return
    scans, patients = (_of_median_models(source, name) for name in ("scans", "patients"))
    yield Text(f"Scored: {source.scored_in_words}.")
    yield _by_variant(source, "Lesions in test scans", SCANS, _lesion_columns(scans))
    sizes = " ".join(SIZES).format(tolerance=source.study.evaluation.tolerance_mm)
    yield _by_variant(source, "Surfaces and sizes in test scans", sizes, _size_columns(scans))
    drawn = _of_drawn_masks(source)
    yield _by_variant(
        source, "Test scans on the grids that their masks were drawn on", DRAWN, _drawn_columns(drawn)
    )
    yield _by_variant(source, "Test patients with and without lesion", PATIENTS, _patient_columns(patients))
    yield _by_variant(source, "Detection in test scans", DETECTION, _detection_columns(source))
    yield _means(source)


def _means(source: Source) -> ReportTable:
    """Write a report table with one row per score of patients, with the mean of every variant."""

    def of(variant: str) -> Callable[[TableRow], Cell]:
        def write(row: TableRow) -> Cell:
            metric = row["metric"]
            found = source.rows("means", variant=variant, split="test", metric=metric.name)[0]
            return interval(found, "mean", "low", "high", lambda value: f"{value:.{metric.decimals}f}")

        return write

    columns: Columns = {
        "Score": lambda row: name_of_metric(row["metric"]),
        "Better": lambda row: "higher" if row["metric"].higher_is_better else "lower",
        **{own.label: of(variant) for variant, own in source.appearances.items()},
    }
    rows = [{"metric": metric} for metric in PATIENT_METRICS]
    return report_table("Scores of test patients: means over repeats and patients", MEANS, columns, rows)


def _of_median_models(source: Source, name: str) -> RowsOrReason:
    """Map each variant to the test rows of its median models, at the chosen threshold, or at 0.5 where none is chosen.
    Map a variant without a completed trial in some fold to the reason why it has no rows, since the other folds test
    other scans."""
    found: RowsOrReason = {}
    for variant in source.appearances:
        rows = source.rows(name, variant=variant, split="test", is_median=True)
        found[variant] = _not_there(source, rows) or at_chosen(rows, source.chosen)
    return found


def _of_drawn_masks(source: Source) -> RowsOrReason:
    """Map each variant to its test rows of table `drawn_scans`, or why there are none."""
    found: RowsOrReason = {}
    for variant in source.appearances:
        rows = source.rows("drawn_scans", variant=variant, split="test")
        lacking = next((row["reason"] for row in rows if row["dice"] is None), None)
        found[variant] = _not_there(source, rows) or lacking or rows
    return found


def _not_there(source: Source, rows: Sequence[TableRow]) -> str | None:
    """Return why a variant lacks the rows of some folds; None where it has them all."""
    there, folds = {row["fold"] for row in rows}, source.study.split.folds
    lost = [fold for fold in range(folds) if fold not in there]
    if not lost:
        return None
    return in_fold(NO_TRIAL, lost[0], folds)


def _by_variant(source: Source, title: str, explanation: str, columns: Columns) -> ReportTable:
    rows = [{"variant": variant} for variant in source.appearances]
    return report_table(title, explanation, {"Variant": source.label, **columns}, rows)


def _of(
    found: RowsOrReason, write: Callable[[list[TableRow]], Cell | str]
) -> Callable[[TableRow], Cell | str]:
    """Return the function that writes a cell from a variant's own rows, or a dash with the reason where it has none."""

    def cell(row: TableRow) -> Cell | str:
        own = found[row["variant"]]
        return Cell(DASH, own) if isinstance(own, str) else write(own)

    return cell


def _lesion_columns(scans: RowsOrReason) -> Columns:
    return {
        "Scans (with lesion)": _of(scans, lambda own: f"{len(own)} ({len(_with_lesion(own))})"),
        "Lesions found": _of(
            scans, lambda own: _share(_number(own, "lesions_found"), _number(own, "lesions"))
        ),
        "False lesions": _of(scans, lambda own: whole(_number(own, "false_lesions"))),
        "per scan": _of(scans, lambda own: f"{_number(own, 'false_lesions') / len(own):.2f}"),
        "Scans without lesion that hold one": _of(
            scans,
            lambda own: _share(
                sum(row["false_lesions"] > 0 for row in _without_lesion(own)), len(_without_lesion(own))
            ),
        ),
    }


def _surface_columns(scans: RowsOrReason) -> Columns:
    """Return a column for each metric of surfaces."""
    return dict(_surface_column(scans, metric) for metric in SCAN_METRICS)


def _surface_column(scans: RowsOrReason, metric: ScanMetric) -> tuple[str, Callable[[TableRow], Cell | str]]:
    """Return a column with the mean for shares, and with the median for distances, whose mean a few large ones
    would change."""
    if metric.measured_in is None:
        return f"{metric.label}: mean", _of(scans, lambda own: _mean(_with_lesion(own), metric.name))
    title = f"{metric.label} in {metric.measured_in}: median (quartiles)"
    return title, _of(scans, lambda own: _quartiles(_with_lesion(own), metric.name, metric.decimals))


def _size_columns(scans: RowsOrReason) -> Columns:
    return {
        **_surface_columns(scans),
        "Dice of scans: mean": _of(scans, lambda own: _mean(_with_lesion(own), "dice")),
        "True size in ml": _of(scans, lambda own: f"{_sum(own, 'truth_ml'):.1f}"),
        "Predicted": _of(scans, lambda own: f"{_sum(own, 'pred_ml'):.1f}"),
        "False": _of(scans, lambda own: f"{_sum(own, 'fp_ml'):.1f}"),
        "Missed": _of(scans, lambda own: f"{_sum(own, 'fn_ml'):.1f}"),
        "Error of a scan's size, whatever its sign: median": _of(scans, _error_of_ml),
    }


def _drawn_columns(drawn: RowsOrReason) -> Columns:
    return {
        "Dice of scans: mean, stored slices": _of(drawn, lambda own: _mean(_with_lesion(own), "dice_stored")),
        "as drawn": _of(drawn, lambda own: _mean(_with_lesion(own), "dice")),
        "difference": _of(drawn, _lost),
        "a perfect model": _of(drawn, lambda own: _mean(_with_lesion(own), "dice_of_mask_sent_back")),
        "Pooled by ml, as drawn": _of(drawn, _pooled_by_ml),
        **_surface_columns(drawn),
    }


def _lost(own: Sequence[TableRow]) -> Cell | str:
    """Return the mean of Dice on the masks' own grids minus Dice on stored slices, negative where resampling
    costs something."""
    each = [row["dice"] - row["dice_stored"] for row in _with_lesion(own)]
    return signed(float(np.mean(each))) if each else Cell(DASH, NO_LESION)


def _pooled_by_ml(own: Sequence[TableRow]) -> Cell | str:
    overlap, pred, truth = (_sum(own, f"{name}_ml") for name in ("overlap", "pred", "truth"))
    if not pred + truth:
        return Cell(DASH, "neither lesion nor prediction in any scan")
    return score(float(dice(overlap, pred, truth)))


def _patient_columns(patients: RowsOrReason) -> Columns:
    def share(lesion: bool) -> Callable[[TableRow], Cell | str]:
        def write(own: list[TableRow]) -> Cell | str:
            rows = [row for row in own if row["lesion"] == lesion]
            return _share(sum(row["detected"] for row in rows), len(rows))

        return _of(patients, write)

    return {
        "Patients": _of(patients, lambda own: whole(len(own))),
        "With lesion: one found": share(True),
        "Without: false alarm": share(False),
    }


def _detection_columns(source: Source) -> Columns:
    def of(unit: str, column: str, form: Callable[[float], str] = score) -> Callable[[TableRow], Cell | str]:
        def write(row: TableRow) -> Cell | str:
            found = source.rows("detection", variant=row["variant"], split="test", unit=unit)
            median = known(next((each for each in found if each["repeat"] is None), None), column, form)
            repeats = [
                each[column] for each in found if each["repeat"] is not None and each[column] is not None
            ]
            if len(repeats) < fewest.VALUES_FOR_SPREAD:
                return median
            return Cell(f"{median.text} {between(form(min(repeats)), form(max(repeats)))}", median.note)

        return write

    return {
        "Scans: sensitivity": of("scan", "sensitivity"),
        "Specificity": of("scan", "specificity"),
        "AUC": of("scan", "auc"),
        "Patients: AUC": of("patient", "auc"),
        "F1 of lesions": of("scan", "lesion_f1"),
        "Brier score": of("scan", "brier", "{:.4f}".format),
    }


def _with_lesion(rows: Sequence[TableRow]) -> list[TableRow]:
    return [row for row in rows if row["lesions"]]


def _without_lesion(rows: Sequence[TableRow]) -> list[TableRow]:
    return [row for row in rows if not row["lesions"]]


def _sum(rows: Sequence[TableRow], column: str) -> float:
    return math.fsum(row[column] for row in rows)


def _number(rows: Sequence[TableRow], column: str) -> int:
    return sum(row[column] for row in rows)


def _share(part: int, all_of_it: int) -> Cell | str:
    return f"{part} of {all_of_it}" if all_of_it else Cell(DASH, "there is none")


def _mean(rows: Sequence[TableRow], column: str) -> Cell | str:
    return score(float(np.mean([row[column] for row in rows]))) if rows else Cell(DASH, NO_LESION)


def _quartiles(rows: Sequence[TableRow], column: str, decimals: int) -> Cell:
    if not rows:
        return Cell(DASH, NO_LESION)
    return middle(distribution(np.array([row[column] for row in rows])), f"{{:.{decimals}f}}".format, "scan")


def _error_of_ml(rows: Sequence[TableRow]) -> str:
    """Return the median absolute error, since too much in one scan does not make up for too little in another."""
    return f"{float(np.median([abs(row['pred_ml'] - row['truth_ml']) for row in rows])):.2f} ml"
