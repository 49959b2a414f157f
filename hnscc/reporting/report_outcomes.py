"""The report's tables of slices with and without lesion, and of the protocol's three readings."""

from collections.abc import Iterator

from hnscc.reporting.blocks import DASH, Cell, Columns, Row, Table, known, table
from hnscc.reporting.report_tables import NO_MRI, SETS, Source, scores, wholes
from hnscc.study import paper

CONVENTIONS = {
    "slice": "slice: any mark on a positive slice counts as found",
    "lesion": "lesion: a mark beside the lesion counts as missed",
    "overlap": "overlap (the paper's): a mark beside the lesion counts as a false alarm",
}
READINGS = {
    "as_written": "as written",
    "published": "published",
    "as_coded": "as coded",
    "corrected": "corrected",
}
OUTCOMES = {"tp": "True positive", "tn": "True negative", "fp": "False positive", "fn": "False negative"}
RATES = ("sensitivity", "specificity", "accuracy")


def classification_table(source: Source, title: str, explanation: str, *splits: str) -> Table:
    """One row per variant, split and convention; in the paper's study the paper's row below `overlap`."""
    columns: Columns = {"Variant": source.label}
    if len(splits) > 1:
        columns["Slices of"] = lambda row: row["split"]
    columns["Counted by"] = lambda row: row["convention"]
    names = OUTCOMES | {"misplaced": "Misplaced", "small_truth": "Small truths"}
    columns |= {head: wholes(name) for name, head in names.items()}
    columns |= {name.capitalize(): scores(name) for name in RATES}
    rows = [row for row in source.tables["classification"] if row["split"] in splits]
    if source.papers and splits == ("test",):
        rows = [each for row in rows for each in (row, *_published_outcomes(row))]
    return table(title, explanation, columns, rows)


def _published_outcomes(row: Row) -> Iterator[Row]:
    """The paper's Table 3 as a row of ours, values as printed, below that of its convention."""
    if row["convention"] != "overlap":
        return
    found = paper.PUBLISHED.get(row["variant"])
    values = {name: found and str(getattr(found, name)) for name in OUTCOMES}
    values |= {name: found and f"{getattr(found, name):.2f}" for name in RATES}
    reason = "not published" if found else NO_MRI
    yield (
        {"variant": row["variant"], "convention": "published", "reason": reason}
        | dict.fromkeys(("misplaced", "small_truth"))
        | values
    )


def reading_overlap_table(source: Source, title: str, explanation: str) -> Table:
    columns: Columns = {
        "Variant": source.label,
        "Reading": lambda row: READINGS[row["reading"]],
        "Model and threshold chosen on": _chosen_on,
        "Threshold": scores("threshold"),
        "Pooled Dice": scores("pooled_dice"),
        "Pooled Jaccard": scores("pooled_jaccard"),
        "Mean over": _mean_over,
        "at threshold": scores("slice_threshold"),
        "Slices": wholes("n"),
        "Mean Dice": scores("dice"),
        "Mean Jaccard": scores("jaccard"),
    }
    if source.papers:
        columns["Published: pooled Dice / mean Dice"] = _published_reading
    return table(title, explanation, columns, source.tables["protocol"])


def reading_outcome_table(source: Source, title: str, explanation: str) -> Table:
    columns: Columns = {
        "Variant": source.label,
        "Reading": lambda row: READINGS[row["reading"]],
        "Counted by": lambda row: row["convention"],
        **{head: wholes(name) for name, head in OUTCOMES.items()},
        **{name.capitalize(): scores(name) for name in RATES},
        "Median model": lambda row: known(row, "trial_ids", str),
    }
    rows = source.tables["protocol"]
    if source.papers:
        rows = [each for row in rows for each in (row, *_published_reading_outcomes(row))]
    return table(title, explanation, columns, rows)


def _published_reading_outcomes(row: Row) -> Iterator[Row]:
    """The paper's Table 3 below the reading that it was made by."""
    if row["reading"] == "as_written":
        for each in _published_outcomes(row):
            yield each | {"reading": "published", "convention": "overlap", "trial_ids": None}


def _mean_over(row: Row) -> str:
    """True positives by the reading's convention: the paper's leaves out those of Table 2 that are misplaced."""
    beside = row["slice_set"] == "true_positive" and row["convention"] != "slice"
    return SETS[row["slice_set"]] + (", misplaced ones left out" if beside else "")


def _chosen_on(row: Row) -> str:
    same = row["median_on"] == row["threshold_on"]
    return row["median_on"] if same else f"{row['median_on']}, {row['threshold_on']}"


def _published_reading(row: Row) -> Cell | str:
    if row["reading"] != "as_written":
        return ""
    if row["variant"] not in paper.PUBLISHED:
        return Cell(DASH, NO_MRI)
    found = paper.PUBLISHED[row["variant"]]
    return f"{found.pooled_dice:.2f} / {found.slice_dice[0]:.2f}"
