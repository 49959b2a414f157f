"""The report's pictures: what each is drawn from, its caption, and the slices shown in Figs. 2 and 3."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.figure import Figure

from hnscc.aggregation.query import read_table
from hnscc.aggregation.results import load_fold, load_levels
from hnscc.base.errors import InputError
from hnscc.cohort.store import Store, open_store
from hnscc.reporting import figures
from hnscc.reporting.blocks import Picture, Row, Table, score, table, whole
from hnscc.reporting.overlays import KINDS, Example, choose_examples, examples_figure
from hnscc.reporting.report_tables import Source
from hnscc.scores.counts import HALF, positive
from hnscc.study.plan import find_trial
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study

NAMES = ("fig2_good", "fig3_poor", "fig4_pixels", "repeats", "differences", "learning", "thresholds")


@dataclass(frozen=True)
class Gallery:
    """pictures: name -> picture, of those that could be drawn. shown: the slices of Figs. 2 and 3.

    absent: why there are no images of slices, or None.
    """

    pictures: dict[str, Picture]
    shown: Table | None
    absent: str | None


def draw(run: RunFolder, source: Source) -> Gallery:
    """Every figure that the run folder's tables allow."""
    slices = median_slices(run, source)
    examples, absent = find_examples(run, source, slices)
    figure_of = {
        "fig2_good": lambda: examples_figure(examples, ("best", "median"), source.looks),
        "fig3_poor": lambda: examples_figure(examples, ("worst", "false_positive"), source.looks),
        "fig4_pixels": lambda: figures.pixel_counts(
            slices, source.rows("regression", split="test"), source.looks, source.study.evaluation.cutoff_px
        ),
        "repeats": lambda: figures.dice_over_repeats(source.tables["trials"], source.looks),
        "differences": lambda: figures.differences(_bootstraps(source), source.looks),
        "learning": lambda: figures.learning_curves(read_table(run, "epochs").to_pylist(), source.looks),
        "thresholds": lambda: figures.threshold_curves(_held_out(run), source.looks),
    }
    drawn = {name: _picture(name, figure) for name in NAMES if (figure := figure_of[name]()) is not None}
    return Gallery(drawn, _shown(source, examples) if examples else None, absent)


def _bootstraps(source: Source) -> list[Row]:
    return source.rows("comparisons", metric="dice", slice_set="all", unit="patient", method="bootstrap")


def _held_out(run: RunFolder) -> list[Row]:
    rows = read_table(run, "thresholds")
    return rows.filter(pc.not_equal(rows["split"], "train")).to_pylist()


def median_slices(run: RunFolder, source: Source) -> list[Row]:
    """The median models' test rows of table `slices`: at the chosen threshold, or at 0.5 where none is."""
    medians = [row["trial_id"] for row in source.tables["trials"] if row["is_median"]]
    rows = read_table(run, "slices")
    wanted = pc.and_(
        pc.is_in(rows["trial_id"], pa.array(medians, pa.string())), pc.equal(rows["split"], "test")
    )
    chosen = {
        (row["variant"], row["fold"]): row["threshold"]
        for row in read_table(run, "thresholds").filter(pc.field("chosen")).to_pylist()
    }
    return [
        row
        for row in rows.filter(wanted).to_pylist()
        if row["threshold"] == chosen.get((row["variant"], row["fold"]), HALF / 1000)
    ]


def find_examples(
    run: RunFolder, source: Source, slices: Sequence[Row]
) -> tuple[dict[str, dict[str, Example | None]], str | None]:
    """variant -> kind -> example, of the median models; or nothing, and why the images cannot be had."""
    cutoff_px = source.study.evaluation.cutoff_px
    chosen = {
        variant: choose_examples([row for row in slices if row["variant"] == variant], cutoff_px)
        for variant in source.looks
    }
    chosen = {variant: kinds for variant, kinds in chosen.items() if any(kinds.values())}
    if not chosen:
        return {}, "no median model has a test slice to show"
    try:
        example = example_reader(run, source.study, open_store(source.study.store))
        return {
            variant: {kind: row and example(row) for kind, row in kinds.items()}
            for variant, kinds in chosen.items()
        }, None
    except InputError as error:
        # The text alone: `where` may hold the address of the store.
        return {}, f"the images could not be read from the store ({error.problem.rstrip('.')}: {error.found})"


def example_reader(run: RunFolder, study: Study, store: Store) -> Callable[[Row], Example]:
    """Turns a row of table `slices` into what is drawn; each scan, fold and trial is read once.

    InputError where a scan, the fold or the trial cannot be read, or the store's mask is not the one scored.
    """
    scans = {scan.scan_id: scan for scan in store.scans}
    read_scan = cache(store.read)
    read_fold = cache(lambda number: load_fold(run, number))
    read_levels = cache(lambda trial_id: _levels(run, study, trial_id, read_fold))

    def example(row: Row) -> Example:
        images, masks = read_scan(row["scan_id"])
        fold = read_fold(row["fold"])
        place = list(zip(*(fold.slices[name].to_pylist() for name in PLACE), strict=True)).index(
            tuple(row[name] for name in PLACE)
        )
        truth = fold.masks[place]
        if row["z"] >= len(masks) or not np.array_equal(masks[row["z"]].astype(bool), truth):
            raise _other_data(row)
        predicted = positive(read_levels(row["trial_id"])[place], round(1000 * row["threshold"]))
        planes = dict(zip(store.modalities, images[row["z"]], strict=True))
        return Example(row, planes, truth, predicted, scans[row["scan_id"]].spacing_mm[1:])

    return example


PLACE = ("split", "scan_id", "z")


def _levels(run: RunFolder, study: Study, trial_id: str, read_fold: Callable) -> np.ndarray:
    trial = find_trial(study, trial_id)
    try:
        return load_levels(run, trial, read_fold(trial.fold))
    except ValueError as error:
        raise InputError(
            "A median model's predictions cannot be read.",
            where=f"trial {trial_id}",
            expected="the files that the tables were made from",
            found=str(error),
            do="`hnscc aggregate RUN` makes the tables and the report again",
        ) from None


def _other_data(row: Row) -> InputError:
    return InputError(
        "The store holds other data than the study was run on.",
        where=f"scan {row['scan_id']}, slice {row['z']}",
        expected="the mask that the models were scored by",
        found="another mask or fewer slices",
        do="restore the store that the study was run on, then `hnscc report RUN`",
    )


def _shown(source: Source, examples: Mapping[str, Mapping[str, Example | None]]) -> Table:
    rows = [
        {"kind": KINDS[kind], **example.row}
        for each in examples.values()
        for kind, example in each.items()
        if example
    ]
    return table(
        "The slices in Figs. 2 and 3",
        "Patients and scans by their pseudonyms.",
        {
            "Variant": source.label,
            "Shown as": lambda row: row["kind"],
            "Patient": lambda row: row["patient_id"],
            "Scan": lambda row: row["scan_id"],
            "Slice (z)": lambda row: whole(row["z"]),
            "Dice": lambda row: score(row["dice"]),
            "Reference pixels": lambda row: whole(row["truth_px"]),
            "Model's pixels": lambda row: whole(row["pred_px"]),
        },
        rows,
    )


CAPTIONS = {
    "fig2_good": (
        "Figure 2. Good and ordinary results",
        "For each variant's median model the test slice with lesion that it outlined best, and the one in "
        "the middle. Left the whole slice, right the framed part enlarged; R is the patient's right. PET "
        "uptake is laid over the grey anatomical image where the scans have both, whichever of them the "
        "model was given.",
        "Slices with the outlines of reference and model for the best and the median Dice of each variant",
    ),
    "fig3_poor": (
        "Figure 3. Poor results",
        "For each variant the test slice with lesion that it outlined worst (of equals the largest "
        "lesion) and, of the slices without lesion, the one on which it marked most.",
        "Slices with the outlines of reference and model for the worst Dice and the largest false alarm of "
        "each variant",
    ),
    "fig4_pixels": (
        "Figure 4. Size of the model's outline against size of the reference outline",
        "One mark per test slice, by its outcome at the cut-off (convention `slice`). On the dotted line "
        "both sizes are equal. A ring marks a slice on which model and reference share no pixel.",
        "Scatter of predicted against true pixel counts per variant with regression line",
    ),
    "repeats": (
        "How much repeats of the same variant differ",
        "Every dot is one repeat, a training from another random start (with several folds: one repeat in one "
        "fold). A difference between variants that is smaller than the spread of the dots can come from "
        "chance in training.",
        "Dot plot of test Dice of every repeat per variant with median and quartiles",
    ),
    "differences": (
        "Differences between variants",
        "Difference of the medians over repeats of the pooled test Dice at 0.5, with its 95 % interval "
        "from drawing patients and repeats again and again. An interval that includes 0 leaves open "
        "which variant is better; one that leaves it out is to be read with the corrected p.",
        "Forest plot of the difference in pooled Dice for every pair of variants",
    ),
    "learning": (
        "Learning curves",
        "Thin lines are single repeats (with several folds: in one fold); the thick line is their median and "
        "the band their quartiles, "
        "drawn while at least half of them still train.",
        "Validation soft Jaccard and losses against the epoch per variant",
    ),
    "thresholds": (
        "Choice of the threshold",
        "Pooled Dice of the median model at every threshold. The threshold is chosen on the validation "
        "curve (the middle of its best stretch); the test curve is shown only to see what another choice "
        "would have given.",
        "Pooled Dice against threshold on validation and test slices per variant",
    ),
}


def _picture(name: str, figure: Figure) -> Picture:
    title, caption, alt = CAPTIONS[name]
    return Picture(name, title, caption, alt, *figures.render(figure))
