"""Commands of a study and of its cluster: init, check, run, search, status, settings, doctor."""

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hnscc.base import option_help
from hnscc.base.argument_checks import check_whole
from hnscc.base.errors import InputError
from hnscc.base.in_words import as_typed
from hnscc.commands import study_api as api
from hnscc.commands.options import AcceptVersions, Address, AsJson, HalfWidth, Out, Prefer, Run, StudyFile


def init(
    store: Annotated[
        str, typer.Argument(help="A store, for example data/cohort.zarr; or a folder of scans.")
    ],
    study: Annotated[
        Path | None,
        typer.Argument(
            help="New study file; the store's name with .yaml, here, unless given; for a folder study.yaml."
        ),
    ] = None,
    prefer: Prefer = None,
) -> None:
    """Write a study file for a store, with comments. It is one that `check` takes; change in it what you like.

    For a folder of scans it also writes their manifest, as `hnscc scan` does, beside the study file and with the same
    name. It says how to prepare the scans once you have written a mask, or none, wherever the manifest says FILL-IN. An
    existing file is never replaced.

    Example: hnscc init data/phantom.zarr studies/mine.yaml
    """
    from hnscc.base.console import counted
    from hnscc.commands.listing import print_begun
    from hnscc.commands.new_study import init_study

    with counted("reading") as tell:
        begun = init_study(store, study, prefer or (), tell)
    if isinstance(begun, Path):
        print(f"wrote {begun}\nnext:  hnscc check {as_typed(begun)}")
    else:
        print_begun(begun)


def check(
    study: StudyFile,
    out: Out = None,
    address: Address = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Print the study with every default spelled out.")
    ] = False,
    half_width: HalfWidth = None,
    accept_versions: AcceptVersions = False,
    as_json: AsJson = False,
) -> None:
    """Validate a study and tell what it would do. Prints its variants, splits, leakage checks, what is done, the disk
    and time it needs, and warnings. Trains and writes nothing.

    Example: hnscc check studies/demo.yaml
    """
    from hnscc.base.console import terminal
    from hnscc.commands.printed_studies import print_check
    from hnscc.study.loading import dump_study, load_study

    found = api.check(study, out, half_width=half_width, accept_versions=accept_versions, address=address)
    if resolved:
        print(dump_study(load_study(study)), end="")
    elif as_json:
        print(json.dumps(found, indent=1))
    else:
        print_check(found, terminal(), f"{as_typed(study)} --out {as_typed(out)}" if out else as_typed(study))


def run(
    study: StudyFile,
    out: Out = None,
    address: Address = None,
    limit: Annotated[int | None, typer.Option(help=option_help.LIMIT)] = None,
    accept_versions: AcceptVersions = False,
) -> None:
    """Train what is missing, then write tables and the report. The same command continues after an interrupt.

    Example: hnscc run studies/demo.yaml
    """
    from hnscc.study.loading import load_study
    from rayjobs.run_end import tell_run_end
    from rayjobs.study import run_study

    if limit is not None:
        check_whole("limit", limit, 0)
    end = run_study(load_study(study), out, address, limit, accept_versions=accept_versions)
    raise typer.Exit(tell_run_end(end))


def search(
    study: StudyFile,
    out: Out = None,
    address: Address = None,
    then_run: Annotated[bool, typer.Option("--run", help=option_help.THEN_RUN)] = False,
    accept_versions: AcceptVersions = False,
) -> None:
    """Search hyperparameters over repeats. Writes winners.yaml, tables, figures and a report; the same command
    continues after an interrupt.

    A configuration is scored on the validation patients alone: no test slice is read before the winners' study runs.

    Example: hnscc search studies/search.yaml
    """
    from hnscc.study.loading import load_study
    from rayjobs.search import run_search, run_winners
    from rayjobs.search_end import tell_search_end

    end = run_search(load_study(study), out, address, accept_versions=accept_versions)
    code = tell_search_end(end)
    if then_run and not code:
        code = run_winners(end, address, accept_versions=accept_versions)
    raise typer.Exit(code)


def status(run: Run, as_json: AsJson = False) -> None:
    """Show how far a study has come. Works from another terminal or machine too, while the study runs.

    Example: hnscc status runs/demo
    """
    from hnscc.base.console import terminal
    from hnscc.commands.printing import print_status

    found = api.status(run)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        print_status(found, terminal(), run)


if TYPE_CHECKING:
    from hnscc.study.settings_page import SettingRow


def settings(
    key: Annotated[
        str | None, typer.Argument(help="A setting or a section, such as training.epochs; all unless given.")
    ] = None,
    as_json: AsJson = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole of docs/reference/settings.md.")
    ] = False,
) -> None:
    """Print what a study file may hold. Of every setting: type, choices, the default of both presets, meaning, source.

    Example: hnscc settings training.network
    """
    from hnscc.study.settings_page import all_settings, as_objects, settings_below, to_markdown

    if markdown:
        print(to_markdown(), end="")
        return
    rows = settings_below(key) if key else all_settings()
    if not rows:
        raise _unknown(key or "")
    if as_json:
        print(json.dumps(as_objects(rows), indent=1))
    else:
        print("\n".join(line for row in rows for line in _lines(row)))


def _lines(row: "SettingRow") -> Iterator[str]:
    """Yield the lines of a setting, three or more: its path and type, its defaults, and its meaning."""
    from hnscc.study.settings_page import defaults_of

    yield f"{row.path}: {row.type}"
    if defaults := defaults_of(row):
        yield f"    default: {defaults}"
    yield from textwrap.wrap(
        f"{row.meaning} ({row.source})", 100, initial_indent="    ", subsequent_indent="    "
    )


def _unknown(key: str) -> InputError:
    from hnscc.study.settings_page import names_in, nearest

    close = nearest(key)
    section = key.rpartition(".")[0]
    beside = names_in(section) if section else ()
    return InputError(
        "There is no such setting.",
        where="hnscc settings",
        expected=f"{' or '.join(close)}?"
        if close
        else f"of {section}: {', '.join(beside)}"
        if beside
        else f"one of {', '.join(names_in(''))}, or what these hold",
        found=key,
        do=f"hnscc settings {close[0] if close else section}"
        if close or beside
        else "`hnscc settings` prints all of them",
    )


def doctor(
    cluster: Annotated[Path | None, typer.Option(help="A `ray up` file, for example cluster.yaml.")] = None,
    working_dir: Annotated[
        Path | None, typer.Option(help="The folder that `ray job submit --working-dir` is to upload.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a cluster file, or a folder to be submitted, offline. Nothing is started.

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
    from rayjobs.doctor.checkup import examine

    found = examine(cluster, working_dir)
    print(json.dumps(found.as_json(), indent=1) if as_json else "\n".join(found.lines()))
    raise typer.Exit(0 if found.fine else 2)
