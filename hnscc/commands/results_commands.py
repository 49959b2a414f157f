"""Commands on a run folder's results: aggregate, report, tables, plan, query, prune."""

import json
import sys
from typing import Annotated

import typer

from hnscc.base.argument_checks import POWER, SEE
from hnscc.base.in_words import as_typed, count_of
from hnscc.commands import results_api as api
from hnscc.commands.options import AsJson, HalfWidth, Run


def aggregate(run: Run) -> None:
    """Write the tables and report again from completed trials. The figures are made again, too.

    Example: hnscc aggregate runs/demo
    """
    from hnscc.study.loading import open_run
    from rayjobs.aggregate import aggregate as again

    folder = open_run(run)
    for problem in again(folder):
        print(problem.text, file=sys.stderr)
    print(f"wrote {folder.tables} and {folder.html}\nnext:  hnscc tables {as_typed(folder.root)}")


def report(run: Run) -> None:
    """Write the report and its figures again from the tables. These are report.html, report.md and figures/.

    Example: hnscc report runs/demo
    """
    from hnscc.study.loading import open_run

    html = api.report(run)
    print(f"wrote {html} and {open_run(run).markdown}\nnext:  open {as_typed(html)}")


def tables(
    run: Run,
    name: Annotated[
        str | None, typer.Argument(help="One table, for example pooled; all unless given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List a run folder's tables, their columns and what these mean. Says what a row is, and how many there are.

    Example: hnscc tables runs/demo pooled
    """
    from hnscc.base.console import terminal
    from hnscc.commands.printing import print_table_facts, print_tables

    found = api.tables(run)
    if name is not None:
        facts = found.facts(name)
        if as_json:
            print(json.dumps(facts, indent=1))
        else:
            print_table_facts(facts, terminal(), run)
    elif as_json:
        print(json.dumps([found.facts(each) for each in found], indent=1))
    else:
        print_tables([found.facts(each) for each in found], terminal(), run)


def plan(
    run: Run,
    see: Annotated[
        float, typer.Option(help="Difference in pooled Dice that is to be seen, {:g} to {:g}.".format(*SEE))
    ] = 0.05,
    power: Annotated[float, typer.Option(help="Chance of seeing it, {:g} to {:g}.".format(*POWER))] = 0.8,
    patients: Annotated[
        int | None,
        typer.Option(help="Tell what a study with so many test patients with lesion sees."),
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Tell what a study with so many repeats of each variant sees.")
    ] = None,
    half_width: HalfWidth = None,
    as_json: AsJson = False,
) -> None:
    """Tell what size the next study needs, or what a given size sees.

    The size is the number of patients and of repeats; a finished study serves as the pilot.

    Example: hnscc plan runs/demo --see 0.05 --patients 30 --repeats 5
    """
    from hnscc.commands.printed_studies import lines_of_plan

    found = api.plan(run, see=see, power=power, patients=patients, repeats=repeats, half_width=half_width)
    print(json.dumps(found, indent=1) if as_json else "\n".join(lines_of_plan(found)))


def query(
    run: Run,
    sql: Annotated[str, typer.Argument(help="SQL; every table of the run folder is a table here.")],
    form: Annotated[
        str, typer.Option("--format", help="table, csv, json (NaN and infinity are null) or parquet.")
    ] = "table",
) -> None:
    """Ask the tables with SQL (DuckDB). SHOW TABLES lists them, DESCRIBE pooled lists the columns of one.

    Where the terminal is too narrow for the table, every value is printed on a line of its own.

    Example: hnscc query runs/demo "SELECT variant, dice, dice_low, dice_high FROM pooled WHERE split = 'test'"
    """
    from hnscc.commands.formats import writer

    write = writer(form)
    write(api.query(run, sql))


def prune(run: Run) -> None:
    """Delete the weights that no reading needs. The median models keep theirs, and no table changes.

    `hnscc predict --ensemble`, which needs those of all repeats, is refused from then on.

    Example: hnscc prune runs/demo
    """
    files, size = api.prune(run)
    lost = ", and `hnscc predict --ensemble`, which needs all, is refused from now on" if files else ""
    print(
        f"deleted {count_of(files, 'weights file')}, {size / 2**20:.1f} MiB; the median models keep theirs{lost}"
    )
