"""The functions behind the commands that read and write a study's results: tables, report and so on."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from hnscc.base.locations import Location
    from hnscc.commands.prune import Pruned
    from hnscc.commands.sample_size import SampleSize
    from hnscc.commands.tables import Tables
    from hnscc.study.run_folder import RunFolder


def aggregate(run: str | os.PathLike[str]) -> list[str]:
    """Write the tables, figures and report of a run folder again from its completed trials.

    Return what was found wrong with trials, a sentence each. InputError where it is no run folder, or a fold
    is damaged.
    """
    from hnscc.study.loading import open_run
    from rayjobs.aggregate import aggregate as again

    return [each.text for each in again(open_run(run))]


def report(run: str | os.PathLike[str]) -> Location:
    """Write report.html, report.md and the figures of a run folder again from its tables, and return where
    report.html is.

    If the tables lack the results of trials that have ended, a message on standard error says of how many. InputError
    where it is no run folder, or a table is not written yet or damaged.
    """
    from rayjobs.aggregate import report as again

    folder = _opened(run)
    again(folder)
    return folder.html


def tables(run: str | os.PathLike[str]) -> Tables:
    """Return the tables of a run folder by name: `tables(run)["pooled"]` is a pyarrow.Table, read when it is asked for.

    The result is a mapping; `.facts("pooled")` says what a row and each column of a table mean. If the tables lack the
    results of trials that have ended, a message on standard error says of how many. InputError where it is no run
    folder, for a name that is none of its tables, and for a table that is not written yet or damaged.
    """
    from hnscc.commands.tables import Tables

    return Tables(_opened(run))


def query(run: str | os.PathLike[str], sql: str) -> pa.Table:
    """Run SQL (DuckDB) on the tables of a run folder, and return the rows as a pyarrow.Table.

    sql: one SELECT; every table of the run folder is a table there, and nothing else can be reached. If the tables lack
    the results of trials that have ended, a message on standard error says of how many. InputError with DuckDB's
    message where the SQL is wrong, and where a table is not written yet or damaged.
    """
    from hnscc.aggregation.query import query as ask
    from hnscc.base.argument_checks import refused_in_python

    if not isinstance(sql, str):
        raise refused_in_python("sql", "is no text", "one SELECT as a text", sql)
    return ask(_opened(run), sql)


def _opened(run: str | os.PathLike[str]) -> RunFolder:
    """Open a run folder to read its tables; where these lack trials that have ended, say so on standard error."""
    from hnscc.aggregation.query import note_of_older_tables
    from hnscc.study.loading import open_run

    folder = open_run(run)
    if note := note_of_older_tables(folder, str(folder.root)):
        print(note, file=sys.stderr)
    return folder


def plan(
    run: str | os.PathLike[str],
    *,
    see: float = 0.05,
    power: float = 0.8,
    patients: int | None = None,
    repeats: int | None = None,
    half_width: float | None = None,
) -> SampleSize:
    """Return how many patients and repeats a study needs to see a difference, with a finished study as the pilot.

    see: the true difference in pooled Dice that is to be found, 0 to 1. power: the chance of finding it, 0.5 to 0.99.
    patients, repeats: also say what a study of so many test patients with lesion and repeats of each variant would see;
    if only one is given, the other is the pilot's. half_width: also say how many repeats give the median test Dice of
    each variant within so much to either side (95 %), for these patients, as `check` does with `half_width`.

    The result is a mapping of numbers (see hnscc.commands.sample_size.SampleSize). For every pair of variants it has
    the smallest difference that the pilot itself finds, and the patients and repeats needed, each with the range due to
    the pilot's own uncertainty. Found means that p of the pair by itself, before Holm's correction, is below 0.05.
    InputError where there is no difference to plan from and no half_width is asked for, or for a size at which variants
    are not compared: below 4 patients or 2 repeats, or 5 where they are paired.
    """
    from hnscc.commands.sample_size import Asked, sample_size_of
    from hnscc.study.loading import open_run

    return sample_size_of(open_run(run), Asked(see, power, patients, repeats, half_width))


def prune(run: str | os.PathLike[str]) -> Pruned:
    """Delete the weights that no reading needs, and return the number of files and their size in bytes.

    The median models keep theirs, and no table changes; `predict` with `ensemble`, which needs those of all repeats, is
    refused from then on. InputError, and nothing is deleted, where a trial of the study is missing or the tables are
    not of the present trials, for example older.
    """
    from hnscc.commands.prune import prune_weights
    from hnscc.study.loading import open_run

    return prune_weights(open_run(run))
