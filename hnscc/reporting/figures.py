"""The report's charts: pure functions of table rows, giving a Figure, or None where there is nothing to draw.

A variant has one label and one colour in all of them (`Look`); the colours are Okabe and Ito's, which
colour-blind readers tell apart, and nothing is told by colour alone. The same rows give the same bytes.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hnscc.reporting.blocks import Row, between, score, signed

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#5f6368"
OUTCOMES = {
    "tp": ("true positive", "#0072B2", "o"),
    "fp": ("false positive", "#D55E00", "^"),
    "fn": ("false negative", "#CC79A7", "v"),
    "tn": ("true negative", "#7f7f7f", "s"),
}
STYLE = {
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "hnscc",
    "svg.fonttype": "path",
}
# Used as a decorator: the reader's own matplotlib settings change no figure, and none of ours leak out.
styled = style.context(["default", STYLE])
WIDTH = 7.4  # inches: the text width of a printed page
DPI = 150


@dataclass(frozen=True)
class Look:
    label: str
    colour: str


Looks = Mapping[str, Look]  # variant -> look, in the study's order


def looks_of(labels: Mapping[str, str]) -> dict[str, Look]:
    """variant -> label, in the study's order, to variant -> look."""
    return {
        variant: Look(label, PALETTE[place % len(PALETTE)])
        for place, (variant, label) in enumerate(labels.items())
    }


@styled
def render(figure: Figure) -> tuple[bytes, bytes]:
    """The figure as PNG and as SVG, without date or program in their metadata."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    figure.set_layout_engine("none")  # the layout is found; finding it again takes as long as drawing
    figure.savefig(svg, format="svg", dpi=DPI, metadata={"Date": None, "Creator": None})
    return png.getvalue(), svg.getvalue()


@styled
def dice_over_repeats(trials: Sequence[Row], looks: Looks) -> Figure | None:
    """One dot per completed repeat (and fold): pooled test Dice at 0.5, with quartiles, the median model marked."""
    done = [row for row in trials if row["test_dice"] is not None]
    if not done:
        return None
    figure = Figure(figsize=(WIDTH, 1.25 + 0.75 * len(looks)), layout="constrained")
    axes = figure.subplots()
    for place, (variant, look) in enumerate(looks.items()):
        rows = [row for row in done if row["variant"] == variant]
        _strip(axes, place, look, rows)
    axes.set_yticks(range(len(looks)), [_wrapped(look.label) for look in looks.values()])
    axes.set_ylim(len(looks) - 0.4, -0.6)
    axes.set_xlabel("pooled Dice of the test slices at threshold 0.5 (1 = same outline, 0 = no common pixel)")
    axes.grid(axis="x", color="#e3e5e8")
    axes.set_axisbelow(True)
    figure.legend(handles=_strip_legend(), loc="outside upper left", ncols=3)
    return figure


def _strip(axes: Axes, place: int, look: Look, rows: Sequence[Row]) -> None:
    if not rows:
        axes.text(0.01, place, "no completed repeat", transform=axes.get_yaxis_transform(), va="center")
        return
    dice = np.array([row["test_dice"] for row in rows])
    offset = place + 0.09 * spread_out(dice, width=0.012)
    low, middle, high = np.quantile(dice, [0.25, 0.5, 0.75])
    axes.plot([low, high], [place, place], color=look.colour, alpha=0.3, lw=9, solid_capstyle="butt")
    axes.plot([middle, middle], [place - 0.3, place + 0.3], color=look.colour, lw=2)
    axes.scatter(dice, offset, s=30, color=look.colour, edgecolor="white", lw=0.5, zorder=3)
    text = f"{score(float(middle))}\nn = {len(rows)}"
    axes.text(1.01, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    chosen = np.array([row["is_median"] for row in rows])
    axes.scatter(dice[chosen], offset[chosen], s=110, facecolor="none", edgecolor="black", lw=1.6, zorder=4)


def spread_out(values: np.ndarray, width: float) -> np.ndarray:
    """Steps 0, 1, -1, 2 ... for each value (N,), so that values closer than `width` get different steps."""
    steps = np.zeros(len(values))
    placed: list[tuple[float, int]] = []
    for each in np.argsort(values, kind="stable"):
        taken = {step for value, step in placed if values[each] - value < width}
        step = next(s for n in range(len(values) + 1) for s in (n, -n) if s not in taken)
        placed.append((values[each], step))
        steps[each] = step
    return np.clip(steps, -4, 4)


def _strip_legend() -> list[Line2D]:
    ring = {"marker": "o", "ls": "", "markerfacecolor": "none", "markeredgecolor": "black"}
    return [
        Line2D([], [], marker="o", ls="", color=GREY, label="one repeat"),
        Line2D([], [], **ring, ms=10, label="median model (chosen on validation)"),
        Line2D(
            [],
            [],
            color=GREY,
            marker="|",
            ms=12,
            mew=2,
            lw=7,
            alpha=0.5,
            label="median (number at the right), quartiles",
        ),
    ]


@styled
def learning_curves(epochs: Sequence[Row], looks: Looks) -> Figure | None:
    """Per variant the validation soft Jaccard and both losses: each repeat, their median and quartiles."""
    present = {variant: look for variant, look in looks.items() if _of(epochs, variant)}
    if not present:
        return None
    figure = Figure(figsize=(WIDTH, 0.6 + 1.9 * len(present)), layout="constrained")
    grid = figure.subplots(len(present), 2, squeeze=False, sharex=True, sharey="col")
    for (left, right), (variant, look) in zip(grid, present.items(), strict=True):
        rows = _of(epochs, variant)
        _band(left, curves(rows, "val_soft_jaccard"), look.colour, "-")
        _band(right, curves(rows, "val_loss"), look.colour, "-")
        _band(right, curves(rows, "train_loss"), GREY, "--")
        left.set_title(f"{look.label}: validation soft Jaccard")
        right.set_title("loss (logarithmic)")
        right.set_yscale("log", nonpositive="clip")
    lines = [Line2D([], [], color="black", label="validation"), Line2D([], [], color=GREY, ls="--")]
    lines[1].set_label("training")
    grid[0, 1].legend(handles=lines, loc="upper right")
    figure.supxlabel("epoch", fontsize=10)
    return figure


def curves(rows: Sequence[Row], column: str) -> np.ndarray:
    """One line per trial, (trials, longest): null, and epochs after a trial's end, are NaN."""
    order = {trial: place for place, trial in enumerate(dict.fromkeys(row["trial_id"] for row in rows))}
    table = np.full((len(order), max(row["epoch"] for row in rows)), np.nan)
    for row in rows:
        if row[column] is not None:
            table[order[row["trial_id"]], row["epoch"] - 1] = row[column]
    return table


def median_band(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Epochs (E,) at which at least half of the trials still train, and their quartiles (3, E)."""
    kept = np.flatnonzero(2 * np.isfinite(table).sum(axis=0) >= max(len(table), 1))
    return kept + 1, np.array([np.nanquantile(table[:, kept], q, axis=0) for q in (0.25, 0.5, 0.75)])


def _band(axes: Axes, table: np.ndarray, colour: str, line: str) -> None:
    epochs = np.arange(1, table.shape[1] + 1)
    for each in table:
        axes.plot(epochs, each, color=colour, lw=0.5, alpha=0.45, ls=line)
    kept, (low, middle, high) = median_band(table)
    axes.fill_between(kept, low, high, color=colour, alpha=0.2, lw=0)
    axes.plot(kept, middle, color=colour, lw=2, ls=line, marker="o" if len(kept) < 3 else None, ms=4)
    axes.grid(axis="y", color="#e3e5e8")


def panels(number: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of up to two panels a row that share both axes; axes that are not needed are removed."""
    columns = min(number, 2)
    rows = math.ceil(number / columns)
    figure = Figure(figsize=(WIDTH, 0.9 + height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[number:]:
        axes.remove()
    for axes in grid[max(0, number - columns) : number]:
        axes.tick_params(labelbottom=True)
    return figure, list(grid[:number])


@styled
def threshold_curves(thresholds: Sequence[Row], looks: Looks) -> Figure | None:
    """Pooled Dice of the median model against the threshold, on validation and test; the chosen is marked."""
    present = {variant: look for variant, look in looks.items() if _of(thresholds, variant)}
    if not present:
        return None
    figure, grid = panels(len(present), 2.3)
    for axes, (variant, look) in zip(grid, present.items(), strict=True):
        rows = _of(thresholds, variant)
        for fold in sorted({row["fold"] for row in rows}):
            for split, line in (("validation", "--"), ("test", "-")):
                part = [row for row in rows if (row["fold"], row["split"]) == (fold, split)]
                _threshold_line(axes, part, look.colour, line)
        chosen = dict.fromkeys(score(row["threshold"]) for row in rows if row["chosen"])
        axes.set_title(f"{look.label}: {', '.join(chosen)}" if chosen else f"{look.label}: none chosen")
        axes.grid(color="#e3e5e8")
    lines = [
        Line2D([], [], color="black", ls="--", label="validation (chooses)"),
        Line2D([], [], color="black", label="test"),
        Line2D([], [], color="black", marker="o", ls="", label="chosen threshold"),
    ]
    figure.legend(handles=lines, loc="outside upper left", ncols=3)
    figure.supxlabel("threshold: a pixel counts as lesion from this probability on", fontsize=10)
    figure.supylabel("pooled Dice", fontsize=10)
    return figure


def _threshold_line(axes: Axes, rows: Sequence[Row], colour: str, line: str) -> None:
    rows = sorted(rows, key=lambda row: row["threshold"])
    axes.plot([row["threshold"] for row in rows], [row["dice"] for row in rows], color=colour, ls=line)
    for row in rows:
        if row["chosen"]:
            axes.axvline(row["threshold"], color=GREY, lw=0.7)
            axes.plot(row["threshold"], row["dice"], "o", color=colour, mec="white", ms=6)


@styled
def pixel_counts(
    slices: Sequence[Row], regression: Sequence[Row], looks: Looks, cutoff_px: int
) -> Figure | None:
    """Fig. 4: predicted against true pixels of the median model's test slices, coloured by their outcome."""
    present = {variant: look for variant, look in looks.items() if _of(slices, variant)}
    if not present:
        return None
    largest = max(max(row["truth_px"], row["pred_px"]) for row in slices)
    reach = max(1.05 * largest, 4 * cutoff_px)
    figure, grid = panels(len(present), 3.1)
    for axes, (variant, look) in zip(grid, present.items(), strict=True):
        _scatter(axes, _of(slices, variant))
        axes.plot([0, reach], [0, reach], color=GREY, lw=1, ls=":")
        for mark in (axes.axvline, axes.axhline):
            mark(cutoff_px, color=GREY, lw=0.6)
        _regression(axes, _of(regression, variant), look, reach)
        axes.set(xlim=(-0.03 * reach, reach), ylim=(-0.03 * reach, reach))
    figure.legend(handles=_outcome_legend(cutoff_px), loc="outside upper left", ncols=4)
    figure.supxlabel("pixels inside the reference outline", fontsize=10)
    figure.supylabel("pixels inside the model's outline", fontsize=10)
    return figure


def _scatter(axes: Axes, rows: Sequence[Row]) -> None:
    for outcome, (_, colour, marker) in OUTCOMES.items():
        part = [row for row in rows if row["outcome"] == outcome]
        x, y = [row["truth_px"] for row in part], [row["pred_px"] for row in part]
        axes.scatter(x, y, s=26, color=colour, marker=marker, alpha=0.75, lw=0)
    wrong = [row for row in rows if row["misplaced"]]
    x, y = [row["truth_px"] for row in wrong], [row["pred_px"] for row in wrong]
    axes.scatter(x, y, s=110, facecolor="none", edgecolor="black", lw=1)


def _regression(axes: Axes, rows: Sequence[Row], look: Look, reach: float) -> None:
    line = rows[0] if rows else {"slope": None, "r2": None}
    if line["slope"] is None:
        axes.set_title(f"{look.label}: no line")
        return
    ends = np.array([0, reach])
    axes.plot(ends, line["intercept"] + line["slope"] * ends, color="black", lw=1.8)
    r2 = "none" if line["r2"] is None else f"{line['r2']:.2f}"
    axes.set_title(f"{look.label}: slope {line['slope']:.2f}, R² {r2}")


def _outcome_legend(cutoff_px: int) -> list[Line2D]:
    dots = [Line2D([], [], marker=m, ls="", color=c, label=name) for name, c, m in OUTCOMES.values()]
    ring = {"marker": "o", "ls": "", "markerfacecolor": "none", "markeredgecolor": "black", "ms": 10}
    return [
        *dots,
        Line2D([], [], **ring, label="misplaced"),
        Line2D([], [], color="black", lw=2, label="regression line"),
        Line2D([], [], color=GREY, ls=":", label="equal counts"),
        Line2D([], [], color=GREY, lw=0.6, label=f"cut-off, {cutoff_px} pixels"),
    ]


@styled
def differences(comparisons: Sequence[Row], looks: Looks) -> Figure | None:
    """Forest plot of the bootstrapped differences in pooled Dice between variants, with 95 % intervals."""
    rows = [row for row in comparisons if row["difference"] is not None]
    if not rows:
        return None
    figure = Figure(figsize=(WIDTH, 1.1 + 0.48 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color="black", lw=1)
    for place, row in enumerate(rows):
        _difference(axes, place, row)
    names = [f"{looks[row['variant_a']].label}\nminus {looks[row['variant_b']].label}" for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    reach = 1.15 * max(
        abs(value) for row in rows for value in (row["difference"], row["low"] or 0, row["high"] or 0)
    )
    axes.set_xlim(-max(reach, 0.01), max(reach, 0.01))
    axes.set_xlabel(
        "difference in pooled test Dice (right of 0: the first one scored higher; grey: interval includes 0)"
    )
    axes.grid(axis="x", color="#e3e5e8")
    axes.set_axisbelow(True)
    return figure


def _difference(axes: Axes, place: int, row: Row) -> None:
    value = row["difference"]
    known = row["low"] is not None
    colour = PALETTE[0] if known and not row["low"] <= 0 <= row["high"] else GREY
    if known:
        axes.plot([row["low"], row["high"]], [place, place], color=colour, lw=2.5)
    axes.plot(value, place, "o", color=colour, mfc=colour if known else "white", ms=7)
    around = between(signed(row["low"]), signed(row["high"])) if known else "(no interval)"
    text = f"{signed(value)} {around}"
    axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=9)


def _of(rows: Sequence[Row], variant: str) -> list[Row]:
    return [row for row in rows if row["variant"] == variant]


def _wrapped(label: str) -> str:
    """A long label over two lines, broken at a space near its middle where it has one."""
    spaces = [place for place, letter in enumerate(label) if letter == " "]
    if len(label) <= 16 or not spaces:
        return label
    best = min(spaces, key=lambda place: abs(place - len(label) / 2))
    return f"{label[:best]}\n{label[best + 1 :]}"
