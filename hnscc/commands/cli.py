"""The `hnscc` command: arguments in, text out. What a command needs is imported when it runs."""

import contextlib
import csv
import json
import math
import os
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hnscc import __version__
from hnscc.base.errors import InputError, told
from hnscc.commands.settings import settings

app = typer.Typer(
    help="Repeat-run studies of medical image segmentation. In order: prepare, check, run, query.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyFile = Annotated[Path, typer.Argument(help="Study file (YAML).")]
# Not Path, which would make s3:/ of s3://.
Run = Annotated[str, typer.Argument(help="Run folder, for example runs/demo or s3://bucket/runs/demo.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Out = Annotated[
    str | None, typer.Option(help="Run folder or s3:// URL; runs/<name of the study> unless given.")
]


def main() -> None:
    """Run a command; bad input gives one message on standard error and exit code 2, failing storage exit code 1."""
    try:
        sys.exit(told(app))
    except BrokenPipeError:
        # The reader, such as `head`, has what it wants; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"hnscc {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None: ...


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="New folder for the cohort.")],
    patients: Annotated[int, typer.Option(help="Number of patients, 12 or more.")] = 44,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 2023,
) -> None:
    """Make a synthetic PET-MRI cohort with a known truth: NIfTI files and manifest.csv.

    Example: hnscc phantom data/phantom --patients 24
    """
    from data_prep.phantom import make_phantom

    with _progress("making scans") as progress:
        manifest = make_phantom(out, patients=patients, seed=seed, progress=progress)
    print(f"wrote {manifest}\nnext:  hnscc prepare {manifest} {out}.zarr")


@app.command()
def prepare(
    manifest: Annotated[
        Path, typer.Argument(help="CSV: patient_id, scan_id, mask, and a column per modality.")
    ],
    store: Annotated[
        str, typer.Argument(help="New store, for example data/cohort.zarr or s3://bucket/cohort.zarr.")
    ],
    size: Annotated[int, typer.Option(help="Side of a stored slice in pixels.")] = 128,
    pixel_mm: Annotated[
        float | None, typer.Option(help="Pixel size in mm (then crop and pad); else the whole field of view.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Modality whose grid is used; else the one that the masks are drawn on."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; one per core unless given.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an existing store.")] = False,
    as_json: AsJson = False,
) -> None:
    """Place, resize and store every slice of every scan. A refused scan means no store.

    Example: hnscc prepare data/phantom/manifest.csv data/phantom.zarr --pixel-mm 1.7
    """
    from data_prep.build import prepare as build

    with _progress("preparing scans") as progress:
        made = build(
            manifest,
            store,
            size=size,
            pixel_mm=pixel_mm,
            reference=reference,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    _print_store(made, as_json)
    if not as_json:
        print(f"next:  hnscc check STUDY, with `store: {store}` in the study file")


@app.command()
def verify(
    store: Annotated[
        str, typer.Argument(help="A store, for example data/cohort.zarr or s3://bucket/cohort.zarr.")
    ],
    as_json: AsJson = False,
) -> None:
    """Read every chunk of a store and check it against its checksums and digests.

    Example: hnscc verify data/phantom.zarr
    """
    from hnscc.cohort.store import open_store, verify_store

    opened = open_store(store)
    with _progress("verifying scans") as progress:
        verify_store(opened, progress)
    _print_store(opened, as_json)
    if not as_json:
        print("every chunk is as it was written")


@app.command()
def check(
    study: StudyFile,
    out: Out = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Print the study with every default spelled out.")
    ] = False,
    precision: Annotated[
        float | None,
        typer.Option(
            min=1e-6, max=1, help="Tell how many repeats give the median test Dice within this (95 %)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Validate a study; print its plan, splits, leakage checks, what is done, disk and time. Trains nothing.

    Example: hnscc check studies/demo.yaml
    """
    from hnscc.commands.check import check_study, print_check
    from hnscc.study.loading import dump_study, load_study

    found = check_study(load_study(study), out, precision)
    if resolved:
        print(dump_study(load_study(study)), end="")
    elif as_json:
        print(json.dumps(found, indent=1))
    else:
        print_check(found, Console(width=None if sys.stdout.isatty() else 120), study)


@app.command()
def run(
    study: StudyFile,
    out: Out = None,
    address: Annotated[
        str | None, typer.Option(help="A running Ray cluster; RAY_ADDRESS, else a local one, unless given.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Train at most so many of the missing trials.")
    ] = None,
) -> None:
    """Train what is missing, then write tables, figures and the report. Run it again to continue.

    Example: hnscc run studies/demo.yaml
    """
    from hnscc.study.loading import load_study
    from rayjobs.study import report_outcome, run_study

    raise typer.Exit(report_outcome(run_study(load_study(study), out, address, limit)))


@app.command()
def search(
    study: StudyFile,
    out: Out = None,
    address: Annotated[
        str | None, typer.Option(help="A running Ray cluster; RAY_ADDRESS, else a local one, unless given.")
    ] = None,
    then_run: Annotated[
        bool, typer.Option("--run", help="Then run the winners' study too, in RUN/winners.")
    ] = False,
) -> None:
    """Search hyperparameters over repeats; write winners.yaml, tables, figures and a report. Run it again to continue.

    The score is of the validation patients alone: no test slice is read before the winners' study is run.

    Example: hnscc search studies/search.yaml
    """
    from rayjobs.search import search_and_report

    raise typer.Exit(search_and_report(str(study), out, address, then_run))


@app.command()
def status(run: Run, as_json: AsJson = False) -> None:
    """Show how far a study has come, also from another terminal or machine while it runs.

    Example: hnscc status runs/demo
    """
    from hnscc.commands.status import print_status, run_status
    from hnscc.study.run_folder import open_run

    found = run_status(open_run(run))
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        print_status(found, Console(width=None if sys.stdout.isatty() else 120), run)


@app.command()
def aggregate(run: Run) -> None:
    """Write the tables, figures and report again from the finished trials.

    Example: hnscc aggregate runs/demo
    """
    from hnscc.study.run_folder import open_run
    from rayjobs.aggregate import aggregate as again

    folder = open_run(run)
    for problem in again(folder):
        print(problem, file=sys.stderr)
    print(f"wrote {folder.tables} and {folder.html}\nnext:  hnscc query {folder.root} 'SHOW TABLES'")


@app.command()
def report(run: Run) -> None:
    """Write report.html, report.md and the figures again from the tables.

    Example: hnscc report runs/demo
    """
    from hnscc.reporting.report import write_report
    from hnscc.searching.search_report import write_search_report
    from hnscc.searching.search_results import load_race
    from hnscc.study.run_folder import open_run

    folder = open_run(run)
    if folder.search.is_file():
        write_search_report(folder, *load_race(folder))
    else:
        write_report(folder)
    print(f"wrote {folder.html} and {folder.markdown}")


@app.command()
def query(
    run: Run,
    sql: Annotated[str, typer.Argument(help="SQL; every table of the run folder is a table here.")],
    form: Annotated[str, typer.Option("--format", help="table, csv, json or parquet.")] = "table",
) -> None:
    """Ask the tables with SQL (DuckDB); SHOW TABLES lists them, DESCRIBE pooled the columns of one.

    Example: hnscc query runs/demo "SELECT variant, dice, dice_low, dice_high FROM pooled WHERE split = 'test'"
    """
    from hnscc.aggregation.query import query as ask
    from hnscc.study.run_folder import open_run

    writers = {"table": _write_table, "csv": _write_csv, "json": _write_json, "parquet": _write_parquet}
    if form not in writers:
        raise InputError(
            "There is no such format.",
            where="--format",
            expected=", ".join(writers),
            found=form,
            do="choose one of these",
        )
    writers[form](ask(open_run(run), sql))


app.command()(settings)


@app.command()
def doctor(
    cluster: Annotated[Path | None, typer.Option(help="A `ray up` file, for example cluster.yaml.")] = None,
    working_dir: Annotated[
        Path | None, typer.Option(help="The folder that `ray job submit --working-dir` is to upload.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a cluster file, or a folder to be submitted, before anything starts; needs no network.

    Every missing safeguard, every invalid field and every FILL-IN of a `ray up` file is named with its line. Of a
    folder: how much Ray would upload, and whether patient files are among it. Exit code 2 if something is wrong, or
    still to be filled in.

    Example: hnscc doctor --cluster cluster.yaml --working-dir .
    """
    if cluster is None and working_dir is None:
        raise InputError(
            "There is nothing to check.",
            where="hnscc doctor",
            expected="--cluster FILE, --working-dir DIR, or both",
            found="neither",
            do="hnscc doctor --cluster cluster.yaml --working-dir .",
        )
    from rayjobs.doctor import examine

    found = examine(cluster, working_dir)
    print(json.dumps(found.as_json(), indent=1) if as_json else "\n".join(found.lines()))
    raise typer.Exit(0 if found.fine else 2)


@app.command()
def prune(run: Run) -> None:
    """Delete the weights that no reading needs: all but those of the median models. Tables do not change.

    Example: hnscc prune runs/demo
    """
    from hnscc.commands.prune import prune_weights
    from hnscc.study.run_folder import open_run

    files, size = prune_weights(open_run(run))
    print(f"deleted {files} weights files, {size / 2**20:.1f} MiB; the median models keep theirs")


@contextlib.contextmanager
def _progress(text: str) -> Iterator[Any]:
    """A bar on a terminal, nothing elsewhere: called with how many are done, of how many, and the current one."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total, now: bar.update(task, completed=done, total=total)


def _print_store(store: Any, as_json: bool) -> None:
    facts = {
        "store": store.location,
        "patients": len({scan.patient_id for scan in store.scans}),
        "scans": len(store.scans),
        "scans_with_lesion": sum(any(scan.lesion_px) for scan in store.scans),
        "slices": sum(scan.slices for scan in store.scans),
        "positive_slices": sum(px > 0 for scan in store.scans for px in scan.lesion_px),
        "lesion_lost_in_resize": sum(
            bool(source and not px)
            for scan in store.scans
            for px, source in zip(scan.lesion_px, scan.source_lesion_px, strict=True)
        ),
        "modalities": list(store.modalities),
        "size": store.size,
        "digest": store.digest,
    }
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    print(
        f"{facts['store']}: {facts['patients']} patients, "
        f"{facts['scans']} scans ({facts['scans_with_lesion']} with lesion), "
        f"{facts['slices']} slices ({facts['positive_slices']} with lesion), {', '.join(store.modalities)}, "
        f"{store.size} x {store.size} pixels, digest {store.digest[:12]}"
    )
    if facts["lesion_lost_in_resize"]:
        print(
            f"{facts['lesion_lost_in_resize']} slices lost their few lesion pixels in the resize; they are not used"
        )


def _write_table(table: Any) -> None:
    shown = Table()
    for name in table.column_names:
        shown.add_column(name, overflow="fold")
    for row in _rows(table):
        shown.add_row(*("" if v is None else f"{v:.4g}" if isinstance(v, float) else str(v) for v in row))
    # Where nobody looks, a table must not be folded to the width of a terminal that is not there.
    Console(width=None if sys.stdout.isatty() else 10_000).print(shown)


def _write_csv(table: Any) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(table.column_names)
    rows.writerows(_rows(table))


def _write_json(table: Any) -> None:
    names = table.column_names
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise InputError(
            "Two columns have one name, and JSON can hold only one of them.",
            where="the query's result",
            expected="a name of its own for every column",
            found=f"{', '.join(twice)} more than once",
            do="rename with AS, for example `a.variant AS first, b.variant AS second`",
        )
    rows = [dict(zip(names, map(_json_value, row), strict=True)) for row in _rows(table)]
    print(json.dumps(rows, default=str, allow_nan=False))


def _rows(table: Any) -> Iterator[tuple[Any, ...]]:
    """The rows by position: as dictionaries they would lose a column that shares its name with another."""
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _json_value(value: Any) -> Any:
    """JSON knows no NaN and no infinity: null. A decimal is a number, not a text."""
    if isinstance(value, dict):
        return {name: _json_value(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_parquet(table: Any) -> None:
    import pyarrow.parquet as pq

    pq.write_table(table, sys.stdout.buffer)


if __name__ == "__main__":
    main()
