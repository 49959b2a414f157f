"""The section "In brief" says what the study asked, what it found and how sure that is, from the tables alone."""

from collections.abc import Iterator

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.results import NO_REPEAT
from hnscc.base import fewest
from hnscc.base.in_words import count_of, listed
from hnscc.reporting.blocks import Points, Section, Text
from hnscc.reporting.sections.certainty import certainty
from hnscc.reporting.sections.provenance import repeats_wanted
from hnscc.reporting.sections.verdicts import compared
from hnscc.reporting.source import Source
from hnscc.reporting.values import score
from hnscc.scores.describe import quartered
from hnscc.scores.intervals import hardly_overlaps

DICE = (
    "Dice measures how far the model's outline and the true outline, that of the scan's mask, overlap: 1 is "
    "the same outline, 0 is no common pixel. Jaccard measures the same on a stricter scale."
)


def brief(source: Source) -> Section:
    """Say what was asked, what was found, and how sure that is."""
    return Section(
        "In brief",
        (
            Points("What was asked", tuple(_asked(source))),
            Points(
                "What was found", tuple(_variant(source, row) for row in source.rows("pooled", split="test"))
            ),
            *([Points("Differences in test Dice", pairs)] if (pairs := tuple(compared(source))) else []),
            Points("How sure this is", tuple(certainty(source))),
            Text(DICE),
        ),
    )


def _asked(source: Source) -> Iterator[str]:
    study = source.study
    labels = listed([own.label for own in source.appearances.values()])
    if len(source.appearances) > 1:
        images = {tuple(own.modalities) for own in study.variants.values()}
        which = (
            "Which images let a model outline the lesion"
            if len(images) > 1
            else "Which variant outlines the lesion"
        )
        yield f"{which} best? Compared: {labels}."
    else:
        yield f"How well does a model outline the lesion? One variant was trained, {labels}: nothing is compared."
    yield (
        f"Each variant was to have {repeats_wanted(study)}{_folds(source)}, since repeats that differ "
        "by chance alone give different results. Scores and differences in this summary are of all repeats at "
        "threshold 0.5; the middle one by validation score, the median model, is looked at closely further down."
    )


def _folds(source: Source) -> str:
    """Say what a repeat is, and name the folds where there are several."""
    folds = source.study.split.folds
    if folds == 1:
        return " (a repeat is one independent training)"
    return (
        f" (a repeat is one independent training in each fold) in {count_of(folds, 'fold')}, by which every patient is "
        "tested once"
    )


def _variant(source: Source, row: TableRow) -> str:
    name = source.label(row)
    if row["dice_repeats_median"] is None:
        return f"{name}: no result ({row['reason'] if row['dice'] is None else NO_REPEAT})."
    found = f"{name}: test Dice {score(row['dice_repeats_median'])} {_spread(source, row)}"
    if row["collapsed"]:
        return f"{found} {_collapse(source, row)}"
    if alone := _collapsed_folds(source, row):
        return f"{found} {alone}"
    return (
        f"{found} It hardly overlaps the lesions." if hardly_overlaps(row["dice_repeats_median"]) else found
    )


def _spread(source: Source, row: TableRow) -> str:
    """Say how far the repeats lie apart."""
    if row["repeats"] < fewest.VALUES_FOR_SPREAD:
        only = "the only repeat" if source.study.most_repeats == 1 else "the only repeat completed"
        return f"in {only}; one tells nothing of the spread."
    half = quartered(row["repeats"])
    low, high = (score(row[f"dice_repeats_{key}"]) for key in (("q25", "q75") if half else ("min", "max")))
    said = f"{'half of them' if half else 'all'} between {low} and {high}"
    return f"in the middle of {count_of(row['repeats'], 'repeat')} ({said})."


def _collapse(source: Source, row: TableRow) -> str:
    """Say that a variant's median model collapsed, in every fold, and what shows this."""
    folds = source.study.split.folds
    who = (
        f"The median models of all {count_of(folds, 'fold')} collapsed: they"
        if folds > 1
        else "The median model collapsed: it"
    )
    said = (
        f"{who} marked no pixel of any validation or test slice at threshold 0.5 "
        f"(highest probability {score(row['highest_probability'])})."
    )
    if row["threshold"] is None or row["dice"] is None:
        return said
    threshold, dice = score(row["threshold"]), score(row["dice"])
    return f"{said} At the threshold chosen on validation, {threshold}, its test Dice is {dice}."


def _collapsed_folds(source: Source, row: TableRow) -> str | None:
    """Name the folds in which a median model collapsed, each with its own evidence; None if it collapsed in none."""
    lost = source.rows("trials", variant=row["variant"], is_median=True, collapsed=True)
    if not lost:
        return None
    each = listed([f"fold {one['fold']} ({score(one['highest_probability'])})" for one in lost])
    return (
        f"In {len(lost)} of {count_of(source.study.split.folds, 'fold')} the median model collapsed: it marked no "
        f"pixel of any validation or test slice at threshold 0.5. Highest probability: {each}."
    )
