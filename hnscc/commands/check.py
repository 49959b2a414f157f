"""Finds out what a study would do, before anything is trained: `hnscc check`. `printed_studies` prints it."""

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from statistics import median

from hnscc.aggregation.enough_repeats import RepeatsShown, repeats_shown
from hnscc.aggregation.folds import holds_evaluated
from hnscc.aggregation.results import read_trials
from hnscc.base.argument_checks import HALF_WIDTH, check_number
from hnscc.base.cores import cores
from hnscc.base.in_words import count_of
from hnscc.base.locations import Location
from hnscc.cohort.fold import digest_of_others
from hnscc.cohort.splits import Division
from hnscc.cohort.store import Store
from hnscc.commands.checked import (
    Checked,
    OtherVersions,
    RepeatsFacts,
    SplitFacts,
    TimeFacts,
    ToPredict,
    TrialFacts,
    VariantFacts,
    disk_of,
    memory_of,
    repeats_facts,
)
from hnscc.commands.warned import warnings_of
from hnscc.scores.intervals import unknown
from hnscc.study.identity import VERSIONS, changed_versions, versions_here
from hnscc.study.range_checks import check_search
from hnscc.study.ranges import number_to_try
from hnscc.study.run_folder import RunFolder, run_folder_of
from hnscc.study.schema import Study
from hnscc.study.search_schema import Search
from hnscc.study.section_schema import UntilPrecise
from hnscc.study.trials import Trial, fold_name, trials_of
from hnscc.study.variant_schema import Training
from hnscc.training.earlier import check_identities, choose_devices, left_out
from hnscc.training.hardware import resources_here
from hnscc.training.in_use import refuse_others
from hnscc.training.network import check_network
from hnscc.training.ready import batches_in, check_networks, check_same_store, networks_of, open_and_divide
from hnscc.training.records import Trained
from hnscc.training.states import TrialState, recorded_state, trial_state
from rayjobs.requests import check_study_requests, resolve_here, trials_at_once
from rayjobs.shadowed import refuse_shadowed
from rayjobs.surroundings import given_or_set

States = Mapping[Trial, TrialState]
PREDICT_FIRST = "trained trials predict the slices first that the study evaluates now: `hnscc run` lets them"


def check_study(
    study: Study,
    out: str | Location | None = None,
    half_width: float | None = None,
    *,
    accept_versions: bool = False,
    address: str | None = None,
) -> Checked:
    """Validate a study against its store and networks, and return what it would do. This writes and trains nothing. It
    reads the store's index and the records of existing trials, but no image.

    out: the run folder, runs/<name of the study> unless given. half_width: how far the 95 % interval of the median test
    Dice may extend to either side; the study's own `repeats.until` unless given. With a half_width, it also reads the
    predictions of completed trials. address: of the running Ray cluster on whose machines the study would be trained,
    RAY_ADDRESS unless given; without either, this machine.

    InputError for what cannot run, where a trial asks for more than any machine has, for a half_width beyond its
    limits, and for a run folder whose trained trials were trained with other settings or, unless accept_versions, with
    other versions of the arithmetic or of the libraries.
    """
    if half_width is not None:
        check_number("half_width", half_width, *HALF_WIDTH)
    rules = check_search(study) if study.search else None
    folder = run_folder_of(study.name, out)
    store, divisions, chosen = _refuse_what_cannot_run(
        study, folder, address, accept_versions=accept_versions
    )
    return _described(study, folder, store, divisions, chosen, rules, half_width)


def _refuse_what_cannot_run(
    study: Study, folder: RunFolder, address: str | None, *, accept_versions: bool
) -> tuple[Store, list[Division], dict[str, tuple[str, str]]]:
    """Return the store, its division in each fold, and for each variant its device and precision. InputError where the
    study cannot run."""
    refuse_others(folder)
    refuse_shadowed()
    store, divisions = open_and_divide(study)
    check_networks(*networks_of(study, store, divisions))
    with _asked_first(study, given_or_set(address)) as resolve:
        chosen = choose_devices(study, folder, resolve)
    check_same_store(study, folder, store, divisions)
    check_identities(study, folder, chosen, None, accept_versions=accept_versions)
    return store, divisions, chosen


def _described(
    study: Study,
    folder: RunFolder,
    store: Store,
    divisions: list[Division],
    chosen: Mapping[str, tuple[str, str]],
    rules: Search | None,
    half_width: float | None,
) -> Checked:
    """Return what `hnscc check` says about a study that can run. chosen: device and precision of each variant."""
    states = _states(study, folder, store, divisions)
    variants = {name: _variant(study, name, store, divisions, *chosen[name]) for name in study.variants}
    parameters = {name: each["parameters"] for name, each in variants.items()}
    proven = _proven(study, divisions)
    bounds = f"normalisation bounds come from: {study.normalisation.bounds.replace('_', ' ')} slices"
    return {
        "study": study.model_dump(mode="json"),
        "run_folder": str(folder.root),
        "store": {"location": store.location, "digest": store.digest, "scans": len(store.scans)},
        "variants": variants,
        "splits": [_split(division, split) for division in divisions for split in study.read_splits],
        "leakage_checks": [*proven, bounds],
        "proven": proven,
        "odd": list(store.odd),
        "warnings": warnings_of(study, divisions),
        "trials": {"in_all": len(states), **Counter(state.status for state in states.values())},
        "trial_states": _trial_states(folder, {} if rules else states),
        "to_predict": _to_predict(states, divisions),
        "left_out": left_out(study, folder),
        "other_versions": _other_versions(states),
        "disk_mib": disk_of(study, store, divisions, [*parameters.values()]),
        "memory_mib": memory_of(study, store, divisions, parameters),
        "time": _time(study, states, {device for device, _ in chosen.values()}),
        "repeats_for_width": _repeats(study, folder, states, half_width),
        "search": {"configurations": number_to_try(rules)} | rules.model_dump(mode="json", exclude_none=True)
        if rules
        else None,
    }


def _states(study: Study, folder: RunFolder, store: Store, divisions: Sequence[Division]) -> States:
    """Return the present state of each trial of the study."""
    others = [digest_of_others(store, division) for division in divisions]
    return {
        trial: trial_state(folder.trial(trial.trial_id), others_digest=others[trial.fold])
        for trial in trials_of(study)
    }


def _to_predict(states: States, divisions: Sequence[Division]) -> ToPredict:
    """Return the trained trials that will predict again before anything is trained, and how many slices."""
    predicting = [trial for trial, state in states.items() if _predicts_again(state)]
    return {
        "trials": [trial.trial_id for trial in predicting],
        "variants": list(dict.fromkeys(trial.variant for trial in predicting)),
        "slices": sum(len(divisions[trial.fold].scored) for trial in predicting),
    }


@contextlib.contextmanager
def _asked_first(study: Study, address: str | None) -> Iterator[Callable[[Training], tuple[str, str]]]:
    """Yield the function that says what `auto` means where the trials will be trained: on a running cluster, else on
    this machine."""
    if address:
        # Imported here, since Ray takes two seconds to load, and is not needed to ask this machine.
        from rayjobs.cluster import asked_first

        with asked_first(study, address) as resolve:
            yield resolve
    else:
        check_study_requests(study, [resources_here()])
        yield resolve_here(study)


def _repeats(
    study: Study, folder: RunFolder, states: States, half_width: float | None
) -> RepeatsFacts | None:
    """Return how many repeats each variant needs, as far as the completed ones can tell."""
    if half_width is None and isinstance(study.repeats, UntilPrecise):
        half_width = study.repeats.until
    if half_width is None:
        return None
    begun = any(state.completed for state in states.values()) and holds_evaluated(folder, study)
    nothing = dict.fromkeys(study.variants, RepeatsShown([], mostly_collapsed=False))
    shown = repeats_shown(read_trials(folder, study)) if begun else nothing
    needed = {name: each.repeats_for_width(half_width) for name, each in shown.items()}
    for name, each in needed.items():
        waiting = sum(_predicts_again(state) for trial, state in states.items() if trial.variant == name)
        if each.repeats is None and waiting:
            needed[name] = unknown(each.pilot_repeats, f"{waiting} {PREDICT_FIRST}")
    return repeats_facts(half_width, needed)


def _predicts_again(state: TrialState) -> bool:
    """Return whether a trial is trained to its end, and is missing only because of its predictions."""
    return state.status == "missing" and isinstance(state.record, Trained)


def _variant(
    study: Study, name: str, store: Store, divisions: list[Division], device: str, precision: str
) -> VariantFacts:
    variant = study.variants[name]
    network, loss = variant.training.network, variant.training.loss
    batches = batches_in(variant, [len(division.slices["train"]) for division in divisions])
    return {
        "modalities": list(variant.modalities),
        "copies": variant.augmentation.copies,
        "network": network.model_dump(exclude_none=True),
        "parameters": check_network(network, len(variant.modalities), store.size, batches, loss=loss),
        "device": device,
        "precision": precision,
        "trials": study.repeats_of(name) * study.split.folds,
    }


def _split(division: Division, split: str) -> SplitFacts:
    slices = division.slices[split]
    return {
        "fold": division.fold,
        "split": split,
        "patients": len(division.patients[split]),
        "lesion_patients": len(division.lesion_patients(split)),
        "sampled_scans": len({each.scan_id for each in slices}),
        "positive_slices": sum(each.with_lesion for each in slices),
        "negative_slices": sum(not each.with_lesion for each in slices),
        "scored_slices": sum(name == split for name, _ in division.scored),
    }


def _proven(study: Study, divisions: list[Division]) -> list[str]:
    """Return what `open_and_divide` has proven by not raising; and that a search does nothing with test patients."""
    by_slice = study.split.validation_unit == "slice"
    middle = "no slice" if by_slice else "no patient"
    closed = [
        f"no slice of the {count_of(len(division.patients['test']), 'test patient')} of fold "
        f"{fold_name(division.fold)} is read: test is closed to a search"
        for division in (divisions if study.search else ())
    ]
    return [
        "no patient stands in training and test",
        f"{middle} stands in training and validation",
        "no patient stands in validation and test",
        *closed,
    ]


def _time(study: Study, states: States, devices: Collection[str]) -> TimeFacts:
    seconds = {name: _seconds_of(name, states) for name in study.variants}
    left = Counter(
        trial.variant for trial, state in states.items() if not state.completed and not _predicts_again(state)
    )
    untimed = [name for name in left if seconds[name] is None]
    total = sum(n * (seconds[name] or 0.0) for name, n in left.items())
    side_by_side = trials_at_once(resources_here(), study, devices)
    return {
        "seconds_per_trial": seconds,
        "trials_left": sum(left.values()),
        "trial_seconds_left": None if untimed else round(total, 1),
        "cores_here": cores(),
        "side_by_side": side_by_side,
        "hours_left_here": None if untimed else round(total / side_by_side / 3600, 2),
        "reason": f"no trained trial of {', '.join(untimed)} yet" if untimed else None,
    }


def _seconds_of(variant: str, states: States) -> float | None:
    """Return the median seconds of a variant's trained trials; None without one."""
    took = [
        record.seconds
        for trial, state in states.items()
        if trial.variant == variant and (record := _trained(state))
    ]
    return round(median(took), 1) if took else None


def _trained(state: TrialState) -> Trained | None:
    """Return the record of a trial that is trained to its end, whatever it predicted; else None."""
    return state.completed or (state.record if isinstance(state.record, Trained) else None)


def _trial_states(folder: RunFolder, states: States) -> list[TrialFacts]:
    """Return the state of each trial of the study; in a search, whose trials are not fixed beforehand, of those that
    have a record."""
    by_name = {trial.trial_id: state for trial, state in states.items()}
    by_name = by_name or {trial.root.name: recorded_state(trial) for trial in folder.recorded}
    return [{"trial": name, "status": each.status, "reason": each.reason} for name, each in by_name.items()]


def _other_versions(states: States) -> list[OtherVersions]:
    trials: dict[str, list[str]] = {}
    here = {VERSIONS: versions_here()}
    for trial, state in states.items():
        if (record := _trained(state)) and (changes := changed_versions(record.settings, here)):
            trials.setdefault("; ".join(changes), []).append(trial.trial_id)
    return [{"differ": differ, "trials": names} for differ, names in trials.items()]
