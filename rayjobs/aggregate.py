"""Make a run folder's tables and report again: `python -m rayjobs.aggregate RUN`.

A search's run folder has tables and a report of another kind. This module alone decides which kind a folder is of.
"""

import argparse
import sys

from hnscc.aggregation.build import TrialProblem, write_tables
from hnscc.base.command import exit_code_of, leave
from hnscc.base.in_words import as_typed
from hnscc.base.option_help import RUN
from hnscc.reporting.report import write_report
from hnscc.searching.report import write_search_report
from hnscc.searching.results import load_race, write_search_results
from hnscc.study.loading import open_run
from hnscc.study.run_folder import RunFolder
from hnscc.training.in_use import writing_tables
from hnscc.training.provenance import read_invocations
from rayjobs.patient_files import refuse_in_job


def aggregate(folder: RunFolder) -> list[TrialProblem]:
    """Write every table, every figure and the report from the completed trials, as `hnscc aggregate` does.

    Return what was found wrong with trials, and the trials that the study leaves out; neither of these stands in a
    table. If another process writes the tables, wait for it. InputError where the folds or provenance.json are damaged,
    where there is no study, and in a job whose working directory came with patient files; every file then stays as it
    was. An error later than that leaves no report of earlier tables behind.
    """
    refuse_in_job()
    with writing_tables(folder):
        read_invocations(folder)  # the report needs them: refused before the first table is written
        if folder.holds_search:
            study, race = load_race(folder)
            write_search_results(folder, study, race)
            write_search_report(folder, study, race)
            return []
        problems = write_tables(folder)
        write_report(folder)
        return problems


def report(folder: RunFolder) -> None:
    """Write report.html, report.md and the figures from the tables that are there. InputError where a table is missing,
    and in a job whose working directory came with patient files."""
    refuse_in_job()
    with writing_tables(folder):
        if folder.holds_search:
            write_search_report(folder, *load_race(folder))
        else:
            write_report(folder)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line of this module, and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rayjobs.aggregate", description="Write a run folder's tables and report again."
    )
    parser.add_argument("run", help=RUN)
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _aggregate(options.run), arguments)


def _aggregate(run: str) -> int:
    folder = open_run(run)
    for problem in aggregate(folder):
        print(problem.text, file=sys.stderr)
    print(f"wrote {folder.tables} and {folder.html}\nnext:  hnscc tables {as_typed(folder.root)}")
    return 0


if __name__ == "__main__":
    leave(main())
