"""These figures show how the training went: learning curves, and the choice of the threshold."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hnscc.aggregation.column_types import TableRow
from hnscc.reporting.plotting.style import (
    GREY,
    GRID,
    WIDTH,
    Appearances,
    of_variant,
    panels,
    present,
    styled,
    titled,
)
from hnscc.reporting.values import score
from hnscc.scores.describe import quartered


@styled
def learning_curves(epochs: Sequence[TableRow], appearances: Appearances) -> Figure | None:
    """Plot, for each variant, the validation soft Jaccard and both losses: each trial, their median, and from 4 trials
    on their quartiles.

    epochs: rows of table `epochs`.
    """
    shown = present(epochs, appearances)
    if not shown:
        return None
    figure = Figure(figsize=(WIDTH, 0.6 + 1.9 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), 2, squeeze=False, sharex=True, sharey="col")
    for (left, right), (variant, own) in zip(grid, shown.items(), strict=True):
        rows = of_variant(epochs, variant)
        _band(left, curves(rows, "val_soft_jaccard"), own.colour, "-")
        _band(right, curves(rows, "val_loss"), own.colour, "-")
        _band(right, curves(rows, "train_loss"), GREY, "--")
        titled(left, own.label, "validation soft Jaccard")
        right.set_title("loss (logarithmic)")
        right.set_yscale("log", nonpositive="clip")
    validation = Line2D([], [], color="black", label="validation")
    training = Line2D([], [], color=GREY, ls="--", label="training")
    grid[0, 1].legend(handles=[validation, training], loc="upper right")
    figure.supxlabel("epoch", fontsize=10)
    return figure


def curves(rows: Sequence[TableRow], column: str) -> npt.NDArray[np.float64]:
    """Return one line per trial, (T, E) for T trials and the epochs of the longest, in the unit of the column. Nulls,
    and epochs after a trial's end, are NaN."""
    order = {trial: position for position, trial in enumerate(dict.fromkeys(row["trial_id"] for row in rows))}
    values = np.full((len(order), max(row["epoch"] for row in rows)), np.nan)
    for row in rows:
        if row[column] is not None:
            values[order[row["trial_id"]], row["epoch"] - 1] = row[column]
    return values


def median_band(lines: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the epochs (E,), counted from 1, at which at least half of the trials still train, and the median and
    quartiles of the trials (3, E), in the unit of the lines. The quartiles are NaN where too few trials still train for
    quartiles. lines: (T, E), as of `curves`."""
    training = np.isfinite(lines).sum(axis=0)
    kept = np.flatnonzero(2 * training >= max(len(lines), 1))
    low, middle, high = (np.nanquantile(lines[:, kept], q, axis=0) for q in (0.25, 0.5, 0.75))
    few = [not quartered(int(each)) for each in training[kept]]
    low[few] = high[few] = np.nan
    return kept + 1, np.array([low, middle, high])


def _band(axes: Axes, lines: npt.NDArray[np.float64], colour: str, line: str) -> None:
    """Plot lines (T, E), as of `curves`: a thin line for each trial, their median and quartiles."""
    epochs = np.arange(1, lines.shape[1] + 1)
    for each in lines:
        axes.plot(epochs, each, color=colour, lw=0.5, alpha=0.45, ls=line)
    kept, (low, middle, high) = median_band(lines)
    axes.fill_between(kept, low, high, color=colour, alpha=0.2, lw=0)
    axes.plot(kept, middle, color=colour, lw=2, ls=line, marker="o" if len(kept) < 3 else None, ms=4)
    axes.grid(axis="y", color=GRID)


@styled
def threshold_curves(thresholds: Sequence[TableRow], appearances: Appearances) -> Figure | None:
    """Plot the median model's pooled Dice against the threshold, on validation and test; the chosen one is marked.

    thresholds: rows of table `thresholds`.
    """
    shown = present(thresholds, appearances)
    if not shown:
        return None
    figure, grid = panels(len(shown), 2.3)
    for axes, (variant, own) in zip(grid, shown.items(), strict=True):
        rows = of_variant(thresholds, variant)
        _threshold_lines(axes, rows, own.colour)
        chosen = dict.fromkeys(score(row["threshold"]) for row in rows if row["chosen"])
        titled(axes, own.label, ", ".join(chosen) or "none chosen")
        axes.grid(color=GRID)
    lines = [
        Line2D([], [], color="black", ls="--", label="validation (chooses)"),
        Line2D([], [], color="black", label="test"),
        Line2D([], [], color="black", marker="o", ls="", label="chosen threshold"),
    ]
    figure.legend(handles=lines, loc="outside upper left", ncols=3)
    figure.supxlabel("threshold: a pixel counts as lesion from this probability on", fontsize=10)
    figure.supylabel("pooled Dice", fontsize=10)
    return figure


def _threshold_lines(axes: Axes, rows: Sequence[TableRow], colour: str) -> None:
    """Plot one variant's curves, two per fold."""
    for fold in sorted({row["fold"] for row in rows}):
        for split, line in (("validation", "--"), ("test", "-")):
            part = [row for row in rows if (row["fold"], row["split"]) == (fold, split)]
            _threshold_line(axes, part, colour, line)


def _threshold_line(axes: Axes, rows: Sequence[TableRow], colour: str, line: str) -> None:
    rows = sorted(rows, key=lambda row: row["threshold"])
    axes.plot([row["threshold"] for row in rows], [row["dice"] for row in rows], color=colour, ls=line)
    for row in rows:
        if row["chosen"]:
            axes.axvline(row["threshold"], color=GREY, lw=0.7)
            axes.plot(row["threshold"], row["dice"], "o", color=colour, mec="white", ms=6)
