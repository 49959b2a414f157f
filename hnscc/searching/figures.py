"""A search's figures: every repeat's score, the score over each setting's values, how much each setting explains, and
the score over what had been spent.

A configuration's place in the race has one colour and one mark in all of them. `rows` are always those of table
`configurations`, the winner first.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from hnscc.aggregation.column_types import TableRow
from hnscc.reporting.plotting.style import GREY, PALETTE, WIDTH, styled, with_grid_lines
from hnscc.searching.configurations import columns_of, importances, table_value
from hnscc.searching.ledger import Key
from hnscc.searching.race import Race
from hnscc.study.ranges import name_of, search_of
from hnscc.study.schema import Study
from hnscc.study.search_schema import Range

MARKS = {
    "winner": ("winner", PALETTE[1], "*"),
    "not_distinguished": ("not distinguished from it", PALETTE[0], "o"),
    "set_aside": ("set aside after one repeat", PALETTE[5], "d"),
    "dismissed": ("dismissed", GREY, "v"),
    "stopped": ("stopped across epochs", "#a9adb2", "x"),
    "failed": ("failed", "#a9adb2", "P"),
}
MOST_ROWS = 40  # in the figure of configurations


def written(value: Any) -> str:
    """Return a setting's value as text, as tables and study files have it; numbers that are not whole have at most
    four digits."""
    kept = table_value(value)
    if isinstance(kept, bool) or kept is None:
        return json.dumps(kept)
    return f"{kept:.4g}" if isinstance(kept, float) else str(kept)


@styled
def configurations_figure(race: Race, rows: Sequence[TableRow]) -> Figure | None:
    """Plot a dot for every repeat, and the mean with its interval, of each configuration."""
    scored = [row for row in rows if row["score"] is not None][:MOST_ROWS]
    if not scored:
        return None
    figure = Figure(figsize=(WIDTH, 1.2 + 0.27 * len(scored)), layout="constrained")
    axes = figure.subplots()
    scores = {name_of(c): race.ledger.scores(c) for c in range(len(race.configurations))}
    for position, row in enumerate(scored):
        _configuration(axes, position, row, scores[row["configuration"]])
    axes.set_yticks(range(len(scored)), [row["configuration"] for row in scored], fontsize=8)
    axes.set_ylim(len(scored) - 0.4, -0.6)
    # The dots alone set the limits: an interval of few repeats may be much wider than all of them.
    every = [each for row in scored for each in scores[row["configuration"]]]
    low, high = min(every), max(every)
    margin = 0.05 * (high - low) or 0.01
    axes.set_xlim(low - margin, high + margin)
    axes.set_xlabel("validation soft Jaccard")
    with_grid_lines(axes, "x")
    _legend(figure, {row["place"] for row in scored})
    return figure


def _configuration(axes: Axes, position: int, row: TableRow, repeats: Sequence[float]) -> None:
    """Plot one configuration's row."""
    _, colour, _ = MARKS[row["place"]]
    axes.scatter(repeats, [position] * len(repeats), s=14, color=colour, alpha=0.45, lw=0)
    if row["score_low"] is not None:
        axes.plot([row["score_low"], row["score_high"]], [position, position], color=colour, lw=1.6)
    axes.plot(row["score"], position, marker="|", ms=13, mew=2.2, color=colour)
    beside = axes.get_yaxis_transform()
    axes.text(1.01, position, f"n = {row['repeats']}", transform=beside, va="center", fontsize=8)


def _legend(figure: Figure, places: set[str]) -> None:
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, label=label)
        for place, (label, colour, marker) in MARKS.items()
        if place in places
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))


@styled
def settings_figure(study: Study, rows: Sequence[TableRow]) -> Figure | None:
    """Make a panel for each searched setting: the score over its values."""
    scored = [row for row in rows if row["score"] is not None]
    if not scored:
        return None
    columns = columns_of(study)
    across = min(3, len(columns))
    down = math.ceil(len(columns) / across)
    figure = Figure(figsize=(WIDTH, 0.5 + 2.3 * down), layout="constrained")
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for axes, (path, column) in zip(panels, columns.items(), strict=False):
        _panel(axes, search_of(study).ranges[path], path, [(row[column], row) for row in scored])
    for axes in panels[len(columns) :]:
        axes.set_visible(False)
    for axes in panels[::across]:
        axes.set_ylabel("soft Jaccard")
    _legend(figure, {row["place"] for row in scored})
    return figure


def _panel(
    axes: Axes, values: Range | tuple[Any, ...], path: str, points: Sequence[tuple[Any, TableRow]]
) -> None:
    position_of = _range_axis(axes, values) if isinstance(values, Range) else _list_axis(axes, values)
    for value, row in points:
        _, colour, marker = MARKS[row["place"]]
        size = 110 if row["place"] == "winner" else 26
        axes.scatter(
            position_of(value), row["score"], color=colour, marker=marker, s=size, zorder=3, alpha=0.85
        )
    axes.set_xlabel(path.rpartition(".")[2].replace("_", " "))
    with_grid_lines(axes, "y")


def _range_axis(axes: Axes, values: Range) -> Callable[[Any], float]:
    """Set up the x axis for a range, and return the function that gives a value's position on it."""
    margin = 0.04
    if values.log:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        ratio = (values.high / values.low) ** margin
        axes.set_xlim(values.low / ratio, values.high * ratio)
    else:
        wide = (values.high - values.low) * margin
        axes.set_xlim(values.low - wide, values.high + wide)
    return float


def _list_axis(axes: Axes, values: Sequence[Any]) -> Callable[[Any], float]:
    """Set up the x axis for names, and return the function that gives the position of a value as tables hold it."""
    kept = [table_value(value) for value in values]
    texts = [str(value) for value in kept]
    names = [written(value) for value in values]
    names = names if len({*names}) == len({*texts}) else texts
    axes.set_xticks(range(len(names)), [name if len(name) < 14 else name[:12] + "…" for name in names])
    axes.set_xlim(-0.5, len(names) - 0.5)
    # A column with values of several kinds holds them as text.
    return lambda value: kept.index(value) if value in kept else texts.index(value)


@styled
def importance_figure(study: Study, rows: Sequence[TableRow]) -> Figure | None:
    """Plot a bar for each searched setting: how much of the score it explains by itself."""
    found = sorted(importances(study, rows).items(), key=lambda each: each[1])
    if not found:
        return None
    figure = Figure(figsize=(WIDTH, 0.9 + 0.32 * len(found)), layout="constrained")
    axes = figure.subplots()
    axes.barh(
        [path for path, _ in found], [max(0.0, value) for _, value in found], color=PALETTE[0], height=0.6
    )
    for position, (_, value) in enumerate(found):
        axes.text(max(0.0, value) + 0.01, position, f"{max(0.0, value):.2f}", va="center", fontsize=9)
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("share of the variance between configurations (adjusted R²)")
    return figure


Dot = tuple[float, float, str]  # whole trainings spent, score, place of the configuration


@styled
def budget_figure(race: Race, rows: Sequence[TableRow]) -> Figure | None:
    """Plot every whole training's score against the epochs spent until then, and the leader's score."""
    dots, line = _spent(race, {row["configuration"]: row["place"] for row in rows})
    if not dots:
        return None
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    for place, (_, colour, marker) in MARKS.items():
        x, y = [x for x, _, each in dots if each == place], [y for _, y, each in dots if each == place]
        if x:
            size = 60 if place == "winner" else 18
            axes.scatter(x, y, s=size, color=colour, marker=marker, alpha=0.75, lw=0.8)
    x, y = [x for x, _ in line], [y for _, y in line]
    axes.step(x, y, where="post", color="black", lw=1.2, label="leader's mean")
    axes.set_xlim(left=0)
    axes.set_xlabel("spent: whole trainings")
    axes.set_ylabel("validation soft Jaccard")
    with_grid_lines(axes, "y")
    _legend(figure, {place for *_, place in dots})
    axes.legend(loc="lower right")
    return figure


def _spent(race: Race, places: Mapping[str, str]) -> tuple[list[Dot], list[tuple[float, float]]]:
    """Return a dot for each whole training, and the leader's score after each batch, both against what had been spent
    until then."""
    spent = 0.0
    dots: list[Dot] = []
    line: list[tuple[float, float]] = []
    trained: Counter[Key] = Counter()
    for portion in race.portions:
        for key, epochs in portion.epochs.items():
            curve = race.curves[key]
            spent += epochs / race.epochs
            trained[key] += epochs
            if curve.ended and not curve.failed and epochs and trained[key] == len(curve.scores):
                dots.append((spent, curve.best(), places[name_of(key[0])]))
        if portion.leader_score is not None:
            line.append((spent, portion.leader_score))
    return dots, line
