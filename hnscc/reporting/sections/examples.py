"""The section "Examples" (Figs. 2 and 3) shows slices that are chosen by rule and not by eye.

Their images come from the store; where it cannot be read, the report says so and shows none.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.folds import Fold, scored_fold
from hnscc.aggregation.trials import load_probabilities
from hnscc.base.errors import InputError
from hnscc.cohort.store import Store, open_store
from hnscc.reporting.blocks import Block, ReportTable, Section, Text, report_table
from hnscc.reporting.plotting.overlays import KINDS, Example, examples_figure
from hnscc.reporting.plotting.style import of_variant, picture
from hnscc.reporting.source import Source
from hnscc.reporting.values import score, whole
from hnscc.scores.counts import k_of, positive
from hnscc.study.trials import find_trial

Examples = Mapping[str, Mapping[str, Example | None]]  # the slice that is shown, by variant and kind
SLICE = ("split", "scan_id", "z")  # the columns that name a slice


def examples(source: Source) -> Section:
    """Return Figs. 2 and 3 and the list of what they show, or why there are none."""
    return Section("Examples", tuple(_blocks(source)))


def _blocks(source: Source) -> Iterator[Block]:
    found, absent = _find(source)
    if absent:
        yield Text(f"Images of slices are left out: {absent}.")
    yield from picture(
        examples_figure(found, ("best", "median"), source.appearances),
        "fig2_good",
        "Figure 2. Good and ordinary results",
        "For each variant's median model the test slice with lesion that it outlined best, and the one in "
        "the middle. Left the whole slice, right the framed part enlarged; R is the patient's right. PET "
        "uptake is laid over the grey anatomical image where the scans have both, whichever of them the "
        "model was given.",
        "Slices with the true and the model's outlines for the best and the median Dice of each variant",
    )
    yield from picture(
        examples_figure(found, ("worst", "false_positive"), source.appearances),
        "fig3_poor",
        "Figure 3. Poor results",
        "For each variant the test slice with lesion that it outlined worst (of equals the largest "
        "lesion) and, of the slices without lesion, the one on which it marked most.",
        "Slices with the true and the model's outlines for the worst Dice and the largest false alarm of "
        "each variant",
    )
    if found:
        yield _shown_block(source, found)


def _shown_block(source: Source, found: Examples) -> ReportTable:
    rows = [
        {"kind": KINDS[kind], **example.row}
        for each in found.values()
        for kind, example in each.items()
        if example
    ]
    return report_table(
        "The slices in Figs. 2 and 3",
        "Patients and scans by their pseudonyms.",
        {
            "Variant": source.label,
            "Shown as": lambda row: str(row["kind"]),
            "Patient": lambda row: str(row["patient_id"]),
            "Scan": lambda row: str(row["scan_id"]),
            "Slice (z)": lambda row: whole(row["z"]),
            "Dice": lambda row: score(row["dice"]),
            "True pixels": lambda row: whole(row["truth_px"]),
            "Model's pixels": lambda row: whole(row["pred_px"]),
        },
        rows,
    )


# --- which slices


def choose_examples(slices: Sequence[TableRow], cutoff_px: int) -> dict[str, TableRow | None]:
    """Choose the rows of one median model's test slices to show; None where there is none of a kind.

    Of the slices with lesion they are the best, the lower median and the worst by Dice (of equal ones the larger
    lesion, then by scan and slice). Of those without lesion it is the one with the most predicted pixels, if these
    reach the cut-off. A slice is shown once: with only one lesion slice there is no median and no worst.
    """
    lesion = sorted((row for row in slices if row["truth_px"] > 0), key=_best_first)
    alarms = [row for row in slices if row["truth_px"] == 0 and row["pred_px"] >= cutoff_px]
    alarm = min(alarms, key=lambda row: (-row["pred_px"], row["scan_id"], row["z"]), default=None)
    return {
        "best": lesion[0] if lesion else None,
        "median": lesion[len(lesion) // 2] if len(lesion) > 2 else None,
        "worst": _worst(lesion) if len(lesion) > 1 else None,
        "false_positive": alarm,
    }


def _best_first(row: TableRow) -> tuple[float, int, str, int]:
    return (-row["dice"], -row["truth_px"], row["scan_id"], row["z"])


def _worst(lesion: Sequence[TableRow]) -> TableRow:
    """Return the slice with the lowest Dice, and of several the one with the largest lesion, since missing that is the
    gravest miss. It is never the best or the median."""
    lowest = lesion[-1]["dice"]
    middle = len(lesion) // 2 if len(lesion) > 2 else 0
    return next(row for row in lesion[middle + 1 :] if row["dice"] == lowest)


# --- their images and outlines


def _find(source: Source) -> tuple[Examples, str | None]:
    """Return the median models' examples; or none, and why the images cannot be read."""
    cutoff_px = source.study.evaluation.cutoff_px
    chosen = {
        variant: kinds
        for variant in source.appearances
        if any((kinds := choose_examples(of_variant(source.median_slices, variant), cutoff_px)).values())
    }
    if not chosen:
        return {}, "no median model has a test slice to show"
    try:
        read = _reader(source, open_store(source.study.store))
        return {
            variant: {kind: read(row) if row else None for kind, row in kinds.items()}
            for variant, kinds in chosen.items()
        }, None
    except InputError as error:
        # Only these two parts of the error are shown, since `where` may hold the address of the store.
        return {}, f"the images could not be read from the store ({error.problem.rstrip('.')}: {error.found})"


def _reader(source: Source, store: Store) -> Callable[[TableRow], Example]:
    """Return a function that turns a row of table `slices` into an example; it reads each scan, fold and trial once.

    The function raises InputError where a scan, the fold or the trial cannot be read, or where the store's mask is not
    the one that was scored.
    """
    scans = {scan.scan_id: scan for scan in store.scans}
    read_scan = cache(store.read)
    read_fold = cache(lambda number: scored_fold(source.run, source.study, number))
    read_probabilities = cache(lambda trial_id: _probabilities(source, trial_id, read_fold))

    def read(row: TableRow) -> Example:
        images, masks = read_scan(row["scan_id"])
        fold = read_fold(row["fold"])
        names = list(zip(*(fold.slices[name].to_pylist() for name in SLICE), strict=True))
        position = names.index(tuple(row[name] for name in SLICE))
        truth = fold.masks[position]
        if row["z"] >= len(masks) or not np.array_equal(masks[row["z"]].astype(bool), truth):
            raise _other_data(row)
        predicted = positive(read_probabilities(row["trial_id"])[position], k_of(row["threshold"]))
        planes = dict(zip(store.modalities, images[row["z"]], strict=True))
        dy, dx = scans[row["scan_id"]].spacing_mm[1:]
        return Example(row, planes, truth, predicted, (dy, dx))

    return read


def _probabilities(source: Source, trial_id: str, read_fold: Callable[[int], Fold]) -> npt.NDArray[np.uint16]:
    """Return a trial's stored probabilities (N, H, W), 0..65535, in the fold's order of slices."""
    trial = find_trial(source.study, trial_id)
    try:
        return load_probabilities(source.run, trial, read_fold(trial.fold))
    except ValueError as error:
        raise InputError(
            "A median model's predictions cannot be read.",
            where=f"trial {trial_id}",
            expected="the files that the tables were made from",
            found=str(error),
            do="`hnscc aggregate RUN` makes the tables and the report again",
        ) from None


def _other_data(row: TableRow) -> InputError:
    return InputError(
        "The store holds other data than the study was run on.",
        where=f"scan {row['scan_id']}, slice {row['z']}",
        expected="the mask that the models were scored by",
        found="another mask or fewer slices",
        do="restore the store that the study was run on, then `hnscc report RUN`",
    )
