"""From a study to trial folders, tables and report: `python -m rayjobs.study STUDY`."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import ray

from hnscc.base import option_help
from hnscc.base.command import exit_code_of, leave
from hnscc.base.console import counted, terminal
from hnscc.base.errors import InputError
from hnscc.base.files import write_text
from hnscc.base.in_words import count_of
from hnscc.base.locations import Location
from hnscc.cohort.splits import Division
from hnscc.cohort.store import Store
from hnscc.study.loading import dump_study, load_study
from hnscc.study.run_folder import RunFolder, run_folder_of
from hnscc.study.schema import Study
from hnscc.study.section_schema import UntilPrecise
from hnscc.study.trials import Trial, due, trials_of
from hnscc.study.variant_schema import Training
from hnscc.training.earlier import lines_of_left_out
from hnscc.training.hardware import may_have_gpu, resources_here
from hnscc.training.in_use import alone
from hnscc.training.ready import (
    ReadyRun,
    asked_of_pytorch,
    check_networks,
    check_same_store,
    make_run_ready,
    networks_of,
    open_and_divide,
)
from hnscc.training.tidying import tidy_run
from rayjobs.cluster import await_machines, connected, machines_of_cluster, resolve_on_cluster
from rayjobs.patient_files import refuse_in_job
from rayjobs.requests import check_study_requests, resolve_here, trials_at_once, with_share
from rayjobs.run_end import RunEnd, refuse_moved, run_end_of, tell_run_end
from rayjobs.shadowed import refuse_shadowed
from rayjobs.shared import prove_shared
from rayjobs.standby import await_standby, load_beside, standing_by
from rayjobs.surroundings import given_or_set


def run_study(
    study: Study,
    out: str | Location | None,
    address: str | None,
    limit: int | None,
    *,
    accept_versions: bool = False,
) -> RunEnd:
    """Train what is missing (at most `limit` trials of it), then aggregate.

    address: that of a running cluster; without one RAY_ADDRESS counts, else Ray is started on this machine for this run
    alone. accept_versions: go on beside trained trials of other versions. InputError for what cannot run; a new run
    folder is then not left behind.
    """
    address = given_or_set(address)
    refuse_in_job()
    refuse_shadowed()
    refuse_search(study)
    folder = RunFolder(run_folder_of(study.name, out).root.absolute())
    with alone(folder), contextlib.ExitStack() as during:
        trains = limit != 0 and _any_unrecorded(study, folder)
        ready, token = make_ready(study, folder, address, during, accept_versions, trains=trains)
        left = ready.not_completed()
        ready = _settled(ready, (trial for trial in left if ready.state(trial).status == "missing"))
        tried: list[Trial] = []
        interrupted = False
        while todo := _next(ready, left, tried, limit):
            from rayjobs.scheduling import train_trials  # here, for Tune takes a second to load

            _begin_training(during)
            every = trials_of(ready.study)
            interrupted = train_trials(ready, todo, token, all_trials=every, left=left, pause_after={})
            tried += todo
            states = {trial: ready.state(trial, just_trained=True).status for trial in todo}
            left = [trial for trial in left if states.get(trial) != "completed"]
            if interrupted or "missing" in states.values():
                break
            before = set(tried)
            ready = _settled(ready, [trial for trial in left if trial not in before])
        end = run_end_of(ready, tried, left, interrupted)
        if interrupted:
            return end
        with _ended_beside(during):
            return _with_tables(ready, end)


def _any_unrecorded(study: Study, folder: RunFolder) -> bool:
    """Return whether a trial of the study has no record, so that there is something to train."""
    recorded = {each.trial_id for each in folder.recorded}
    return any(trial.trial_id not in recorded for trial in trials_of(study))


def _begin_training(during: contextlib.ExitStack) -> None:
    """Start Ray where no cluster was joined; `during` takes what shuts it down. Meanwhile load what the end of the
    run needs."""
    await_standby()
    if not ray.is_initialized():
        during.enter_context(connected(None))
    load_beside("rayjobs.aggregate", after=3)  # Tune starts meanwhile, and would be slower beside it


@contextlib.contextmanager
def _ended_beside(during: contextlib.ExitStack) -> Iterator[None]:
    """Shut Ray down in a thread while the tables are written, since Ray waits two seconds for its processes to end."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        ended = beside.submit(during.pop_all().close)
        yield
        ended.result()


def _with_tables(ready: ReadyRun, end: RunEnd) -> RunEnd:
    """Write the tables, and return what the run left, with the results that stand in no table."""
    from rayjobs.aggregate import aggregate  # here, for SciPy and Matplotlib take seconds to load

    refuse_moved(ready.folder)
    tidy_run(ready.folder, end.completed)
    unused = [each.text for each in aggregate(ready.folder) if each.unusable]
    return replace(end, unused=unused, left_out=lines_of_left_out(ready.study, ready.folder))


def _next(ready: ReadyRun, left: list[Trial], tried: list[Trial], limit: int | None) -> list[Trial]:
    """Return the trials to be trained now. The same command does not try a failed trial again."""
    free = set(trials_of(ready.study)) - set(tried)
    more = due(ready.study, [trial for trial in left if trial in free])
    return more[: None if limit is None else limit - len(tried)]


def _settled(ready: ReadyRun, waiting: Iterable[Trial]) -> ReadyRun:
    """For a study that stops at enough repeats, record in study.yaml which variants have enough by now."""
    if not isinstance(ready.study.repeats, UntilPrecise):
        return ready
    from hnscc.aggregation.enough_repeats import settle

    study = settle(ready.folder, ready.study, waiting)
    if study != ready.study and isinstance(study.repeats, UntilPrecise):
        for variant, repeats in study.repeats.enough.items():
            print(f"{variant}: {count_of(repeats, 'repeat is', 'repeats are')} enough", flush=True)
    write_text(ready.folder.study, dump_study(study))
    return replace(ready, study=study)


def make_ready(
    study: Study,
    folder: RunFolder,
    address: str | None,
    during: contextlib.ExitStack,
    accept_versions: bool,
    *,
    trains: bool = False,
) -> tuple[ReadyRun, str | None]:
    """Prepare the run folder. Given an address, first connect to its cluster and check that all machines see
    the folder.

    Return the token of that proof, too. during: takes what is to be closed after the training. trains: something will
    surely be trained, so that without an address Ray is started here first.
    """
    if address:
        return _ready_on_cluster(study, folder, address, during, accept_versions)
    if trains:
        return _ready_to_train_here(study, folder, during, accept_versions), None
    check_study_requests(study, [resources_here()])
    return _read(study, folder, accept_versions, resolve_here(study)), None


def _ready_on_cluster(
    study: Study, folder: RunFolder, address: str, during: contextlib.ExitStack, accept_versions: bool
) -> tuple[ReadyRun, str]:
    during.enter_context(connected(address))
    check_study_requests(study, machines_of_cluster())
    await_machines(study)
    token = during.enter_context(prove_shared(folder))
    return _read(study, folder, accept_versions, resolve_on_cluster(study)), token


def _ready_to_train_here(
    study: Study, folder: RunFolder, during: contextlib.ExitStack, accept_versions: bool
) -> ReadyRun:
    """Start Ray here, and read the folds meanwhile. What needs PyTorch, to check networks and to resolve `auto`, is
    asked of the process that has loaded it first."""
    store_and_divisions = _refuse_at_once(study, folder)
    answer = during.enter_context(standing_by(*_standby_of(study), _question_of(study, *store_and_divisions)))
    during.enter_context(connected(None))
    load_beside("rayjobs.scheduling")
    check_study_requests(study, [resources_here()])

    def check(*networks: object) -> None:
        answer()

    def resolve(training: Training) -> tuple[str, str]:
        return answer()[with_share(study, training)]

    return _read(study, folder, accept_versions, resolve, check, store_and_divisions)


def _read(
    study: Study,
    folder: RunFolder,
    accept_versions: bool,
    resolve: Callable[[Training], tuple[str, str]],
    check: Callable[..., object] = check_networks,
    store_and_divisions: tuple[Store, list[Division]] | None = None,
) -> ReadyRun:
    """Read the folds from the store, and show the progress. Arguments are those of `make_run_ready`."""
    with counted("reading the store", terminal()) as tell:
        ready = make_run_ready(
            study,
            folder.root,
            store_and_divisions=store_and_divisions,
            resolve=resolve,
            check=check,
            progress=tell,
            accept_versions=accept_versions,
        )
    for line in ready.mended:
        print(line, file=sys.stderr)
    return ready


def _refuse_at_once(study: Study, folder: RunFolder) -> tuple[Store, list[Division]]:
    """Return the store and its divisions. Whatever can be refused without PyTorch and Ray is refused here, before they
    are loaded."""
    store_and_divisions = open_and_divide(study)
    check_same_store(study, folder, *store_and_divisions)
    if not may_have_gpu():
        check_study_requests(study, [resources_here()])
    return store_and_divisions


def _standby_of(study: Study) -> tuple[int, tuple[str, ...]]:
    """Return how many trials are trained at once, and the modules that train them, which take seconds to load. (0, ())
    where there is a GPU: a library that looks for GPUs while it is loaded would see the same ones for ever, and each
    trial is to see its own."""
    if may_have_gpu():
        return 0, ()
    at_once = min(trials_at_once(resources_here(), study, {"cpu"}), len(trials_of(study)))
    library = not all(each.training.network.is_papers for each in study.variants.values())
    modules = ("rayjobs.worker", "hnscc.training.trial")
    return at_once, (*modules, "hnscc.training.library") if library else modules


def _question_of(
    study: Study, store: Store, divisions: list[Division]
) -> Callable[[], dict[Training, tuple[str, str]]]:
    """Return the question for a process that stands by: whether the networks fit, and what `auto` means here."""
    trainings = [with_share(study, each.training) for each in study.variants.values()]
    return partial(asked_of_pytorch, networks_of(study, store, divisions), trainings)


def refuse_search(study: Study) -> None:
    if study.search:
        raise InputError(
            "This study is a hyperparameter search.",
            where=f"search in the study {study.name}",
            expected="a study with variants and no search",
            found=f"{count_of(len(study.search.ranges), 'range')} to search",
            do="hnscc search STUDY; it writes the winners' study, which `hnscc run` takes",
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rayjobs.study", description="Train what is missing, aggregate."
    )
    parser.add_argument("study", help=option_help.STUDY)
    parser.add_argument("--out", help=option_help.OUT)
    parser.add_argument("--address", help=option_help.ADDRESS)
    parser.add_argument("--limit", type=_count, help=option_help.LIMIT)
    parser.add_argument("--accept-versions", action="store_true", help=option_help.ACCEPT_VERSIONS)
    options = parser.parse_args(arguments)
    given = options.out, options.address, options.limit
    return exit_code_of(
        lambda: tell_run_end(
            run_study(load_study(options.study), *given, accept_versions=options.accept_versions)
        ),
        arguments,
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number of trials, 0 or more, found {text!r}")
    return int(text)


if __name__ == "__main__":
    leave(main())
