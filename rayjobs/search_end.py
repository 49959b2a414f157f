"""The result of a search, and what the user is told of it at the end."""

import sys
from dataclasses import dataclass

from hnscc.aggregation.query import read_table
from hnscc.base.console import print_rows, terminal, with_interval
from hnscc.base.in_words import as_typed
from hnscc.searching.configurations import nothing_found
from hnscc.searching.standings import Standing
from hnscc.study.ranges import Configuration, name_of
from hnscc.study.run_folder import RunFolder
from rayjobs.run_end import shown, tell_interrupted, tell_lost

SHOWN = 12


@dataclass(frozen=True)
class SearchEnd:
    """standings: every configuration, the winner first; empty for a search that is not over. lost: the trials that
    should have been trained and left nothing."""

    folder: RunFolder
    configurations: list[Configuration]
    standings: list[Standing]
    lost: list[str]
    interrupted: bool


def tell_search_end(end: SearchEnd) -> int:
    """Tell the user what was found and what to do next. Return the exit code: 0, 1 where there is no winner, 130 after
    an interrupt."""
    if end.interrupted:
        return tell_interrupted()
    tell_lost(end.lost)
    if end.lost:
        return 1
    folder = end.folder
    winners = shown(folder.winners)
    if not end.standings or end.standings[0].place != "winner":
        records = shown(folder.trial("*").record)
        print(f"no configuration was trained to its end; tracebacks: {records}", file=sys.stderr)
        return 1
    _print_standings(end)
    print(f"wrote {winners}\nnext:   hnscc run {as_typed(winners)}")
    print(f"or:     open {as_typed(shown(folder.html))}")
    print(f'or:     hnscc query {as_typed(shown(folder.root))} "SELECT * FROM configurations"')
    return 0


def _print_standings(end: SearchEnd) -> None:
    columns = ("", "place", "repeats", "soft Jaccard (95 %)", "Dice", "behind the winner (95 %)", "settings")
    table = read_table(end.folder, "configurations").to_pylist()
    dice = {row["configuration"]: row["val_dice_mean"] for row in table}
    rows = [
        (
            name_of(each.configuration),
            each.place.replace("_", " "),
            str(each.repeats),
            with_interval(each.score, each.score_low, each.score_high),
            with_interval(dice[name_of(each.configuration)], None, None),
            with_interval(each.behind, each.behind_low, each.behind_high),
            ", ".join(
                f"{path.rpartition('.')[2]} {value}"
                for path, value in end.configurations[each.configuration].items()
            ),
        )
        for each in end.standings[:SHOWN]
    ]
    title = "Configurations by their validation soft Jaccard; beside it their validation Dice at 0.5"
    print_rows(terminal(width_elsewhere=160), columns, rows, title=title)
    if (more := len(end.standings) - SHOWN) > 0:
        print(f"and {more} more, in the table `configurations`")
    if nothing := nothing_found(table):
        print(nothing)
