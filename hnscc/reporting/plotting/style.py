"""What all of the report's figures share: fonts, colours, sizes, and how they are saved as files.

A variant has one label and one colour in all of them (`Appearance`). The colours are those of Okabe and Ito, which
colour-blind readers can distinguish, and nothing is shown by colour alone. The same rows give the same bytes.
"""

import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from hnscc.aggregation.column_types import TableRow
from hnscc.reporting.blocks import Picture

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#5f6368"
GRID = "#e3e5e8"
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
# A decorator with which the user's own matplotlib settings change no figure, and ours do not leak out.
styled = style.context(["default", STYLE])
WIDTH = 7.4  # inches: the text width of a printed page
DPI = 150
LETTERS = 42  # how long a title above one of two panels may be
UPTAKE = "pet"  # the modality that is shown as uptake


@dataclass(frozen=True)
class Appearance:
    """How a variant is shown: its label and its colour."""

    label: str
    colour: str


Appearances = Mapping[str, Appearance]  # by variant, in the study's order


def appearances_of(labels: Mapping[str, str]) -> dict[str, Appearance]:
    """Return the appearance of each variant. labels: maps variants to what they are called, in the study's order."""
    return {
        variant: Appearance(label, PALETTE[position % len(PALETTE)])
        for position, (variant, label) in enumerate(labels.items())
    }


@styled
def render(figure: Figure) -> tuple[bytes, bytes]:
    """Return the figure as PNG and as SVG, without date or program in their metadata."""
    png, svg = io.BytesIO(), io.BytesIO()
    figure.set_dpi(DPI)
    # Find the layout once, since that takes as long as all else. The canvases render once; `savefig` renders twice.
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine("none")
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
    FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return png.getvalue(), svg.getvalue()


def picture(figure: Figure | None, name: str, title: str, caption: str, alt: str) -> Iterator[Picture]:
    """Yield the figure with its texts as a block of a report, or nothing where there is no figure."""
    if figure is not None:
        png, svg = render(figure)
        yield Picture(name=name, title=title, caption=caption, alt=alt, png=png, svg=svg)


def panels(number: int, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure with up to two panels a row that share both axes; axes that are not needed are removed."""
    columns = min(number, 2)
    rows = math.ceil(number / columns)
    figure = Figure(figsize=(WIDTH, 0.9 + height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in grid[number:]:
        axes.remove()
    for axes in grid[max(0, number - columns) : number]:
        axes.tick_params(labelbottom=True)
    return figure, list(grid[:number])


def with_grid_lines(axes: Axes, along: Literal["x", "y", "both"]) -> None:
    """Show grid lines below the data."""
    axes.grid(axis=along, color=GRID)
    axes.set_axisbelow(True)


def ring(label: str) -> Line2D:
    """Return the legend's entry for the black ring around a mark."""
    return Line2D(
        [], [], marker="o", ls="", markerfacecolor="none", markeredgecolor="black", ms=10, label=label
    )


def of_variant(rows: Sequence[TableRow], variant: str) -> list[TableRow]:
    """Return the rows of one variant."""
    return [row for row in rows if row["variant"] == variant]


def present(rows: Sequence[TableRow], appearances: Appearances) -> dict[str, Appearance]:
    """Return the appearances of the variants that have a row, in the study's order."""
    return {variant: own for variant, own in appearances.items() if of_variant(rows, variant)}


def wrapped(label: str, width: int = 16) -> str:
    """Break a label into lines of at most so many characters, after spaces and underscores where it has some."""
    lines = [""]
    for piece in re.findall(rf"[^ _]{{0,{width - 1}}}[ _]|[^ _]{{1,{width}}}", label):
        if len((lines[-1] + piece).rstrip(" ")) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip(" ") for line in lines)


def titled(axes: Axes, label: str, text: str) -> None:
    """Give a panel a title of its variant's label and a text, one below the other where they do not fit on one line."""
    whole = f"{label}: {text}"
    axes.set_title(
        whole if len(whole) <= LETTERS else f"{wrapped(label, LETTERS - 1)}:\n{wrapped(text, LETTERS)}"
    )


def anatomy(modalities: Iterable[str]) -> str | None:
    """Return the modality that is shown in grey, as anatomy: mri, else ct, else the first but PET, else None."""
    others = [name for name in modalities if name != UPTAKE]
    return next((name for name in ("mri", "ct") if name in others), others[0] if others else None)
