"""The section "How the training went": which trials ended and which did not, learning curves, and the choice
of thresholds."""

from collections.abc import Callable, Iterator

import pyarrow.compute as pc

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.query import read_table
from hnscc.base import fewest
from hnscc.reporting.blocks import Block, Cell, Points, ReportTable, Section, report_table
from hnscc.reporting.plotting import training as plotting
from hnscc.reporting.plotting.style import picture
from hnscc.reporting.source import Source
from hnscc.reporting.values import DASH, duration, number_range, wholes

STATUSES = ("completed", "failed", "missing")


def training(source: Source) -> Section:
    """Say what became of the trials, and show curves from the tables `epochs` and `thresholds`."""
    return Section("How the training went", tuple(_blocks(source)))


def _blocks(source: Source) -> Iterator[Block]:
    yield _training_block(source)
    lost = [row for row in source.tables["trials"] if row["status"] != "completed"]
    if lost:
        yield Points(
            "Trials that stand in no score",
            tuple(f"`{row['trial_id']}`: {row['status']}; {row['reason']}" for row in lost),
        )
    yield from picture(
        plotting.learning_curves(read_table(source.run, "epochs").to_pylist(), source.appearances),
        "learning",
        "Learning curves",
        "Thin lines are single trials; the thick line is their median and, of "
        f"{fewest.VALUES_FOR_QUARTILES} or more, the band their quartiles, shown while at least half of them still "
        "train.",
        "Validation soft Jaccard and losses against the epoch per variant",
    )
    yield from picture(
        plotting.threshold_curves(_held_out(source), source.appearances),
        "thresholds",
        "Choice of the threshold",
        "Pooled Dice of the median model at every threshold. The threshold is chosen on the validation "
        "curve (the middle of its best stretch); the test curve is shown only to see what another choice "
        "would have given.",
        "Pooled Dice against threshold on validation and test slices per variant",
    )


def _held_out(source: Source) -> list[TableRow]:
    rows = read_table(source.run, "thresholds")
    found: list[TableRow] = rows.filter(pc.not_equal(rows["split"], "train")).to_pylist()
    return found


def _training_block(source: Source) -> ReportTable:
    none = Cell(DASH, "no completed trial")
    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        "Variant": source.label,
        **{name.capitalize(): wholes(name) for name in (*STATUSES, "collapsed")},
        "Epochs trained": lambda row: number_range(row["epochs"]) if row["epochs"] else none,
        "Best epoch": lambda row: number_range(row["best"]) if row["best"] else none,
        "Median model": lambda row: row["median"] or none,
        "Training time, all": lambda row: duration(row["seconds"]),
    }
    return report_table(
        "Trials of each variant",
        "Collapsed: the model marks no pixel of any validation or test slice at threshold 0.5.",
        columns,
        [_summed(source, variant) for variant in source.appearances],
    )


def _summed(source: Source, variant: str) -> TableRow:
    """Say what became of one variant's trials."""
    rows = source.rows("trials", variant=variant)
    done = [row for row in rows if row["status"] == "completed"]
    return {
        "variant": variant,
        **{status: sum(row["status"] == status for row in rows) for status in STATUSES},
        "collapsed": sum(bool(row["collapsed"]) for row in done),
        "best": [row["best_epoch"] for row in done],
        "epochs": [row["epochs"] for row in done],
        "median": ", ".join(row["trial_id"] for row in rows if row["is_median"]),
        "seconds": sum(row["seconds"] or 0.0 for row in done),
    }
