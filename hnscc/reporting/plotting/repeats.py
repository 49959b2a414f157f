"""These figures show how far apart the repeats of a variant lie, and how far apart the variants lie."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hnscc.aggregation.column_types import TableRow
from hnscc.reporting.plotting.style import (
    GREY,
    WIDTH,
    Appearance,
    Appearances,
    ring,
    styled,
    with_grid_lines,
    wrapped,
)
from hnscc.reporting.values import between, score, signed
from hnscc.scores.describe import quartered


@styled
def dice_over_repeats(trials: Sequence[TableRow], appearances: Appearances) -> Figure | None:
    """Plot a dot per completed repeat (and fold) at its pooled test Dice at 0.5, with quartiles if there are 4 dots or
    more; the median model is marked. trials: rows of table `trials`."""
    done = [row for row in trials if row["test_dice"] is not None]
    if not done:
        return None
    names = [wrapped(own.label) for own in appearances.values()]
    tall = max(0.75, 0.18 * _most_lines(names))
    figure = Figure(figsize=(WIDTH, 1.25 + tall * len(appearances)), layout="constrained")
    axes = figure.subplots()
    for position, (variant, own) in enumerate(appearances.items()):
        _strip(axes, position, own, [row for row in done if row["variant"] == variant])
    axes.set_yticks(range(len(appearances)), names)
    axes.set_ylim(len(appearances) - 0.4, -0.6)
    # The label is centred on the figure, since the axes are too narrow for it beside long names.
    figure.supxlabel(
        "pooled Dice of the test slices at threshold 0.5 (1 = same outline, 0 = no common pixel)", fontsize=10
    )
    with_grid_lines(axes, "x")
    figure.legend(handles=_strip_legend(), loc="outside upper left", ncols=3)
    return figure


def _strip(axes: Axes, position: int, own: Appearance, rows: Sequence[TableRow]) -> None:
    """Plot one variant's row."""
    beside = axes.get_yaxis_transform()
    if not rows:
        axes.text(0.01, position, "no completed repeat", transform=beside, va="center")
        return
    dice = np.array([row["test_dice"] for row in rows])
    offset = position + 0.09 * spread_out(dice, width=0.012)
    low, middle, high = np.quantile(dice, [0.25, 0.5, 0.75])
    if quartered(len(rows)):
        axes.plot([low, high], [position] * 2, color=own.colour, alpha=0.3, lw=9, solid_capstyle="butt")
    axes.plot([middle, middle], [position - 0.3, position + 0.3], color=own.colour, lw=2)
    axes.scatter(dice, offset, s=30, color=own.colour, edgecolor="white", lw=0.5, zorder=3)
    text = f"{score(float(middle))}\nn = {len(rows)}"
    axes.text(1.01, position, text, transform=beside, va="center", fontsize=9)
    chosen = np.array([row["is_median"] for row in rows])
    axes.scatter(dice[chosen], offset[chosen], s=110, facecolor="none", edgecolor="black", lw=1.6, zorder=4)


def spread_out(values: npt.NDArray[np.float64], width: float) -> npt.NDArray[np.float64]:
    """Return a step for each value, 0, 1, -1, 2 ..., at most 4 to either side, such that values closer than `width` get
    different steps and their dots do not cover each other. values and steps: both (N,). values and width are in the
    same unit, whichever it is."""
    steps = np.zeros(len(values))
    placed: list[tuple[float, int]] = []
    for each in np.argsort(values, kind="stable"):
        taken = {step for value, step in placed if values[each] - value < width}
        step = next(s for n in range(len(values) + 1) for s in (n, -n) if s not in taken)
        placed.append((values[each], step))
        steps[each] = step
    return np.clip(steps, -4, 4)


def _strip_legend() -> list[Line2D]:
    quartiles = Line2D([], [], color=GREY, marker="|", ms=12, mew=2, lw=7, alpha=0.5)
    quartiles.set_label("median (number at the right), quartiles")
    return [
        Line2D([], [], marker="o", ls="", color=GREY, label="one repeat"),
        ring("median model (chosen on validation)"),
        quartiles,
    ]


@styled
def forest_plot(comparisons: Sequence[TableRow], appearances: Appearances) -> Figure | None:
    """Make a forest plot of the differences in pooled Dice between variants, with 95 % intervals.

    comparisons: rows of table `comparisons`, one per pair.
    """
    rows = [row for row in comparisons if row["difference"] is not None]
    if not rows:
        return None
    pairs = [[appearances[row[f"variant_{side}"]].label for side in "ab"] for row in rows]
    names = [f"{wrapped(a, 28)}\nminus {wrapped(b, 28)}" for a, b in pairs]
    tall = max(0.48, 0.17 * _most_lines(names))
    figure = Figure(figsize=(WIDTH, 1.25 + tall * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="black", lw=1)
    for position, row in enumerate(rows):
        _difference(axes, position, row)
    axes.set_yticks(range(len(rows)), names, fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    reach = max(0.01, 1.15 * max(abs(row[end] or 0) for row in rows for end in ("difference", "low", "high")))
    axes.set_xlim(-reach, reach)
    figure.supxlabel(
        "difference in pooled test Dice\n(right of 0: the first one scored higher; grey: interval includes 0)",
        fontsize=10,
    )
    with_grid_lines(axes, "x")
    return figure


def _most_lines(names: Sequence[str]) -> int:
    return max(name.count("\n") + 1 for name in names)


def _difference(axes: Axes, position: int, row: TableRow) -> None:
    """Plot one pair's row."""
    value = row["difference"]
    known = row["low"] is not None
    colour = "black" if known and not row["low"] <= 0 <= row["high"] else GREY
    if known:
        axes.plot([row["low"], row["high"]], [position, position], color=colour, lw=2.5)
    axes.plot(value, position, "o", color=colour, mfc=colour if known else "white", ms=7)
    around = between(signed(row["low"]), signed(row["high"])) if known else "(no interval)"
    text = f"{signed(value)} {around}"
    axes.text(1.02, position, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
