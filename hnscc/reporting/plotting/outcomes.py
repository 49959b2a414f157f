"""This figure shows how large the model's outline is compared with the true outline, and the outcome of each slice."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hnscc.aggregation.column_types import TableRow
from hnscc.base.in_words import count_of
from hnscc.reporting.plotting.style import (
    GREY,
    Appearance,
    Appearances,
    of_variant,
    panels,
    present,
    ring,
    styled,
    titled,
)

OUTCOMES = {
    "tp": ("true positive", "#0072B2", "o"),
    "fp": ("false positive", "#D55E00", "^"),
    "fn": ("false negative", "#CC79A7", "v"),
    "tn": ("true negative", "#7f7f7f", "s"),
}


@styled
def pixel_counts(
    slices: Sequence[TableRow], regression: Sequence[TableRow], appearances: Appearances, cutoff_px: int
) -> Figure | None:
    """Plot Fig. 4: predicted against true pixels of the median models' test slices, coloured by their outcome.

    slices: rows of table `slices`. regression: rows of table `regression`, at most one per variant.
    """
    shown = present(slices, appearances)
    if not shown:
        return None
    largest = max(max(row["truth_px"], row["pred_px"]) for row in slices)
    reach = max(1.05 * largest, 4 * cutoff_px)
    figure, grid = panels(len(shown), 3.1)
    for axes, (variant, own) in zip(grid, shown.items(), strict=True):
        _scatter(axes, of_variant(slices, variant))
        axes.plot([0, reach], [0, reach], color=GREY, lw=1, ls=":")
        for mark in (axes.axvline, axes.axhline):
            mark(cutoff_px, color=GREY, lw=0.6)
        _regression(axes, of_variant(regression, variant), own, reach)
        axes.set(xlim=(-0.03 * reach, reach), ylim=(-0.03 * reach, reach))
    figure.legend(handles=_legend(cutoff_px), loc="outside upper left", ncols=4)
    figure.supxlabel("pixels inside the true outline", fontsize=10)
    figure.supylabel("pixels inside the model's outline", fontsize=10)
    return figure


def _scatter(axes: Axes, rows: Sequence[TableRow]) -> None:
    for outcome, (_, colour, marker) in OUTCOMES.items():
        part = [row for row in rows if row["outcome"] == outcome]
        x, y = [row["truth_px"] for row in part], [row["pred_px"] for row in part]
        axes.scatter(x, y, s=26, color=colour, marker=marker, alpha=0.75, lw=0)
    wrong = [row for row in rows if row["misplaced"]]
    x, y = [row["truth_px"] for row in wrong], [row["pred_px"] for row in wrong]
    axes.scatter(x, y, s=110, facecolor="none", edgecolor="black", lw=1)


def _regression(axes: Axes, rows: Sequence[TableRow], own: Appearance, reach: float) -> None:
    line = rows[0] if rows else {"slope": None, "r2": None}
    if line["slope"] is None:
        titled(axes, own.label, "no line")
        return
    ends = np.array([0, reach])
    axes.plot(ends, line["intercept"] + line["slope"] * ends, color="black", lw=1.8)
    r2 = "none" if line["r2"] is None else f"{line['r2']:.2f}"
    titled(axes, own.label, f"slope {line['slope']:.2f}, R² {r2}")


def _legend(cutoff_px: int) -> list[Line2D]:
    dots = [Line2D([], [], marker=m, ls="", color=c, label=name) for name, c, m in OUTCOMES.values()]
    return [
        *dots,
        ring("misplaced"),
        Line2D([], [], color="black", lw=2, label="regression line"),
        Line2D([], [], color=GREY, ls=":", label="equal counts"),
        Line2D([], [], color=GREY, lw=0.6, label=f"cut-off, {count_of(cutoff_px, 'pixel')}"),
    ]
