"""From a plan to trial folders, tables and report: `python -m rayjobs.study STUDY`."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterable
from dataclasses import replace

from hnscc.aggregation.enough_repeats import due, settle
from hnscc.base.errors import InputError, exit_code_of
from hnscc.base.files import write_text
from hnscc.base.locations import Location
from hnscc.study.loading import dump_study, load_study
from hnscc.study.plan import Trial, plan_trials
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study, UntilPrecise
from hnscc.training.earlier import ACCEPT_VERSIONS, lines_of_left_out
from hnscc.training.in_use import alone
from hnscc.training.prepare import Prepared, prepare_run, run_folder
from hnscc.training.process import resources_here
from hnscc.training.records import UNUSABLE, tidy_run
from rayjobs.aggregate import aggregate
from rayjobs.cluster import (
    await_machines,
    connected,
    machines_of_cluster,
    prove_shared,
    resolve_on_cluster,
)
from rayjobs.outcome import Outcome, outcome_of, report_outcome
from rayjobs.patient_files import refuse_in_job
from rayjobs.progress import StudyProgress
from rayjobs.requests import check_study_requests, resolve_here
from rayjobs.scheduling import train_trials
from rayjobs.surroundings import refuse_shadowed


def run_study(
    study: Study,
    out: str | Location | None,
    address: str | None,
    limit: int | None,
    *,
    accept_versions: bool = False,
) -> Outcome:
    """Train what is missing (at most `limit` trials of it), then aggregate.

    address: a running cluster's, else RAY_ADDRESS, else Ray is started on this machine for this run alone.
    accept_versions: go on beside finished trials of other versions. InputError for what cannot run; a new run folder
    is then not left behind.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    refuse_in_job()
    refuse_shadowed()
    refuse_search(study)
    folder = RunFolder(run_folder(study, out).root.absolute())
    with alone(folder):
        with contextlib.ExitStack() as during:
            prepared, token = make_ready(study, folder, address, during, accept_versions)
            left = prepared.missing()
            prepared = _settled(
                prepared, (trial for trial in left if prepared.state(trial).status == "missing")
            )
            tried: list[Trial] = []
            interrupted = False
            while todo := _next(prepared, left, tried, limit):
                if not address and not tried:
                    during.enter_context(connected(None))
                planned = plan_trials(prepared.study)
                interrupted = train_trials(prepared, todo, token, planned=planned, left=left, pause_after={})
                tried += todo
                states = {trial: prepared.state(trial).status for trial in todo}
                left = [trial for trial in left if states.get(trial) != "completed"]
                if interrupted or "missing" in states.values():
                    break
                prepared = _settled(prepared, [trial for trial in left if trial not in tried])
        outcome = outcome_of(prepared, tried, left, interrupted)
        return outcome if interrupted else _with_tables(prepared, outcome)


def _with_tables(prepared: Prepared, outcome: Outcome) -> Outcome:
    """The outcome once the tables are written: with what stands in none of them."""
    tidy_run(prepared.folder, outcome.completed)
    problems = aggregate(prepared.folder)
    unused = [each for each in problems if UNUSABLE in each]
    return replace(outcome, unused=unused, left_out=lines_of_left_out(prepared.study, prepared.folder))


def _next(prepared: Prepared, left: list[Trial], tried: list[Trial], limit: int | None) -> list[Trial]:
    """The trials to be trained now; one that failed is not tried again by the same command."""
    planned = set(plan_trials(prepared.study))
    more = due(prepared.study, [trial for trial in left if trial in planned and trial not in tried])
    return more[: None if limit is None else limit - len(tried)]


def _settled(prepared: Prepared, waiting: Iterable[Trial]) -> Prepared:
    """Where repeats end once they are precise: with what is enough by now, as study.yaml then says too."""
    study = settle(prepared.folder, prepared.study, waiting)
    if not isinstance(study.repeats, UntilPrecise):
        return prepared
    if study != prepared.study:
        for variant, repeats in study.repeats.enough.items():
            print(f"{variant}: {repeats} repeats are enough", flush=True)
    write_text(prepared.folder.study, dump_study(study))
    return replace(prepared, study=study)


def make_ready(
    study: Study,
    folder: RunFolder,
    address: str | None,
    during: contextlib.ExitStack,
    accept_versions: bool,
) -> tuple[Prepared, str | None]:
    """A run folder made ready, on a cluster where there is an address: then connected, and proven to be shared.

    Gives the token of that proof too. `during` takes what is to be closed after the training.
    """
    token = None
    if address:
        during.enter_context(connected(address))
        check_study_requests(study, machines_of_cluster())
        await_machines(study)
        token = during.enter_context(prove_shared(folder))
    else:
        check_study_requests(study, [resources_here()])
    with StudyProgress.reading() as reading:
        resolve = resolve_on_cluster(study) if address else resolve_here(study)
        prepared = prepare_run(
            study, folder.root, resolve=resolve, progress=reading, accept_versions=accept_versions
        )
        return prepared, token


def refuse_search(study: Study) -> None:
    if study.search:
        raise InputError(
            "This study is a hyperparameter search.",
            where=f"search in the study {study.name}",
            expected="a study with variants and no search",
            found=f"{len(study.search.ranges)} ranges to search",
            do="hnscc search STUDY; it writes the winners' study, which `hnscc run` takes",
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rayjobs.study", description="Train what is missing, aggregate."
    )
    parser.add_argument("study", help="study file, e.g. studies/demo.yaml")
    parser.add_argument("--out", help="run folder (default: runs/<name of the study>)")
    parser.add_argument("--address", help="a running Ray cluster (default: RAY_ADDRESS, else one of its own)")
    parser.add_argument("--limit", type=_count, help="train at most so many of the missing trials")
    parser.add_argument("--accept-versions", action="store_true", help=ACCEPT_VERSIONS)
    options = parser.parse_args(arguments)
    return exit_code_of(
        lambda: report_outcome(
            run_study(
                load_study(options.study),
                options.out,
                options.address,
                options.limit,
                accept_versions=options.accept_versions,
            )
        )
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of trials, 0 or more, found {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
