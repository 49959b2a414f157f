"""Turns a search's run folder into report.html, report.md and figures/: what was tried, what was found, how sure
it is."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from matplotlib.figure import Figure

from hnscc.aggregation.column_types import TableRow
from hnscc.aggregation.columns import PLACES
from hnscc.aggregation.query import read_table
from hnscc.base.in_words import count_of, listed, noun_of
from hnscc.reporting.blocks import Block, Cell, Picture, Points, Section, Text, report_table, write_pages
from hnscc.reporting.plotting.style import picture
from hnscc.reporting.values import (
    DASH,
    between,
    duration,
    p_value,
    score,
    scores,
    signed,
    whole,
)
from hnscc.searching.configurations import columns_of, nothing_found
from hnscc.searching.figures import (
    budget_figure,
    configurations_figure,
    importance_figure,
    settings_figure,
    written,
)
from hnscc.searching.race import Race
from hnscc.study.ranges import search_of
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study
from hnscc.study.search_schema import Range
from hnscc.training.provenance import read_invocations

FIGURES = ("configurations", "settings", "importance", "budget")


def write_search_report(folder: RunFolder, study: Study, race: Race) -> None:
    """Write figures/*.png and *.svg, report.md and report.html of a search whose tables are written.

    study: has the configurations as its variants. race: is over. Raises InputError where a table or provenance.json
    cannot be read.
    """
    rows = read_table(folder, "configurations").to_pylist()
    write_pages(folder, f"Report of the search {study.name}", _sections(folder, study, race, rows), FIGURES)


def _sections(folder: RunFolder, study: Study, race: Race, rows: list[TableRow]) -> list[Section]:
    overview, spent = tuple(_overview(race, rows)), tuple(_budget(race, rows))
    by_setting = tuple(_by_setting(study, rows))
    nothing = () if overview or by_setting or spent else (Text("Nothing to show."),)
    return [
        Section("What was found", (findings(study, rows),)),
        Section("Configurations", (*overview, _table(study, rows))),
        Section("Settings", (*by_setting, *nothing)),
        Section("How the budget was spent", (*spent, _spent(study, race, rows))),
        Section("How this was made", (_made(folder, study),)),
    ]


def findings(study: Study, rows: Sequence[TableRow]) -> Points:
    """Say which configuration won and how sure that is. rows: those of table `configurations`, the winner first."""
    if not rows or rows[0]["place"] != "winner":
        return Points("", ("No configuration was trained to its end.",))
    winner, *others = rows
    low, high = winner["score_low"], winner["score_high"]
    interval = "" if low is None else " " + between(score(low), score(high))
    kept = [row["configuration"] for row in others if row["written"]]
    tried, repeats = count_of(len(rows), "configuration"), count_of(winner["repeats"], "repeat")
    fresh = f"beside {listed(kept)}, all" if kept else ""
    nothing = nothing_found(rows)
    items = (
        *([nothing] if nothing else ()),
        f"The winner of {tried} is {winner['configuration']}: {_settings(study, winner)}.",
        f"Its validation soft Jaccard is {score(winner['score'])}{interval} over {repeats}{_dice(winner)}. "
        "The best of many looks better than it is: expect a little less from fresh repeats.",
        _of_others(others),
        "All scores are of the validation patients. No slice of a test patient was read.",
        " ".join(
            f"winners.yaml trains the winner {fresh} on fresh seeds, and reads the test patients.".split()
        ),
    )
    return Points("", items)


def _dice(row: TableRow) -> str:
    """Write the validation Dice beside the score, where it is known."""
    return (
        "" if row["val_dice_mean"] is None else f", its validation Dice at 0.5 {score(row['val_dice_mean'])}"
    )


def _of_others(others: Sequence[TableRow]) -> str:
    """Say which configurations cannot be told from the winner; where there is none, what became of all others."""
    if not others:
        return "No other configuration was tried."
    beside = [row["configuration"] for row in others if row["place"] == "not_distinguished"]
    if beside:
        verb = "is" if len(beside) == 1 else "are"
        told = f"{listed(beside)} {verb} not distinguished from it by the paired tests."
    else:
        became = Counter(row["place"] for row in others)
        counts = [_many(place, became[place]) for place in PLACES if became[place]]
        told = f"What became of the others: {', '.join(counts)}."
    return f"{told} Whoever was not trained often enough is not called worse."


def _many(place: str, count: int) -> str:
    """Say how many configurations came to a place: `2 dismissed (worse by a paired test)`."""
    why = f" ({PLACES[place]})" if PLACES[place] else ""
    return f"{count} {place.replace('_', ' ')}{why}"


def _settings(study: Study, row: TableRow) -> str:
    return ", ".join(f"`{path}` {written(row[column])}" for path, column in columns_of(study).items())


def _p(row: TableRow) -> Cell:
    value = row["p_worse"]
    return Cell(DASH, row["reason"]) if value is None else Cell(p_value(value))


def _with_interval(row: TableRow, name: str, write: Callable[[float], str]) -> Cell:
    value, low, high = (row[column] for column in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return Cell(DASH, row["reason"])
    return Cell(write(value) + ("" if low is None else " " + between(write(low), write(high))))


def _table(study: Study, rows: Sequence[TableRow]) -> Block:
    columns: dict[str, Callable[[TableRow], Cell | str]] = {
        "Configuration": lambda row: row["configuration"],
        "Place": lambda row: row["place"].replace("_", " "),
        "Repeats": lambda row: whole(row["repeats"]),
        "Soft Jaccard (95 %)": lambda row: _with_interval(row, "score", score),
        "Dice": scores("val_dice_mean"),
        "Behind the winner (95 %)": lambda row: _with_interval(row, "behind", signed),
        "p": _p,
    }
    columns |= {column: _setting(column) for column in columns_of(study).values()}
    return report_table(
        "Every configuration",
        "Soft Jaccard: mean over repeats of the best on validation, with its t interval; it is computed from the "
        "probabilities, without a threshold, and ranks the configurations. Dice: their mean validation Dice at "
        "threshold 0.5. Behind: the winner's soft Jaccard less this one's over the repeats that both have, which share "
        "their seeds; interval and p (one-sided) are not corrected. The tests of the whole search, over "
        f"{count_of(len(rows), 'configuration')}, dismiss the best one with a probability of at most "
        f"{search_of(study).level:g}.",
        columns,
        rows,
    )


def _setting(column: str) -> Callable[[TableRow], str]:
    return lambda row: written(row[column])


def _spent(study: Study, race: Race, rows: Sequence[TableRow]) -> Points:
    epochs = sum(row["epochs"] for row in rows)
    seconds = sum(row["seconds"] for row in rows)
    items = [
        f"Budget: {budget_in_words(study)}.",
        f"Spent: {count_of(sum(row['trials'] for row in rows), 'trial')}, {count_of(epochs, 'epoch')} "
        f"({epochs / race.epochs:.1f} whole trainings), {duration(seconds)} of training.",
    ]
    if race.spent_early:
        items.append("It was spent before every configuration had its first repeats.")
    return Points("", tuple(items))


def budget_in_words(study: Study) -> str:
    """Say what a search may spend: `30 trials and 1 hour`."""
    budget = search_of(study).budget.model_dump(exclude_none=True)
    nouns = {name: name.replace("_", " ").removesuffix("s") for name in budget}
    return listed([f"{value:g} {noun_of(value, nouns[name])}" for name, value in budget.items()])


def ranges_in_words(study: Study) -> list[str]:
    """Say for each searched setting in what range, or among which values, it was searched."""
    return [
        f"{path}: {each.low:g} to {each.high:g}{' (log)' if each.log else ''}"
        if isinstance(each, Range)
        else f"{path}: {listed([written(value) for value in each])}"
        for path, each in search_of(study).ranges.items()
    ]


def _made(folder: RunFolder, study: Study) -> Points:
    rules = search_of(study)
    items = [
        f"Method: {rules.method}, stopping across epochs: {rules.stopping.replace('_', ' ')}, "
        f"{count_of(rules.repeats.first, 'first repeat')} each.",
        *ranges_in_words(study),
        f"Study {study.name}, seed {study.seed}; every default is spelled out in study.yaml.",
    ]
    commits = list(dict.fromkeys(each.commit for each in read_invocations(folder) if each.commit))
    return Points("", (*items, *([f"commit: {listed(commits)}"] if commits else [])))


# --- pictures


def _overview(race: Race, rows: Sequence[TableRow]) -> Iterator[Picture]:
    yield from _picture(
        configurations_figure(race, rows),
        "configurations",
        "Configurations: every repeat's soft Jaccard",
        "One dot per repeat, the mean with its 95 % interval, best first. Few repeats say little: a high value of "
        "one or two of them is often luck.",
    )


def _by_setting(study: Study, rows: Sequence[TableRow]) -> Iterator[Picture]:
    yield from _picture(
        settings_figure(study, rows),
        "settings",
        "Soft Jaccard by setting",
        "One mark per configuration, at its value of each searched setting; the others vary too.",
    )
    yield from _picture(
        importance_figure(study, rows),
        "importance",
        "How much of the soft Jaccard each setting explains",
        "Adjusted R² of the configurations' soft Jaccard on each setting alone (groups for lists, a parabola for "
        "ranges). 0: no more than chance would. It knows nothing of settings that matter only together, and "
        "little where there are few configurations.",
    )


def _budget(race: Race, rows: Sequence[TableRow]) -> Iterator[Picture]:
    yield from _picture(
        budget_figure(race, rows),
        "budget",
        "Soft Jaccard against budget",
        "One dot per trial, in the order of the race, against what had been spent until then. The line is the "
        "soft Jaccard of the leader of that moment: it falls where a lucky first one is repeated.",
    )


def _picture(figure: Figure | None, name: str, title: str, caption: str) -> Iterator[Picture]:
    yield from picture(figure, name, title, caption, f"{title}. {caption}")
