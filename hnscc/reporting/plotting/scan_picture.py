"""The picture of a predicted scan: some of its slices, with the outlines of the prediction and of a given mask."""

from collections.abc import Mapping
from io import BytesIO

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hnscc.base.in_words import count_of
from hnscc.reporting.plotting.overlays import (
    PREDICTION,
    TRUTH,
    Example,
    background,
    outline,
    uptake_window,
)
from hnscc.reporting.plotting.style import UPTAKE, anatomy, styled

PANELS = 8
COLUMNS = 4
PANEL, HEADING = 2.6, 0.75  # inches; a layout found by matplotlib takes longer than everything else


@styled
def scan_picture(
    title: str,
    images: Mapping[str, npt.NDArray[np.float32]],
    predicted: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_] | None,
    pixel_mm: tuple[float, float],
) -> bytes:
    """Show up to eight slices as a PNG.

    images: of each modality (Z, H, W) in raw values. predicted, truth: (Z, H, W). pixel_mm: the distance between rows,
    then between columns. Slices run to posterior and to the patient's left. The slices shown are spread over those with
    lesion, and include the one with the most lesion; without lesion they are spread over the scan.
    """
    shown = slices_pictured(predicted if truth is None else predicted | truth)
    none = np.zeros(predicted.shape[1:], bool)
    examples = [
        Example(
            {},
            {name: image[z] for name, image in images.items()},
            none if truth is None else truth[z],
            predicted[z],
            pixel_mm,
        )
        for z in shown
    ]
    window = uptake_window(examples)
    figure, panels = _panels(len(shown))
    for axes, z, example in zip(panels, shown, examples, strict=False):
        axes.set_title(f"slice {z}: {count_of(int(example.predicted.sum()), 'pixel')} predicted")
        _show(axes, example, window)
    _heading(figure, f"{title}\n{_shown_as(images, window)}", truth is not None)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=110, metadata={"Software": None})
    return file.getvalue()


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Return a figure with room for a heading and, in rows, for so many slices, and its empty panels without axes."""
    rows = -(-count // COLUMNS)
    height = HEADING + PANEL * rows
    figure = Figure(figsize=(PANEL * COLUMNS, height))
    figure.subplots_adjust(
        left=0.01, right=0.99, bottom=0.01, top=1 - HEADING / height, wspace=0.03, hspace=0.12
    )
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel().tolist()
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure, panels


def _show(axes: Axes, example: Example, window: float) -> None:
    """Show one slice with the outlines of its truth and of its prediction."""
    background(axes, example, window)
    axes.set_aspect(example.spacing_mm[0] / example.spacing_mm[1])
    outline(axes, example.truth, TRUTH, "solid")
    outline(axes, example.predicted, PREDICTION, "dashed")
    axes.text(0.02, 0.5, "R", color="white", transform=axes.transAxes, va="center", fontsize=9)


def _shown_as(images: Mapping[str, npt.NDArray[np.float32]], window: float) -> str:
    """Return a text that says what is shown in which way. Without it, the noise of a scan that takes up nothing looks
    like a tumour. images: (Z, H, W) of each modality, in raw values."""
    below = anatomy(images)
    grey = [f"{below} in grey"] if below else []
    colour = [f"{UPTAKE} in colour, brightest from {window:.3g} on"] if UPTAKE in images else []
    return ", ".join([*grey, *colour])


def slices_pictured(lesion: npt.NDArray[np.bool_]) -> list[int]:
    """Return which slices (z) of a mask (Z, H, W) are shown, in rising order: at most eight."""
    pixels = lesion.sum(axis=(1, 2))
    among = np.flatnonzero(pixels) if pixels.any() else np.arange(len(pixels))
    spread = among[np.unique(np.linspace(0, len(among) - 1, PANELS).round().astype(int))]
    if pixels.any() and (most := int(pixels.argmax())) not in spread:
        spread[np.abs(spread - most).argmin()] = most
    return [int(z) for z in spread]


def _heading(figure: Figure, title: str, with_truth: bool) -> None:
    lines = [Line2D([], [], color=PREDICTION, lw=2, ls="--", label="predicted")]
    lines += [Line2D([], [], color=TRUTH, lw=2, label="the given mask")] if with_truth else []
    box = figure.legend(handles=lines, loc="upper right", ncols=2, frameon=True, fontsize=10)
    box.get_frame().set(facecolor="#33373b", edgecolor="none")
    for text in box.get_texts():
        text.set_color("white")
    figure.suptitle(title, x=0.01, y=0.99, ha="left", va="top", fontsize=11)
