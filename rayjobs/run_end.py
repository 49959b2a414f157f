"""What a training of a study left behind, and how the user is told."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hnscc.base.command import INTERRUPTED
from hnscc.base.console import print_rows, terminal, with_interval
from hnscc.base.errors import InputError
from hnscc.base.in_words import as_typed, count_of
from hnscc.base.locations import Location
from hnscc.scores.describe import quartered
from hnscc.study.run_folder import RunFolder
from hnscc.study.trials import Trial, trials_of
from hnscc.training.in_use import writing_tables
from hnscc.training.ready import ReadyRun
from hnscc.training.states import BY_OTHER_SETTINGS


@dataclass(frozen=True)
class RunEnd:
    """What one call of the command left behind.

    completed: trial ids. missing: how many. failed: the kind of error by trial id. lost: the trials that this call
    should have trained and did not. unused: results that no table could use. left_out: trained trials that the study no
    longer has. The last two are sentences, one for each.
    """

    folder: RunFolder
    completed: set[str]
    missing: int
    failed: dict[str, str]
    lost: list[str]
    interrupted: bool
    unused: Sequence[str] = ()
    left_out: Sequence[str] = ()


def run_end_of(ready: ReadyRun, todo: list[Trial], left: list[Trial], interrupted: bool) -> RunEnd:
    """Return what is there now. todo: the trials that were to be trained. left: the trials of the study that were
    not completed."""
    every = trials_of(ready.study)
    before = dict.fromkeys(set(every) - set(left), ("completed", None))
    found = {trial: ready.state(trial) for trial in left if trial in every}
    states = before | {trial: (state.status, state.reason) for trial, state in found.items()}
    completed = {trial.trial_id for trial, (status, _) in states.items() if status == "completed"}
    missing = sum(status == "missing" for status, _ in states.values())
    failed = {trial.trial_id: why or "" for trial, (status, why) in states.items() if status == "failed"}
    lost = (
        [] if interrupted else [trial.trial_id for trial in todo if states.get(trial, ("",))[0] == "missing"]
    )
    return RunEnd(
        folder=ready.folder,
        completed=completed,
        missing=missing,
        failed=failed,
        lost=lost,
        interrupted=interrupted,
    )


def refuse_moved(folder: RunFolder) -> None:
    """Raise InputError where the run folder or its study.yaml is no longer where this command began it."""
    if folder.study.is_file():
        return
    raise InputError(
        "The run folder, or its study.yaml, was moved or deleted while trials were trained.",
        where=str(folder.root),
        expected="study.yaml, which this command had written there",
        found="none",
        do="give the same command again: it takes the trials that are there, and trains what is missing",
    )


def tell_run_end(end: RunEnd) -> int:
    """Tell the user what was done and what to do next. Return the exit code: 0, 1 where a trial failed, 130 after
    an interrupt."""
    root = shown(end.folder.root)
    if not end.interrupted:
        with writing_tables(end.folder):  # `hnscc aggregate` may be making them again beside this command
            _print_table_1(end.folder)
    print(
        f"{count_of(len(end.completed), 'trial')} completed, {len(end.failed)} failed, {end.missing} missing "
        f"in {root}"
    )
    for name, why in end.failed.items():
        print(f"failed: {name}: {why}\n  traceback: {shown(end.folder.trial(name).record)}", file=sys.stderr)
    tell_lost(end.lost)
    for each in end.unused:
        cure = "" if BY_OTHER_SETTINGS in each else "; the same command mends it"
        print(f"in no table: {each}{cure}", file=sys.stderr)
    for each in end.left_out:
        print(each, file=sys.stderr)
    if end.interrupted:
        return tell_interrupted()
    if end.missing:
        print("next:   the same command, which trains what is missing")
    if end.completed:
        print(f"{'then' if end.missing else 'next'}:   open {as_typed(shown(end.folder.html))}")
        sql = "SELECT variant, dice, dice_low, dice_high FROM pooled WHERE split = 'test'"
        print(f'or:     hnscc query {as_typed(root)} "{sql}"')
    return 1 if end.failed or end.lost or end.unused else 0


def tell_lost(names: Iterable[str]) -> None:
    """Name the trials that should have been trained and left no record."""
    for name in names:
        print(f"lost: {name} left no record; the same command tries it again", file=sys.stderr)


def tell_interrupted() -> int:
    """Tell the user that the same command goes on from here. Return the exit code."""
    print("Interrupted. The same command continues where it stopped.", file=sys.stderr)
    return INTERRUPTED


def shown(root: Location) -> str:
    """Return a run folder as its user would type it here."""
    if isinstance(root, Path) and root.is_relative_to(Path.cwd()):
        return str(root.relative_to(Path.cwd()))
    return str(root)


def _over_repeats(row: Mapping[str, Any]) -> str:
    """Return the median over repeats with its quartiles; with too few repeats for quartiles, the least and the most."""
    names = ("q25", "q75") if quartered(row["repeats"]) else ("min", "max")
    ends = [row[f"dice_repeats_{name}"] for name in names] if row["repeats"] > 1 else [None, None]
    return with_interval(row["dice_repeats_median"], *ends)


def _print_table_1(folder: RunFolder) -> None:
    """Print Table 1 for the test slices: the repeats' pooled Dice, then that of the median model with its interval
    over patients."""
    from hnscc.aggregation.query import read_table  # here, for DuckDB is needed at the end alone

    tested = [row for row in read_table(folder, "pooled").to_pylist() if row["split"] == "test"]
    spread = "quartiles" if all(quartered(row["repeats"]) for row in tested) else "quartiles or range"
    columns = (
        "variant",
        "repeats",
        f"repeats at 0.5: median ({spread})",
        "median model: Dice (95 % over patients)",
    )
    rows = [
        (
            row["variant"],
            str(row["repeats"]),
            _over_repeats(row),
            with_interval(row["dice"], row["dice_low"], row["dice_high"]),
        )
        for row in tested
    ]
    title = "Table 1: pooled Dice on the test patients (the median model at its own threshold)"
    print_rows(terminal(), columns, rows, title=title)
