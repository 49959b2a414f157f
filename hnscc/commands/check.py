"""What a study would do, before anything is trained: `hnscc check`."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from hnscc.aggregation.enough_repeats import scores_of
from hnscc.base.locations import Place
from hnscc.cohort.splits import FoldPlan
from hnscc.cohort.store import Store
from hnscc.scores.repeats import needed
from hnscc.study.plan import SPLITS, Trial, plan_trials
from hnscc.study.range_checks import check_search
from hnscc.study.ranges import number_of
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study, UntilPrecise
from hnscc.training.earlier import check_identities, choose
from hnscc.training.model import check_model, resolve_device
from hnscc.training.prepare import plan_folds, run_folder
from hnscc.training.records import TrialState, trial_state


def check_study(
    study: Study, out: str | Place | None = None, precision: float | None = None
) -> dict[str, Any]:
    """Validate a study against its store and networks; everything `hnscc check` prints, as JSON.

    Reads the store's index and the records of trials already there, no image. InputError for what cannot run,
    and for a run folder whose finished trials were trained by other settings. precision: how far the interval of
    the median may reach to either side; the study's own `repeats.until` unless given. Where either is, the finished
    trials' predictions are read.
    """
    rules = check_search(study) if study.search else None
    store, plans = plan_folds(study)
    folder = run_folder(study, out)
    if isinstance(study.repeats, UntilPrecise):
        precision = precision or study.repeats.until
    chosen = choose(study, folder, resolve_device)
    check_identities(study, folder, chosen, None)
    found = {trial: trial_state(folder.trial(trial.trial_id)) for trial in plan_trials(study)}
    states = {trial: state.status for trial, state in found.items()}
    variants = {name: _variant(study, name, store, *chosen[name]) for name in study.variants}
    return {
        "study": study.model_dump(mode="json"),
        "run_folder": str(folder.root),
        "store": {"location": store.location, "digest": store.digest, "scans": len(store.scans)},
        "variants": variants,
        "splits": [row for plan in plans for row in _splits(plan)],
        "leakage_checks": _leakage_checks(study),
        "warnings": [f"fold f{plan.fold}: {warning}" for plan in plans for warning in plan.warnings],
        "trials": {"planned": len(states), **Counter(states.values())},
        "disk_mib": _disk(study, store, plans, [each["parameters"] for each in variants.values()]),
        "time": _time(study, found),
        "precision": _precision(study, folder, states, precision) if precision else None,
        "search": rules
        and {"configurations": number_of(rules), **rules.model_dump(mode="json", exclude_none=True)},
    }


def _precision(study: Study, folder: RunFolder, states: dict[Trial, str], until: float) -> dict[str, Any]:
    """Repeats that each variant needs, as far as those that are finished can tell."""
    begun = "completed" in states.values()
    scores = scores_of(folder, study) if begun else {name: [] for name in study.variants}
    return {"until": until, "variants": {name: asdict(needed(each, until)) for name, each in scores.items()}}


def _variant(study: Study, name: str, store: Store, device: str, precision: str) -> dict[str, Any]:
    variant = study.variants[name]
    return {
        "modalities": list(variant.modalities),
        "copies": variant.augmentation.copies,
        "network": variant.training.network.model_dump(exclude_none=True),
        "parameters": check_model(variant.training.network, len(variant.modalities), store.size),
        "device": device,
        "precision": precision,
        "trials": study.repeats_of(name) * study.split.folds,
    }


def _splits(plan: FoldPlan) -> list[dict[str, Any]]:
    rows = []
    for split in SPLITS:
        slices = plan.slices[split]
        rows.append(
            {
                "fold": plan.fold,
                "split": split,
                "patients": len(plan.patients[split]),
                "lesion_patients": len({each.patient_id for each in slices if each.positive}),
                "scans_used": len({each.scan_id for each in slices}),
                "positive_slices": sum(each.positive for each in slices),
                "negative_slices": sum(not each.positive for each in slices),
            }
        )
    return rows


def _leakage_checks(study: Study) -> list[str]:
    """What `plan_folds` has proven by not raising."""
    by_slice = study.split.validation_unit == "slice"
    middle = "no slice" if by_slice else "no patient"
    return [
        "no patient stands in training and test",
        f"{middle} stands in training and validation",
        "no patient stands in validation and test",
        f"normalisation bounds come from: {study.normalisation.bounds.replace('_', ' ')} slices",
    ]


def _disk(study: Study, store: Store, plans: list[FoldPlan], parameters: list[int]) -> float:
    """At most: predictions before compression, and weights of four bytes a parameter."""
    slices = sum(len(plan.slices[split]) for plan in plans for split in SPLITS)
    predictions = slices * store.size**2 * 2 * len(study.variants)
    weights = sum(parameters) * 4 * study.split.folds
    return round(study.most_repeats * (predictions + weights) / 2**20, 1)


def _time(study: Study, states: Mapping[Trial, TrialState]) -> dict[str, Any]:
    """From the median seconds of the variant's finished trials; null for variants without one."""
    per_variant: dict[str, float | None] = {}
    for name in study.variants:
        took = [
            state.completed.seconds
            for trial, state in states.items()
            if state.completed and trial.variant == name
        ]
        per_variant[name] = round(median(took), 1) if took else None
    left = Counter(trial.variant for trial, state in states.items() if not state.completed)
    untimed = [name for name in left if per_variant[name] is None]
    cores = os.cpu_count() or 1
    total = sum(n * (per_variant[name] or 0.0) for name, n in left.items())
    return {
        "seconds_per_trial": per_variant,
        "trials_left": sum(left.values()),
        "trial_seconds_left": None if untimed else round(total, 1),
        "cores_here": cores,
        "hours_left_here": None
        if untimed
        else round(total / max(1, cores // study.resources.cpus) / 3600, 2),
        "reason": f"no finished trial of {', '.join(untimed)} yet" if untimed else None,
    }


def print_check(found: dict[str, Any], console: Console, study_file: Path) -> None:
    study = found["study"]
    console.print(
        f"{study['name']}: protocol {study['protocol']}, seed {study['seed']}, {found['run_folder']}"
    )
    _print_rows(console, [{"variant": name, **facts} for name, facts in found["variants"].items()])
    _print_rows(console, found["splits"])
    for line in found["leakage_checks"]:
        console.print(f"leakage: {line}", highlight=False)
    for line in found["warnings"]:
        console.print(f"warning: {line}", style="yellow", highlight=False)
    trials = found["trials"]
    states = ", ".join(f"{trials.get(state, 0)} {state}" for state in ("completed", "failed", "missing"))
    if not found["search"]:
        console.print(f"trials:  {trials['planned']} planned; {states}", highlight=False)
    console.print(
        f"disk:    at most {found['disk_mib']:.0f} MiB for predictions and weights", highlight=False
    )
    if found["search"]:
        _print_search(found["search"], console)
        console.print(f"next:    hnscc search {study_file}", highlight=False)
        return
    if found["precision"]:
        _print_precision(found["precision"], console)
    time = found["time"]
    if time["reason"]:
        console.print(f"time:    not known: {time['reason']}", highlight=False)
    else:
        seconds, hours, cores = time["trial_seconds_left"], time["hours_left_here"], time["cores_here"]
        console.print(
            f"time:    {seconds:.0f} s of training left, about {hours:g} h on this machine's {cores} cores",
            highlight=False,
        )
    console.print(f"next:    hnscc run {study_file}", highlight=False)


def _print_search(search: dict[str, Any], console: Console) -> None:
    repeats, budget = search["repeats"], search["budget"]
    limits = ", ".join(f"{value:g} {name.replace('_', ' ')}" for name, value in budget.items())
    console.print(
        f"search:  {search['method']}, {search['configurations']} configurations x {repeats['first']} first repeats, "
        f"stopping {search['stopping'].replace('_', ' ')}; budget: {limits}",
        highlight=False,
    )
    for path, values in search["ranges"].items():
        console.print(f"range:   {path}: {values}", highlight=False)


def _print_precision(found: dict[str, Any], console: Console) -> None:
    aim = f"the median test Dice within {found['until']:g} to either side (95 %)"
    for name, each in found["variants"].items():
        if each["repeats"] is None:
            text = f"{name}: not known from {each['pilot']} finished repeats; 2 are a pilot, 6 a better one"
        else:
            text = (
                f"{name}: {aim} needs about {each['repeats']} repeats ({each['low']} to {each['high']}, "
                f"from {each['pilot']} with SD {each['sd']:.3f})"
            )
        console.print(f"repeats: {text}", highlight=False)


def _print_rows(console: Console, rows: list[dict[str, Any]]) -> None:
    table = Table()
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values())
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
