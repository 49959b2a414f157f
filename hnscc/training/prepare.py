"""Make a run folder ready: its study, its folds, and the check that nothing trained there has changed."""

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hnscc.base.errors import InputError
from hnscc.base.files import write_json, write_text
from hnscc.base.locations import Place, place
from hnscc.cohort.fold import FoldData, read_fold, write_fold
from hnscc.cohort.splits import FoldPlan, plan_fold
from hnscc.cohort.store import Store, open_store
from hnscc.study.loading import dump_study, load_study
from hnscc.study.plan import Trial, differences, identity, plan_trials, trial_settings
from hnscc.study.ranges import networks
from hnscc.study.run_folder import RunFolder
from hnscc.study.schema import Study, Training, Variant
from hnscc.training.model import check_model, resolve_device
from hnscc.training.records import damage, read_record

LIBRARIES = (
    "hnscc",
    "ray",
    "torch",
    "segmentation-models-pytorch",
    "albumentations",
    "numpy",
    "scipy",
    "zarr",
    "pyarrow",
)


@dataclass(frozen=True)
class PreparedRun:
    """A run folder that trials can be trained into.

    chosen: for each variant the device (cpu, cuda) and precision (fp32, bf16) that `auto` chose.
    """

    study: Study
    folder: RunFolder
    folds: Mapping[int, FoldData]
    chosen: Mapping[str, tuple[str, str]]

    def missing(self) -> list[Trial]:
        """The trials left to train: those that are not completed, or whose files are damaged.

        Repeat by repeat, so that a study cut short has as many repeats of every variant.
        """
        left = [
            trial for trial in plan_trials(self.study) if trial_status(self.folder, trial)[0] != "completed"
        ]
        return sorted(left, key=lambda trial: trial.repeat)


def trial_status(folder: RunFolder, trial: Trial) -> tuple[str, str | None]:
    """completed, failed or missing, and why it is not completed where that is known.

    Of an error only its kind: its text, which may name a path, stays in the trial's own folder.
    """
    record = read_record(folder.trial(trial.trial_id))
    if record is None:
        return "missing", None
    if record["status"] == "failed":
        return "failed", str(record.get("failure", "unknown"))
    wrong = damage(folder.trial(trial.trial_id), record)
    return ("missing", wrong) if wrong else ("completed", None)


def run_folder(study: Study, out: str | Place | None) -> RunFolder:
    return RunFolder(place(out) if out else Path("runs") / study.name)


def plan_folds(study: Study) -> tuple[Store, list[FoldPlan]]:
    """Open the study's store and plan its folds; reads no image. InputError where they or the networks do not fit."""
    store = open_store(study.store)
    for name, variant in study.variants.items():
        absent = [modality for modality in variant.modalities if modality not in store.modalities]
        if absent:
            raise InputError(
                "A variant names a modality that the store does not hold.",
                where=f"variants.{name}.modalities",
                expected=f"some of {', '.join(store.modalities)}",
                found=", ".join(absent),
                do="correct the variant, or prepare the store with that modality",
            )
    check_networks([*study.variants.values(), *(networks(study) if study.search else ())], store.size)
    plans = [plan_fold(store, study, fold) for fold in range(study.split.folds)]
    return store, [_test_closed(plan) for plan in plans] if study.search else plans


def check_networks(variants: Iterable[Variant], size: int) -> None:
    """Build each network once, however many variants have it; see `check_model`. size: of a slice, in pixels."""
    for network, channels in {(each.training.network, len(each.modalities)): None for each in variants}:
        check_model(network, channels, size)


def _test_closed(plan: FoldPlan) -> FoldPlan:
    """What a search reads: of the test patients no slice, so that nothing of it can depend on them."""
    return replace(plan, slices={**plan.slices, "test": ()})


def prepare_run(
    study: Study,
    out: str | Place | None = None,
    *,
    resolve: Callable[[Training], tuple[str, str]] = resolve_device,
    progress: Callable[[int, int], None] | None = None,
) -> PreparedRun:
    """Write study.yaml, the folds and provenance.json, and read the folds' data.

    `resolve` says what device and precision `auto` means where the trials will run. Trials may be there from
    before: InputError, with the differences, where the study would now train one of them otherwise.
    """
    store, plans = plan_folds(study)
    folds = {plan.fold: read_fold(store, study, plan, progress) for plan in plans}
    folder = run_folder(study, out)
    chosen = choose(study, folder, resolve)
    run = PreparedRun(study, folder, folds, chosen)
    check_identities(study, folder, chosen, {fold: data.digest for fold, data in folds.items()})
    for plan in plans:
        write_fold(folder.fold(plan.fold), store, plan, folds[plan.fold], replace=not folder.trained)
    write_text(folder.study, dump_study(study))
    _add_provenance(folder)
    return run


def choose(
    study: Study, folder: RunFolder, resolve: Callable[[Training], tuple[str, str]]
) -> dict[str, tuple[str, str]]:
    """For each variant the device and precision that its trials are trained by.

    Where `precision: auto` has been chosen once in this run folder, it stays: the machines of a cluster may differ
    in what they compute fast, and whichever answers first must not change a study half done.
    """
    chosen = {name: resolve(variant.training) for name, variant in study.variants.items()}
    open_still = {name for name, each in study.variants.items() if each.training.precision == "auto"}
    for trial in plan_trials(study):
        if trial.variant not in open_still:
            continue
        device, _ = chosen[trial.variant]
        record = read_record(folder.trial(trial.trial_id))
        if record and record["status"] == "completed" and record["device"] == device:
            chosen[trial.variant] = device, record["precision"]
            open_still.remove(trial.variant)
    return chosen


def check_identities(
    study: Study, folder: RunFolder, chosen: Mapping[str, tuple[str, str]], digests: Mapping[int, str] | None
) -> None:
    """Refuse, with the differences, a study that would now train one of its finished trials otherwise.

    digests: of each fold's data; None to leave the data out of the comparison, where it has not been read.
    """
    _check_same_folds(study, folder)
    for trial in plan_trials(study):
        record = read_record(folder.trial(trial.trial_id))
        if record is None or record["status"] != "completed":
            continue
        device, precision = chosen[trial.variant]
        digest = digests[trial.fold] if digests else record["settings"].get("data", "")
        settings = trial_settings(study, trial, device=device, precision=precision, fold_digest=digest)
        if identity(settings) != record["identity"]:
            changes = "; ".join(differences(record["settings"], settings))
            raise InputError(
                "The run folder holds a trial that this study would now train otherwise.",
                where=f"trial {trial.trial_id} in {folder.root}",
                expected="the settings, data and seeds it was trained with",
                found=changes or "another identity",
                do="set them back (`auto` can be spelled out), or use another run folder (--out, or another name)",
            )


def _check_same_folds(study: Study, folder: RunFolder) -> None:
    """What the folds follow from, apart from the store: said by name, since their digest tells a reader nothing."""
    if not folder.trained or not folder.study.is_file():
        return
    before, now = load_study(folder.study).model_dump(mode="json"), study.model_dump(mode="json")
    keys = ("seed", "sampling", "split", "normalisation")
    changes = list(differences({key: before[key] for key in keys}, {key: now[key] for key in keys}))
    if changes:
        raise InputError(
            "The run folder's finished trials were trained with another split or other slices.",
            where=str(folder.root),
            expected="the seed, sampling, split and normalisation that they were trained with",
            found="; ".join(changes),
            do="set them back, or use another run folder (--out, or another name)",
        )


def _add_provenance(folder: RunFolder) -> None:
    """Append what runs now to the list of invocations: versions, hardware, commit and command."""
    known = _invocations(folder)
    now = {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in LIBRARIES}},
        "hardware": {"machine": platform.machine(), "system": platform.system(), "cpus": os.cpu_count()},
    }
    write_json(folder.provenance, {"invocations": [*known, now]})


def _invocations(folder: RunFolder) -> list[dict[str, Any]]:
    try:
        return list(json.loads(folder.provenance.read_text())["invocations"])
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError):
        raise InputError(
            "The list of earlier invocations is damaged.",
            where=f"provenance.json in {folder.root}",
            expected="JSON as this program wrote it",
            found="something else",
            do="restore the file from a copy, or move it away: no table depends on it",
        ) from None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout this code runs from, `+changes` where it was edited; None outside of one."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
