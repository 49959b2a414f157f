"""Figs. 2 and 3: truth and prediction over the images, for slices that are chosen by rule and not by eye."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from hnscc.reporting.blocks import Row
from hnscc.reporting.figures import Looks, styled

KINDS = {
    "best": "best lesion slice",
    "median": "median lesion slice",
    "worst": "worst lesion slice",
    "false_positive": "false alarm",
}
TRUTH, PREDICTION = (
    "#ffffff",
    "#00e5ff",
)  # white solid and cyan dashed: apart on grey and on orange, and by line
UPTAKE = "pet"
# Dark red to yellow: neither black nor white, which belong to the anatomy and to the reference outline.
FUSED = LinearSegmentedColormap.from_list("fused", matplotlib.colormaps["hot"](np.linspace(0.15, 0.8, 256)))
ALONE = matplotlib.colormaps["inferno"]
OPACITY = 0.65
SMALLEST_VIEW_MM = 45.0


@dataclass(frozen=True)
class Example:
    """One slice. images: modality -> float32 (H, W) in raw units; truth, predicted: bool (H, W).

    spacing_mm: between rows, between columns. row: of table `slices`.
    """

    row: Row
    images: Mapping[str, np.ndarray]
    truth: np.ndarray
    predicted: np.ndarray
    spacing_mm: tuple[float, float]


def choose_examples(slices: Sequence[Row], cutoff_px: int) -> dict[str, Row | None]:
    """The rows of one median model's test slices to show; None where there is none of a kind.

    Of the slices with lesion the best, the lower median and the worst by Dice (of equals the larger lesion,
    then by scan and slice); of those without, the one with the most predicted pixels, from the cut-off on. A
    slice is shown once: with one lesion slice there is no median and no worst.
    """
    lesion = sorted((row for row in slices if row["truth_px"] > 0), key=_rank)
    alarms = [row for row in slices if row["truth_px"] == 0 and row["pred_px"] >= cutoff_px]
    alarm = min(alarms, key=lambda row: (-row["pred_px"], row["scan_id"], row["z"]), default=None)
    return {
        "best": lesion[0] if lesion else None,
        "median": lesion[len(lesion) // 2] if len(lesion) > 2 else None,
        "worst": _worst(lesion) if len(lesion) > 1 else None,
        "false_positive": alarm,
    }


def _rank(row: Row) -> tuple:
    return (-row["dice"], -row["truth_px"], row["scan_id"], row["z"])


def _worst(lesion: Sequence[Row]) -> Row:
    """Of the lowest Dice the largest lesion: of several missed, the gravest. Never the best or the median."""
    lowest = lesion[-1]["dice"]
    middle = len(lesion) // 2 if len(lesion) > 2 else 0
    return next(row for row in lesion[middle + 1 :] if row["dice"] == lowest)


@styled
def examples_figure(
    examples: Mapping[str, Mapping[str, Example | None]], kinds: Sequence[str], looks: Looks
) -> Figure | None:
    """A row per variant; for each kind the whole slice and an enlarged part with both outlines.

    examples[variant][kind], all kinds: those not drawn still count for the window of the uptake, which is the
    same in all figures. None where there is none to show.
    """
    shown = [example for each in examples.values() for kind in kinds if (example := each.get(kind))]
    if not shown:
        return None
    variants = list(examples)
    figure = Figure(figsize=(2.3 * 2 * len(kinds), 0.75 + 2.6 * len(variants)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.04)
    window = uptake_window([each for kind in examples.values() for each in kind.values() if each])
    grid = figure.subplots(len(variants), 2 * len(kinds), squeeze=False)
    for panels, variant in zip(grid, variants, strict=True):
        panels[0].set_ylabel(looks[variant].label, fontsize=12, color=looks[variant].colour, weight="bold")
        for place, kind in enumerate(kinds):
            _draw(panels[2 * place], panels[2 * place + 1], examples[variant].get(kind), kind, window)
    _legend(figure, shown, window, grid)
    return figure


def uptake_window(examples: Sequence[Example]) -> float:
    """The uptake shown at full strength: the 99.5th percentile of the PET slices; 1 where there is none."""
    shown = [each.images[UPTAKE].ravel() for each in examples if UPTAKE in each.images]
    high = float(np.percentile(np.concatenate(shown), 99.5)) if shown else 1.0
    return high if high > 0 else 1.0


def _draw(whole: Axes, part: Axes, example: Example | None, kind: str, window: float) -> None:
    for axes in (whole, part):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    if example is None:
        none = "no false alarm" if kind == "false_positive" else f"no {KINDS[kind]}"
        whole.text(0.5, 0.5, none, transform=whole.transAxes, ha="center", va="center")
        return
    row = example.row
    score = f"{row['pred_px']} pixels marked" if kind == "false_positive" else f"Dice {row['dice']:.2f}"
    whole.set_title(KINDS[kind])
    part.set_title(score, weight="bold")
    rows, columns = view(example)
    for axes in (whole, part):
        _background(axes, example, window)
        axes.set_aspect(example.spacing_mm[0] / example.spacing_mm[1])
    place = (columns.start - 0.5, rows.start - 0.5)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    whole.add_patch(Rectangle(place, *size, fill=False, color="white", lw=0.8))
    whole.text(0.02, 0.5, "R", color="white", transform=whole.transAxes, va="center", fontsize=9)
    part.set(xlim=(place[0], place[0] + size[0]), ylim=(place[1] + size[1], place[1]))
    _outline(part, example.truth, TRUTH, "solid")
    _outline(part, example.predicted, PREDICTION, "dashed")
    _scale_bar(part, example, rows, columns)


def view(example: Example) -> tuple[slice, slice]:
    """Rows and columns of the enlarged part: a square in mm around both outlines, inside the slice."""
    both = example.truth | example.predicted
    height, width = both.shape
    dy, dx = example.spacing_mm
    found = np.nonzero(both if both.any() else np.ones_like(both))
    spans = [(each.min(), each.max() + 1) for each in found]
    extents = [(stop - start) * step for (start, stop), step in zip(spans, (dy, dx), strict=True)]
    side = min(max(1.5 * max(extents), SMALLEST_VIEW_MM), height * dy, width * dx)
    return _around(spans[0], round(side / dy), height), _around(spans[1], round(side / dx), width)


def _around(span: tuple[int, int], length: int, limit: int) -> slice:
    length = min(max(length, 1), limit)
    start = int(np.clip((span[0] + span[1] - length) // 2, 0, limit - length))
    return slice(start, start + length)


def anatomy(images: Mapping[str, np.ndarray]) -> str | None:
    """The modality shown in grey: mri, else ct, else the first that is not PET."""
    others = [name for name in images if name != UPTAKE]
    return next((name for name in ("mri", "ct") if name in others), others[0] if others else None)


def _background(axes: Axes, example: Example, window: float) -> None:
    below = anatomy(example.images)
    if below is not None:
        low, high = np.percentile(example.images[below], [1, 99.5])
        axes.imshow(example.images[below], cmap="gray", vmin=low, vmax=max(high, low + 1e-9))
    if UPTAKE in example.images:
        uptake = np.clip(example.images[UPTAKE] / window, 0, 1)
        if below is None:
            axes.imshow(uptake, cmap=ALONE, vmin=0, vmax=1)
        else:
            axes.imshow(uptake, cmap=FUSED, vmin=0, vmax=1, alpha=OPACITY * np.minimum(1.5 * uptake, 1))


def _outline(axes: Axes, mask: np.ndarray, colour: str, line: str) -> None:
    if mask.any() and not mask.all():
        lines = axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.6, linestyles=line)
        lines.set(path_effects=[withStroke(linewidth=2.6, foreground="black")])


def _scale_bar(axes: Axes, example: Example, rows: slice, columns: slice) -> None:
    length = 20 / example.spacing_mm[1]
    x = columns.start + 0.05 * (columns.stop - columns.start)
    y = rows.stop - 0.07 * (rows.stop - rows.start)
    bar = {"color": "white", "path_effects": [withStroke(linewidth=4, foreground="black")]}
    axes.plot([x, x + length], [y, y], lw=2.5, **bar)
    bar["path_effects"] = [withStroke(linewidth=2, foreground="black")]
    axes.text(x, y - 0.03 * (rows.stop - rows.start), "20 mm", fontsize=8, **bar)


def _legend(figure: Figure, shown: Sequence[Example], window: float, grid: np.ndarray) -> None:
    lines = [
        Line2D([], [], color=TRUTH, lw=2, label="reference outline (truth)"),
        Line2D([], [], color=PREDICTION, lw=2, ls="--", label="model's outline (prediction)"),
    ]
    box = figure.legend(handles=lines, loc="outside upper left", ncols=2, frameon=True, fontsize=10)
    box.get_frame().set(facecolor="#33373b", edgecolor="none")
    for text in box.get_texts():
        text.set_color("white")
    if any(UPTAKE in each.images for each in shown):
        colours = FUSED if any(anatomy(each.images) for each in shown) else ALONE
        scale = ScalarMappable(Normalize(0, window), colours)
        bar = figure.colorbar(scale, ax=grid, location="bottom", shrink=0.4, aspect=40, pad=0.02)
        bar.set_label("PET uptake, in the units of the scans (SUV where they are SUV)", fontsize=9)
