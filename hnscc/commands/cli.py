"""The `hnscc` command: its commands in the order of use, and how it reports their errors."""

from typing import Annotated, NoReturn

import typer

from hnscc import __version__
from hnscc.base.command import exit_code_of, leave
from hnscc.commands.cohort_commands import fetch, phantom, prepare, scan, verify
from hnscc.commands.new_scan_commands import export, predict
from hnscc.commands.options import FORMER_OPTIONS
from hnscc.commands.results_commands import aggregate, plan, prune, query, report, tables
from hnscc.commands.study_commands import check, doctor, init, run, search, settings, status
from hnscc.commands.usage import run_app

app = typer.Typer(
    help="Repeat-run studies of medical image segmentation. In order: scan, prepare, init, check, run, query.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    *(phantom, fetch, scan, prepare, verify),
    *(init, settings, check, run, search, status),
    *(aggregate, report, tables, query, plan, prune),
    *(predict, export),
    *(doctor,),
):
    app.command(context_settings=FORMER_OPTIONS if command in (check, plan) else None)(command)


def main() -> NoReturn:
    """Run a command, and end the process."""
    leave(run_command())


def run_command() -> int:
    """Run the command with which this process was called, and return its exit code. Bad input gives one message on
    standard error and exit code 2; failing storage gives exit code 1."""
    return exit_code_of(lambda: run_app(app))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hnscc {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


if __name__ == "__main__":
    main()
