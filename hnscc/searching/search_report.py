"""A search's run folder -> report.html, report.md and figures/: what was tried, what was found, how sure it is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from hnscc.aggregation.query import read_table
from hnscc.reporting.blocks import (
    DASH,
    Block,
    Cell,
    Picture,
    Points,
    Row,
    Section,
    Text,
    between,
    duration,
    listed,
    p_value,
    score,
    several,
    signed,
    table,
    whole,
)
from hnscc.reporting.figures import GREY, PALETTE, WIDTH, render, styled
from hnscc.reporting.report import read_invocations, write_pages
from hnscc.searching.race import Key, Race
from hnscc.searching.search_results import columns_of, plain
from hnscc.study.ranges import name_of
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Range, Study

NAMES = ("configurations", "settings", "importance", "budget")
LOOKS = {
    "winner": ("winner", PALETTE[1], "*"),
    "not_distinguished": ("not distinguished from it", PALETTE[0], "o"),
    "set_aside": ("set aside after one repeat", PALETTE[5], "d"),
    "dismissed": ("dismissed", GREY, "v"),
    "stopped": ("stopped across epochs", "#a9adb2", "x"),
    "failed": ("failed", "#a9adb2", "P"),
}
FEWEST_BEYOND = 5  # configurations beyond a model's parameters, below which its R² is luck
MOST_ROWS = 40  # of the figure of configurations


def write_search_report(folder: RunFolder, study: Study, race: Race) -> None:
    """Write figures/*.png and *.svg, report.md and report.html of a search whose tables are written.

    InputError where a table or provenance.json cannot be read.
    """
    rows = read_table(folder, "configurations").to_pylist()
    pictures = _pictures(study, race, rows)
    content = _sections(folder, study, race, rows, pictures)
    write_pages(folder, f"Report of the search {study.name}", content, NAMES, pictures)


def _sections(
    folder: RunFolder, study: Study, race: Race, rows: list[Row], pictures: Mapping[str, Picture]
) -> list[Section]:
    def shown(*names: str) -> list[Block]:
        return [pictures[name] for name in names if name in pictures]

    return [
        Section("What was found", (_findings(study, rows),)),
        Section("Configurations", (*shown("configurations"), _table(study, rows))),
        Section(
            "Settings", (*shown("settings", "importance"), *([] if pictures else [Text("Nothing to draw.")]))
        ),
        Section("How the budget was spent", (*shown("budget"), _spent(study, race, rows))),
        Section("How this was made", (_made(folder, study),)),
    ]


def _findings(study: Study, rows: Sequence[Row]) -> Points:
    if not rows or rows[0]["place"] != "winner":
        return Points("", ("No configuration was trained to its end.",))
    winner, *others = rows
    low, high = winner["score_low"], winner["score_high"]
    interval = "" if low is None else " " + between(score(low), score(high))
    beside = [row["configuration"] for row in others if row["place"] == "not_distinguished"]
    written = [row["configuration"] for row in others if row["written"]]
    tried, repeats = several(len(rows), "configuration"), several(winner["repeats"], "repeat")
    fresh = f"beside {listed(written)}, all" if written else ""
    items = (
        f"The winner of {tried} is {winner['configuration']}: {_settings(study, winner)}.",
        f"Its validation soft Jaccard is {score(winner['score'])}{interval} over {repeats}. "
        "The best of many looks better than it is: expect a little less from fresh repeats.",
        f"{_not_told(beside)} Whoever was not trained often enough is not called worse.",
        "All scores are of the validation patients. No slice of a test patient was read.",
        " ".join(f"winners.yaml trains the winner {fresh} on fresh seeds, and opens the test set.".split()),
    )
    return Points("", items)


def _not_told(beside: Sequence[str]) -> str:
    if not beside:
        return "None of the others is left: they were found worse, set aside, stopped, or failed."
    verb = "is" if len(beside) == 1 else "are"
    return f"{listed(beside)} {verb} not distinguished from it by the paired tests."


def _settings(study: Study, row: Row) -> str:
    return ", ".join(f"`{path}` {_written(row[column])}" for path, column in columns_of(study).items())


def _written(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _p(row: Row) -> Cell:
    value = row["p_worse"]
    return Cell(DASH, "the winner, or too few pairs") if value is None else Cell(p_value(value))


def _table(study: Study, rows: Sequence[Row]) -> Block:
    def scored(row: Row, *names: str) -> Cell:
        value, low, high = (row[name] for name in names)
        if value is None:
            return Cell(DASH, row["reason"] or "the winner")
        write = signed if names[0] == "behind" else score
        return Cell(write(value) + ("" if low is None else " " + between(write(low), write(high))))

    columns = {
        "Configuration": lambda row: row["configuration"],
        "Place": lambda row: row["place"].replace("_", " "),
        "Repeats": lambda row: whole(row["repeats"]),
        "Score (95 %)": lambda row: scored(row, "score", "score_low", "score_high"),
        "Behind the winner (95 %)": lambda row: scored(row, "behind", "behind_low", "behind_high"),
        "p": _p,
    }
    columns |= {
        column: (lambda row, column=column: _written(row[column])) for column in columns_of(study).values()
    }
    level, most = study.search.level, len(rows)
    return table(
        "Every configuration",
        "Score: mean over repeats of the best validation soft Jaccard, with its t interval. Behind: the winner's score "
        "less this one's over the repeats that both have, which share their seeds; interval and p (one-sided) are not "
        f"corrected. The tests of the whole search, over {several(most, 'configuration')}, dismiss the best one with a "
        f"probability of at most {level:g}.",
        columns,
        rows,
    )


def _spent(study: Study, race: Race, rows: Sequence[Row]) -> Points:
    epochs = sum(row["epochs"] for row in rows)
    seconds = sum(row["seconds"] for row in rows)
    budget = study.search.budget.model_dump(exclude_none=True)
    limits = [f"{value:g} {name.replace('_', ' ')}" for name, value in budget.items()]
    items = [
        f"Budget: {listed(limits)}.",
        f"Spent: {several(sum(row['trials'] for row in rows), 'training')}, {several(epochs, 'epoch')} "
        f"({epochs / race.epochs:.1f} whole trainings), {duration(seconds)} of training.",
    ]
    if race.spent_early:
        items.append("It was spent before every configuration had its first repeats.")
    return Points("", tuple(items))


def _made(folder: RunFolder, study: Study) -> Points:
    rules = study.search
    runs = read_invocations(folder)
    ranges = [
        f"{path}: {each.low:g} to {each.high:g}{' (log)' if each.log else ''}"
        if isinstance(each, Range)
        else f"{path}: {listed([_written(value) for value in each])}"
        for path, each in rules.ranges.items()
    ]
    items = [
        f"Method: {rules.method}, stopping across epochs: {rules.stopping.replace('_', ' ')}, "
        f"{several(rules.repeats.first, 'first repeat')} each.",
        *ranges,
        f"Study {study.name}, seed {study.seed}; every default is spelled out in study.yaml.",
    ]
    commits = list(dict.fromkeys(str(run["commit"]) for run in runs if run.get("commit")))
    return Points("", (*items, *([f"commit: {listed(commits)}"] if commits else [])))


# --- figures


def _pictures(study: Study, race: Race, rows: Sequence[Row]) -> dict[str, Picture]:
    told = (
        (
            "configurations",
            configurations_figure(race, rows),
            "Configurations: every repeat's score",
            "One dot per repeat, the mean with its 95 % interval, best first. Few repeats say little: a high score of "
            "one or two of them is often luck.",
        ),
        (
            "settings",
            settings_figure(study, rows),
            "Score by setting",
            "One mark per configuration, at its value of each searched setting; the others vary too.",
        ),
        (
            "importance",
            importance_figure(study, rows),
            "How much of the score each setting explains",
            "Adjusted R² of the configurations' scores on each setting alone (groups for lists, a parabola for "
            "ranges). 0: no more than chance would. It knows nothing of settings that matter only together, and "
            "little where there are few configurations.",
        ),
        (
            "budget",
            budget_figure(race, rows),
            "Score against budget",
            "One dot per training, in the order of the race, against what had been spent until then. The line is the "
            "score of the leader of that moment: it falls where a lucky first score is repeated.",
        ),
    )
    found = {}
    for name, figure, title, caption in told:
        if figure is not None:
            png, svg = render(figure)
            found[name] = Picture(name, title, caption, f"{title}. {caption}", png, svg)
    return found


@styled
def configurations_figure(race: Race, rows: Sequence[Row]) -> Figure | None:
    """Dots of every repeat, and the mean with its interval, of each configuration."""
    scored = [row for row in rows if row["score"] is not None][:MOST_ROWS]
    if not scored:
        return None
    figure = Figure(figsize=(WIDTH, 1.2 + 0.27 * len(scored)), layout="constrained")
    axes = figure.subplots()
    scores = {name_of(c): race.scores(c) for c in range(len(race.configurations))}
    for place, row in enumerate(scored):
        _, colour, _ = LOOKS[row["place"]]
        repeats = scores[row["configuration"]]
        axes.scatter(repeats, [place] * len(repeats), s=14, color=colour, alpha=0.45, lw=0)
        if row["score_low"] is not None:
            axes.plot([row["score_low"], row["score_high"]], [place, place], color=colour, lw=1.6)
        axes.plot(row["score"], place, marker="|", ms=13, mew=2.2, color=colour)
        axes.text(
            1.01,
            place,
            f"n = {row['repeats']}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(scored)), [row["configuration"] for row in scored], fontsize=8)
    axes.set_ylim(len(scored) - 0.4, -0.6)
    # By the dots alone: an interval of few repeats may be wider than all there is to see.
    every = [each for row in scored for each in scores[row["configuration"]]]
    low, high = min(every), max(every)
    margin = 0.05 * (high - low) or 0.01
    axes.set_xlim(low - margin, high + margin)
    axes.set_xlabel("validation soft Jaccard")
    axes.grid(axis="x", color="#e3e5e8")
    axes.set_axisbelow(True)
    _legend(figure, {row["place"] for row in scored})
    return figure


def _legend(figure: Figure, places: set[str]) -> None:
    handles = [
        Line2D([], [], ls="", marker=marker, color=colour, label=label)
        for place, (label, colour, marker) in LOOKS.items()
        if place in places
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))


@styled
def settings_figure(study: Study, rows: Sequence[Row]) -> Figure | None:
    """A panel per searched setting: the score over its values."""
    scored = [row for row in rows if row["score"] is not None]
    if not scored:
        return None
    columns = columns_of(study)
    across = min(3, len(columns))
    down = math.ceil(len(columns) / across)
    figure = Figure(figsize=(WIDTH, 0.5 + 2.3 * down), layout="constrained")
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for axes, (path, column) in zip(panels, columns.items(), strict=False):
        _panel(axes, study.search.ranges[path], path, [(row[column], row) for row in scored])
    for axes in panels[len(columns) :]:
        axes.set_visible(False)
    for axes in panels[::across]:
        axes.set_ylabel("score")
    _legend(figure, {row["place"] for row in scored})
    return figure


def _panel(axes: Axes, values: Range | tuple, path: str, points: Sequence[tuple[Any, Row]]) -> None:
    if isinstance(values, Range):
        place = float
        margin = 0.04
        if values.log:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
            ratio = (values.high / values.low) ** margin
            axes.set_xlim(values.low / ratio, values.high * ratio)
        else:
            wide = (values.high - values.low) * margin
            axes.set_xlim(values.low - wide, values.high + wide)
    else:
        names = [_written(plain(value)) for value in values]
        place = lambda value: names.index(_written(value))  # noqa: E731
        axes.set_xticks(range(len(names)), [name if len(name) < 14 else name[:12] + "…" for name in names])
        axes.set_xlim(-0.5, len(names) - 0.5)
    for value, row in points:
        _, colour, marker = LOOKS[row["place"]]
        size = 110 if row["place"] == "winner" else 26
        axes.scatter(place(value), row["score"], color=colour, marker=marker, s=size, zorder=3, alpha=0.85)
    axes.set_xlabel(path.rpartition(".")[2].replace("_", " "))
    axes.grid(axis="y", color="#e3e5e8")
    axes.set_axisbelow(True)


def importances(study: Study, rows: Sequence[Row]) -> dict[str, float]:
    """Adjusted R² of the scores (of the configurations that have one) on each setting alone.

    Lists: on the groups of equal value. Ranges: on a parabola in the value, or in its logarithm. Of settings with
    too few configurations (fewer than 5 beyond the model's own parameters) nothing is said.
    """
    scored = [row for row in rows if row["score"] is not None]
    found = {}
    for path, column in columns_of(study).items():
        values, each = study.search.ranges[path], [row[column] for row in scored]
        design = _design(values, each)
        adjusted = _adjusted_r2(design, np.array([row["score"] for row in scored])) if len(scored) else None
        if adjusted is not None:
            found[path] = adjusted
    return found


def _design(values: Range | tuple, each: Sequence[Any]) -> np.ndarray:
    """The model's columns (N, K), the constant first."""
    if isinstance(values, Range):
        x = np.log(np.array(each, float)) if values.log else np.array(each, float)
        x = (x - x.mean()) / (x.std() or 1.0) if len(x) else x
        return np.stack([np.ones_like(x), x, x**2], axis=1)
    kinds = sorted({str(value) for value in each})
    return np.array([[kind == str(value) for kind in kinds] for value in each], float).reshape(len(each), -1)


def _adjusted_r2(design: np.ndarray, scores: np.ndarray) -> float | None:
    n, rank = len(scores), np.linalg.matrix_rank(design)
    total = float(((scores - scores.mean()) ** 2).sum())
    if rank < 2 or n - rank < FEWEST_BEYOND or total == 0:
        return None
    rest = scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    return 1 - float((rest**2).sum()) / (n - rank) / (total / (n - 1))


@styled
def importance_figure(study: Study, rows: Sequence[Row]) -> Figure | None:
    found = sorted(importances(study, rows).items(), key=lambda each: each[1])
    if not found:
        return None
    figure = Figure(figsize=(WIDTH, 0.9 + 0.32 * len(found)), layout="constrained")
    axes = figure.subplots()
    axes.barh(
        [path for path, _ in found], [max(0.0, value) for _, value in found], color=PALETTE[0], height=0.6
    )
    for place, (_, value) in enumerate(found):
        axes.text(max(0.0, value) + 0.01, place, f"{max(0.0, value):.2f}", va="center", fontsize=9)
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("share of the variance between configurations (adjusted R²)")
    return figure


@styled
def budget_figure(race: Race, rows: Sequence[Row]) -> Figure | None:
    """Every whole training's score against the epochs spent until then, and the leader's score."""
    spent, dots, line = 0.0, [], []
    trained: dict[Key, int] = {}
    places = {row["configuration"]: row["place"] for row in rows}
    for batch in race.batches:
        for key, epochs in batch.epochs.items():
            curve = race.curves[key]
            spent += epochs / race.epochs
            trained[key] = trained.get(key, 0) + epochs
            if curve.ended and not curve.failed and epochs and trained[key] == len(curve.scores):
                dots.append((spent, curve.best(), places[name_of(key[0])]))
        if batch.leader_score is not None:
            line.append((spent, batch.leader_score))
    if not dots:
        return None
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    for place, (_, colour, marker) in LOOKS.items():
        own = [(x, y) for x, y, each in dots if each == place]
        if own:
            size = 60 if place == "winner" else 18
            axes.scatter(*zip(*own, strict=True), s=size, color=colour, marker=marker, alpha=0.75, lw=0.8)
    axes.step(*zip(*line, strict=True), where="post", color="black", lw=1.2, label="leader's mean")
    axes.set_xlim(left=0)
    axes.set_xlabel("spent: whole trainings")
    axes.set_ylabel("validation soft Jaccard")
    axes.grid(axis="y", color="#e3e5e8")
    axes.set_axisbelow(True)
    _legend(figure, {place for *_, place in dots})
    axes.legend(loc="lower right")
    return figure
