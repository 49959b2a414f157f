"""From ranges of settings to winners.yaml, by Ray Tune and a race of configurations: `python -m rayjobs.search STUDY`.

The race (searching.race) says which trials it wants and Tune trains them, until the race wants no more. What the race
wants follows from the trials' own files alone. So after a kill the same command goes on, to the same winner.
"""

import argparse
import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import ray

from hnscc.base import option_help
from hnscc.base.command import exit_code_of, leave
from hnscc.base.errors import InputError
from hnscc.base.files import delete, write_text
from hnscc.base.in_words import count_of
from hnscc.base.locations import Location
from hnscc.searching.ledger import Curve, Key, Wanted
from hnscc.searching.race import Race
from hnscc.searching.recorded import SearchRecord, curve_of, read_search, trial_of, write_search
from hnscc.searching.report import write_search_report
from hnscc.searching.results import write_search_results
from hnscc.searching.standings import Standing
from hnscc.study.identity import changed_values, trial_settings
from hnscc.study.loading import dump_study, kept_study, load_study
from hnscc.study.presets import SEARCHED
from hnscc.study.range_checks import check_search
from hnscc.study.ranges import Configuration, base_of, search_of, with_configurations
from hnscc.study.run_folder import RunFolder, run_folder_of
from hnscc.study.schema import Study
from hnscc.study.search_schema import Search
from hnscc.study.variant_schema import Training
from hnscc.training.earlier import choose_devices
from hnscc.training.hardware import resources_here
from hnscc.training.in_use import alone, writing_tables
from hnscc.training.ready import ReadyRun, check_networks
from hnscc.training.tidying import tidy_run
from rayjobs.cluster import connected, resolve_on_cluster
from rayjobs.patient_files import refuse_in_job
from rayjobs.proposals import proposer
from rayjobs.requests import resolve_here, trials_at_once
from rayjobs.run_end import tell_run_end
from rayjobs.scheduling import train_trials
from rayjobs.search_end import SearchEnd, tell_search_end
from rayjobs.shadowed import refuse_shadowed
from rayjobs.study import make_ready, run_study
from rayjobs.surroundings import given_or_set


def run_search(
    study: Study, out: str | Location | None, address: str | None, *, accept_versions: bool = False
) -> SearchEnd:
    """Train what the race still wants, then write tables, figures, the report and winners.yaml.

    address: as for `run_study`. InputError for ranges, settings or a budget that cannot be searched; nothing is then
    written or trained.
    """
    rules = check_search(study)
    address = given_or_set(address)
    refuse_in_job()
    refuse_shadowed()
    folder = RunFolder(run_folder_of(study.name, out).root.absolute())
    with alone(folder):
        with contextlib.ExitStack() as during:
            record = read_search(folder)
            if record:
                _check_same_search(study, folder)
            recorded = record.configurations if record else []
            known = with_configurations(study, recorded) if recorded else study
            ready, token = make_ready(known, folder, address, during, accept_versions)
            side_by_side = record.side_by_side if record else _side_by_side(ready, address)
            race = Race(rules, base_of(study).training.epochs, proposer(study, recorded), side_by_side)
            resolve = functools.cache(resolve_on_cluster(study) if address else resolve_here(study))
            _check_gpu_hours(ready, rules)
            lost, interrupted = train_wanted(study, race, ready, resolve, recorded, token, during)
        standings: list[Standing] = []
        if not interrupted and not lost:
            tidy_run(folder, set())
            tried = with_configurations(study, race.configurations)
            with writing_tables(folder):
                standings = write_search_results(folder, tried, race)
                write_search_report(folder, tried, race)
        return SearchEnd(folder, race.configurations, standings, lost, interrupted)


def _check_same_search(study: Study, folder: RunFolder) -> None:
    """Raise InputError for other ranges or another method, which make another search. With a larger budget or more
    configurations a search goes on."""
    before, now = kept_study(folder).search, search_of(study)
    keys = ("method", "ranges")
    if before and any(getattr(before, key) != getattr(now, key) for key in keys):
        old, new = ({key: each.model_dump(mode="json")[key] for key in keys} for each in (before, now))
        raise InputError(
            "The run folder holds a search of other ranges, or by another method.",
            where=str(folder.root),
            expected="the method and ranges that it began with",
            found="; ".join(changed_values(old, new)),
            do="set them back, or search into another folder (--out, or another name)",
        )


def train_wanted(
    study: Study,
    race: Race,
    ready: ReadyRun,
    resolve: Callable[[Training], tuple[str, str]],
    recorded: Sequence[Configuration],
    token: str | None,
    during: contextlib.ExitStack,
) -> tuple[list[str], bool]:
    """Train what the race wants, until it wants no more. Return which trials left nothing, and whether the user
    interrupted it.

    Where no cluster was joined, Ray is started once there is something to train; `during` takes what shuts it down.
    """
    wanted, trained = race.advance({}), Wanted()
    while wanted:
        ready = _with_configurations(study, race, ready, resolve, recorded)
        left = race.advance({key: curve for key in wanted if (curve := _curve(ready, key))})
        if left != wanted:  # some were there: the race may want others now
            wanted, trained = left, Wanted()
        elif wanted == trained:
            return [trial_of(key).trial_id for key in wanted], False
        else:
            if not ray.is_initialized():
                during.enter_context(connected(None))
            print(f"{race.now}: {count_of(len(wanted), 'trial')}", flush=True)
            pause_after = {trial_of(key): epoch for key, epoch in wanted.items()}
            todo = list(pause_after)
            interrupted = train_trials(
                ready, todo, token, all_trials=todo, left=todo, pause_after=pause_after
            )
            for trial in todo:  # nothing in a search reads weights, and they are most of what a trial holds
                delete(ready.folder.trial(trial.trial_id).weights)
            if interrupted:
                return [], True
            trained = wanted
    return [], False


def _curve(ready: ReadyRun, key: Key) -> Curve | None:
    """Return the scores so far of a trial with these settings."""
    trial = trial_of(key)
    device, precision = ready.computed_by[trial.variant]
    digest = ready.folds[trial.fold].digest
    now = trial_settings(ready.study, trial, device=device, precision=precision, fold_digest=digest)
    return curve_of(ready.folder, key, now, accept_versions=ready.versions is None)


def _check_gpu_hours(ready: ReadyRun, rules: Search) -> None:
    """Raise InputError where the budget limits GPU-hours alone and no trial spends any."""
    budget = rules.budget
    only = budget.gpu_hours is not None and budget.trials is None and budget.hours is None
    if only and all(device == "cpu" for device, _ in ready.computed_by.values()):
        raise InputError(
            "A budget of GPU-hours is never spent here.",
            where="search.budget.gpu_hours",
            expected="trainings on a GPU, or a budget of trials or hours too",
            found="trainings on the CPU",
            do="give search.budget.trials or hours",
        )


def _with_configurations(
    study: Study,
    race: Race,
    ready: ReadyRun,
    resolve: Callable[[Training], tuple[str, str]],
    recorded: Sequence[Configuration],
) -> ReadyRun:
    """Return the run with a variant for every configuration so far, as study.yaml and search.json now have them."""
    if len(ready.study.variants) == len(race.configurations) and SEARCHED not in ready.study.variants:
        return ready
    study = with_configurations(study, race.configurations)
    slices = [data.rows["train"].stop - data.rows["train"].start for data in ready.folds.values()]
    check_networks(study.variants.values(), ready.folds[0].pixels.images.shape[-1], slices)
    # What was ever proposed stays, though fewer are wanted now: there are trials of its name.
    proposed = [*race.configurations, *recorded[len(race.configurations) :]]
    write_search(ready.folder, SearchRecord(configurations=proposed, side_by_side=race.side_by_side))
    write_text(ready.folder.study, dump_study(study))
    return replace(ready, study=study, computed_by=choose_devices(study, ready.folder, resolve))


def _side_by_side(ready: ReadyRun, address: str | None) -> float:
    """Return how many trials the machines that are up train at once."""
    machines = ray.cluster_resources() if address else resources_here()  # type: ignore[no-untyped-call]
    return float(trials_at_once(machines, ready.study, {device for device, _ in ready.computed_by.values()}))


def run_winners(end: SearchEnd, address: str | None, *, accept_versions: bool = False) -> int:
    """Run the winners' study in the folder `winners` below the search's, and report it. Returns the exit code."""
    winners = load_study(end.folder.winners)
    return tell_run_end(
        run_study(winners, end.folder.winners_run, address, None, accept_versions=accept_versions)
    )


def _command(study_file: str, out: str | None, address: str | None, run: bool, accept_versions: bool) -> int:
    """Run the command for `python -m`."""
    end = run_search(load_study(study_file), out, address, accept_versions=accept_versions)
    code = tell_search_end(end)
    return run_winners(end, address, accept_versions=accept_versions) if run and not code else code


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m rayjobs.search", description="Search hyperparameters over repeats."
    )
    parser.add_argument("study", help=option_help.STUDY)
    parser.add_argument("--out", help=option_help.OUT)
    parser.add_argument("--address", help=option_help.ADDRESS)
    parser.add_argument("--run", action="store_true", help=option_help.THEN_RUN)
    parser.add_argument("--accept-versions", action="store_true", help=option_help.ACCEPT_VERSIONS)
    options = parser.parse_args(arguments)
    return exit_code_of(
        lambda: _command(options.study, options.out, options.address, options.run, options.accept_versions),
        arguments,
    )


if __name__ == "__main__":
    leave(main())
