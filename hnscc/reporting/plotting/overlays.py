"""Figs. 2 and 3 show slices with the true and the models' outlines over the images.

`sections.examples` decides which slices are shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import AbstractPathEffect, withStroke

from hnscc.aggregation.column_types import TableRow
from hnscc.base.in_words import count_of
from hnscc.reporting.plotting.style import UPTAKE, Appearances, anatomy, styled, wrapped

KINDS = {
    "best": "best lesion slice",
    "median": "median lesion slice",
    "worst": "worst lesion slice",
    "false_positive": "false alarm",
}
# White solid and cyan dashed lines differ in colour on grey and on orange, and in their strokes.
TRUTH, PREDICTION = "#ffffff", "#00e5ff"
# From dark red to yellow, without black and white, which belong to the anatomy and to the true outline.
FUSED = LinearSegmentedColormap.from_list("fused", matplotlib.colormaps["hot"](np.linspace(0.15, 0.8, 256)))
ALONE = matplotlib.colormaps["inferno"]
OPACITY = 0.65
SMALLEST_VIEW_MM = 45.0


@dataclass(frozen=True)
class Example:
    """One slice to show.

    row: its row of table `slices`. images: maps each modality to float32 (H, W) in raw values. truth, predicted: bool
    (H, W). spacing_mm: the distance between rows, then between columns.
    """

    row: TableRow
    images: Mapping[str, npt.NDArray[np.float32]]
    truth: npt.NDArray[np.bool_]
    predicted: npt.NDArray[np.bool_]
    spacing_mm: tuple[float, float]


@styled
def examples_figure(
    examples: Mapping[str, Mapping[str, Example | None]], kinds: Sequence[str], appearances: Appearances
) -> Figure | None:
    """Show a row per variant, and in it for each kind the whole slice and an enlarged part with both outlines.

    examples: maps variants to kinds (all of `KINDS`) to slices. Kinds that this figure does not show still count for
    the window of the uptake, so that it is the same in all figures. None where there is nothing to show.
    """
    shown = [example for each in examples.values() for kind in kinds if (example := each.get(kind))]
    if not shown:
        return None
    size = (2.3 * 2 * len(kinds), 0.75 + 2.6 * len(examples))
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.04))
    window = uptake_window([each for kind in examples.values() for each in kind.values() if each])
    grid = figure.subplots(len(examples), 2 * len(kinds), squeeze=False)
    for panels, (variant, of_kind) in zip(grid, examples.items(), strict=True):
        panels[0].set_ylabel(
            wrapped(appearances[variant].label), fontsize=12, color=appearances[variant].colour, weight="bold"
        )
        for position, kind in enumerate(kinds):
            _show(panels[2 * position], panels[2 * position + 1], of_kind.get(kind), kind, window)
    _legend(figure)
    _uptake_scale(figure, shown, window, list(grid.ravel()))
    return figure


def uptake_window(examples: Sequence[Example]) -> float:
    """Return the uptake shown at full strength: the 99.5th percentile of the PET slices; 1 where there is none."""
    shown = [each.images[UPTAKE].ravel() for each in examples if UPTAKE in each.images]
    high = float(np.percentile(np.concatenate(shown), 99.5)) if shown else 1.0
    return high if high > 0 else 1.0


def _show(whole: Axes, part: Axes, example: Example | None, kind: str, window: float) -> None:
    """Show one slice in its two panels, or say that there is none of the kind."""
    for axes in (whole, part):
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    if example is None:
        none = "no false alarm" if kind == "false_positive" else f"no {KINDS[kind]}"
        whole.text(0.5, 0.5, none, transform=whole.transAxes, ha="center", va="center")
        return
    row = example.row
    score = (
        f"{count_of(row['pred_px'], 'pixel')} marked"
        if kind == "false_positive"
        else f"Dice {row['dice']:.2f}"
    )
    whole.set_title(KINDS[kind])
    part.set_title(score, weight="bold")
    rows, columns = view(example)
    for axes in (whole, part):
        background(axes, example, window)
        axes.set_aspect(example.spacing_mm[0] / example.spacing_mm[1])
    _frame(whole, part, rows, columns)
    outline(part, example.truth, TRUTH, "solid")
    outline(part, example.predicted, PREDICTION, "dashed")
    _scale_bar(part, example, rows, columns)


def _frame(whole: Axes, part: Axes, rows: slice, columns: slice) -> None:
    """Draw a frame in the whole slice around the part that the other panel enlarges."""
    left, top = columns.start - 0.5, rows.start - 0.5
    width, height = columns.stop - columns.start, rows.stop - rows.start
    whole.add_patch(Rectangle((left, top), width, height, fill=False, color="white", lw=0.8))
    whole.text(0.02, 0.5, "R", color="white", transform=whole.transAxes, va="center", fontsize=9)
    part.set(xlim=(left, left + width), ylim=(top + height, top))


def view(example: Example) -> tuple[slice, slice]:
    """Return the rows and columns of the enlarged part, which is a square in mm around both outlines, inside
    the slice."""
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


def background(axes: Axes, example: Example, window: float) -> None:
    """Show a slice's images: the anatomy in grey, and over it the uptake, at full strength from `window` on."""
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


def outline(axes: Axes, mask: npt.NDArray[np.bool_], colour: str, line: str) -> None:
    """Draw the outline of a mask (H, W) in a matplotlib colour and line style, closed where it meets the border of the
    slice; none where the mask is empty."""
    if mask.any():
        axes.autoscale(False)  # the panel stays as large as the slice
        height, width = mask.shape
        places = np.arange(-1, width + 1), np.arange(-1, height + 1)
        lines = axes.contour(
            *places, np.pad(mask, 1), levels=[0.5], colors=[colour], linewidths=1.6, linestyles=line
        )
        lines.set(path_effects=_edged(2.6))


def _scale_bar(axes: Axes, example: Example, rows: slice, columns: slice) -> None:
    length = 20 / example.spacing_mm[1]
    x = columns.start + 0.05 * (columns.stop - columns.start)
    y = rows.stop - 0.07 * (rows.stop - rows.start)
    axes.plot([x, x + length], [y, y], lw=2.5, color="white", path_effects=_edged(4))
    y -= 0.03 * (rows.stop - rows.start)
    axes.text(x, y, "20 mm", fontsize=8, color="white", path_effects=_edged(2))


def _edged(width: float) -> list[AbstractPathEffect]:
    """Return a black edge that keeps white lines and letters readable on any image."""
    return [withStroke(linewidth=width, foreground="black")]


def _legend(figure: Figure) -> None:
    lines = [
        Line2D([], [], color=TRUTH, lw=2, label="true outline"),
        Line2D([], [], color=PREDICTION, lw=2, ls="--", label="model's outline (prediction)"),
    ]
    box = figure.legend(handles=lines, loc="outside upper left", ncols=2, frameon=True, fontsize=10)
    box.get_frame().set(facecolor="#33373b", edgecolor="none")
    for text in box.get_texts():
        text.set_color("white")


def _uptake_scale(figure: Figure, shown: Sequence[Example], window: float, grid: list[Axes]) -> None:
    """Show the scale of the uptake below all panels, where any of them shows PET."""
    if any(UPTAKE in each.images for each in shown):
        colours = FUSED if any(anatomy(each.images) for each in shown) else ALONE
        scale = ScalarMappable(Normalize(0, window), colours)
        bar = figure.colorbar(scale, ax=grid, location="bottom", shrink=0.4, aspect=40, pad=0.02)
        bar.set_label("PET uptake, in the scans' unit of values (SUV where they are SUV)", fontsize=9)
